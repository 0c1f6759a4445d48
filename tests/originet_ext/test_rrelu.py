"""The psi ops: their formula, accuracy at every value, gradients and registrations."""

import math

import pytest
import torch
from activations import DTYPES, TOLERANCE, randn

from originet_ext import fused_rrelu, fused_rrelu_add, reference

SHAPES = [(), (0,), (1,), (1023,), (4, 0, 3), (3, 5, 7), (2, 3, 128, 128)]


def derivative(x: torch.Tensor, alpha: float = 0.1) -> torch.Tensor:
    """psi' from Table I of the paper, with the erratum for x < 0 corrected; float64, finite x."""
    e = torch.exp(x)
    left = e * (alpha * e + alpha * x + 1 + alpha) / (1 + e) ** 2
    right = e * (e + x + 2) / (1 + e) ** 2
    return torch.where(x >= 0, right, left)


# Forward and gradients


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_add_matches_reference(device, shape, dtype):
    inputs = [randn(shape, device, dtype, requires_grad=True) for _ in range(2)]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    grad = randn(shape, device, dtype)
    y, expected = fused_rrelu_add(*inputs), reference.fused_rrelu_add(*exact)
    torch.testing.assert_close(y.double(), expected, **TOLERANCE[dtype])
    grads = torch.autograd.grad(y, inputs, grad)
    for got, want in zip(grads, torch.autograd.grad(expected, exact, grad.double()), strict=True):
        torch.testing.assert_close(got.double(), want, **TOLERANCE[dtype])


def test_add_gradient_for_one_input_alone(device):
    a, b = randn((50,), device, requires_grad=True), randn((50,), device)
    (grad_a,) = torch.autograd.grad(fused_rrelu_add(a, b).sum(), a)
    torch.testing.assert_close(
        grad_a.double(), derivative(a.detach().double()), **TOLERANCE[a.dtype]
    )
    (grad_b,) = torch.autograd.grad(fused_rrelu_add(b, a).sum(), a)
    torch.testing.assert_close(grad_b, grad_a)


@pytest.mark.parametrize("function", [fused_rrelu, reference.fused_rrelu])
def test_hand_computed_points(function):
    x = torch.tensor([-10.0, -1.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    # sigmoid(1) = 0.7310585786300049; psi(-10) = sigmoid(-10) * (1 - 1) = 0
    s1, s3 = 0.7310585786300049, 1 / (1 + math.exp(-3))
    expected = torch.tensor([0.0, (1 - s1) * 0.9, 0.5, 2 * s1, 4 * s3], dtype=torch.float64)
    torch.testing.assert_close(function(x), expected, rtol=1e-14, atol=1e-18)


@pytest.mark.parametrize("function", [fused_rrelu, reference.fused_rrelu])
@pytest.mark.parametrize("alpha", [0.1, 0.0, 1.0, -0.5, 3.0])
def test_derivative_matches_corrected_table_1(function, alpha):
    x = torch.linspace(-20, 20, 401, dtype=torch.float64).requires_grad_()
    (grad,) = torch.autograd.grad(function(x, alpha).sum(), x)
    torch.testing.assert_close(grad, derivative(x.detach(), alpha), rtol=1e-12, atol=1e-15)


def test_derivative_of_table_1_as_printed_is_wrong_below_zero():
    x = torch.tensor([-1.0], dtype=torch.float64)
    e = torch.exp(x)
    printed = e * (e + 0.1 * x + 2) / (e + 1) ** 2
    step = 1e-6
    numeric = (fused_rrelu(x + step) - fused_rrelu(x - step)) / (2 * step)
    assert abs(derivative(x) - numeric) < 1e-9
    assert abs(printed - numeric) > 0.2


def test_range_of_table_1_is_wrong_below_minus_ten():
    assert fused_rrelu(torch.tensor(-12.0)) < 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_and_kink(device, dtype):
    inf = math.inf
    largest = torch.finfo(dtype).max
    values = [inf, -inf, math.nan, 0.0, -0.0, largest, -largest]
    x = torch.tensor(values, dtype=dtype, device=device, requires_grad=True)
    for function in (fused_rrelu, reference.fused_rrelu):
        y = function(x)
        (grad,) = torch.autograd.grad(y.sum(), x)
        expected = torch.tensor([inf, 0, math.nan, 0.5, 0.5, largest, 0], dtype=dtype)
        torch.testing.assert_close(y.cpu(), expected, equal_nan=True, rtol=0, atol=0)
        expected_grad = torch.tensor([1, 0, math.nan, 0.75, 0.75, 1, 0], dtype=dtype)
        torch.testing.assert_close(grad.cpu(), expected_grad, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_16_bit_value_is_within_half_an_ulp(device, dtype):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int16, device=device).view(dtype)
    x = x[x.isfinite()].requires_grad_()
    exact = x.detach().double()
    y = fused_rrelu(x)
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(x))
    eps = torch.finfo(dtype).eps
    # 2^-24: half of float16's smallest subnormal step, and a bound at psi's and psi's
    # derivative's zero crossings, where float32 arithmetic cancels.
    for got, want in ((y, reference.fused_rrelu(exact)), (grad, None)):
        if want is None:
            leaf = exact.clone().requires_grad_()
            (want,) = torch.autograd.grad(reference.fused_rrelu(leaf).sum(), leaf)
        error = (got.detach().double() - want.detach()).abs()
        assert (error <= 0.51 * eps * want.detach().abs() + 2**-24).all()


def test_float32_sweep_is_accurate(device, backend):
    magnitude = torch.logspace(-6, 4, 200_001, dtype=torch.float64).float()
    x = torch.cat([-magnitude, magnitude]).to(device).requires_grad_()
    exact = x.detach().double()
    y = fused_rrelu(x)
    (grad,) = torch.autograd.grad(y.sum(), x)
    # In eps, 2^-23; the absolute bounds are for the zero crossings, psi's at x = -10 and that of
    # psi' near -11. Processors without fused multiply-add do worse there: test_cpu_levels.py.
    for got, want, bound, floor in (
        # CUDA's approximate division may be off by 2 units in the last place.
        (y.detach(), reference.fused_rrelu(exact), 1.2 if backend == "cpu" else 2.1, 1e-19),
        (grad, derivative_safe(exact), 3, 1e-17),
    ):
        error = (got.double() - want).abs()
        assert (error <= bound * 2**-23 * want.abs() + floor).all()


# Of all float32 inputs those with the largest errors at some time, and psi and psi' there (mpmath,
# 50 digits, alpha the double 0.1).
HARDEST = [
    (-6.5576276779174805, 4.8786581891894533e-4, 6.2889811958901008e-4),
    (-6.561563968658447, 4.853962402160969e-4, 6.2587875631149537e-4),
    (-0.6479566693305969, 0.32119606364390382, 0.24522624354806078),
    (-37.770301818847656, -1.0968492436726274e-16, -1.0573520408396283e-16),
    (-88.69684600830078, -2.3735945905036748e-38, -2.3434333488415462e-38),
    (-10.0, -2.5200879551176222e-21, 4.5397868702434372e-6),
    (-11.000017166137695, -1.6701421850422701e-6, -7.7612821441133212e-13),
    (-11.000016212463379, -1.6701421850422508e-6, 8.1661692971389735e-13),
]


def test_hardest_inputs():
    """Within 2 units in the last place; at zero crossings, more exactly than 10^-11."""
    inputs, values, slopes = zip(*HARDEST, strict=True)
    x = torch.tensor(inputs, requires_grad=True)
    y = fused_rrelu(x)
    (grad,) = torch.autograd.grad(y.sum(), x)
    for got, want, crossing in ((y, values, [5]), (grad, slopes, [6, 7])):
        exact = torch.tensor(want, dtype=torch.float64)
        unit = 2.0 ** (torch.frexp(exact).exponent - 24).clamp(min=-149)
        unit[crossing] = 5e-12
        assert ((got.double() - exact).abs() <= 2 * unit).all()


@pytest.mark.parametrize("alpha", [1e20, -1e20])
def test_large_alpha_overflows_only_where_the_result_does(alpha):
    x = torch.tensor([-1e-3, -1.0, -10.0, -100.0, -120.0], requires_grad=True)
    y = fused_rrelu(x, alpha)
    (grad,) = torch.autograd.grad(y.sum(), x)
    leaf = x.detach().double().requires_grad_()
    want = reference.fused_rrelu(leaf, alpha)
    (want_grad,) = torch.autograd.grad(want.sum(), leaf)
    torch.testing.assert_close(y.double(), want, rtol=1e-6, atol=0)
    torch.testing.assert_close(grad.double(), want_grad, rtol=1e-6, atol=0)


def derivative_safe(x: torch.Tensor) -> torch.Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(reference.fused_rrelu(leaf).sum(), leaf)[0]


def test_vector_head_and_tail_give_the_same_bits(device):
    buffer = randn((200,), device)
    whole = fused_rrelu(buffer)
    for start in range(9):
        for length in (1, 2, 7, 8, 9, 31, 64, 100):
            part = slice(start, start + length)
            torch.testing.assert_close(fused_rrelu(buffer[part]), whole[part], rtol=0, atol=0)


# fused_rrelu_add in autograd, torch.func and torch.compile, as fused_rrelu in test_like_silu.py


def test_add_gradients_of_every_order_and_direction(device):
    inputs = [randn((7,), device, torch.float64, requires_grad=True) for _ in range(2)]
    torch.autograd.gradcheck(
        fused_rrelu_add,
        inputs,
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    torch.autograd.gradgradcheck(
        fused_rrelu_add, inputs, check_fwd_over_rev=True, check_rev_over_rev=True
    )


def test_add_under_vmap_with_an_unbatched_input(device):
    batch, x = randn((6, 5), device), randn((6,), device)
    mixed = torch.vmap(fused_rrelu_add, in_dims=(1, None))(batch, x)
    torch.testing.assert_close(mixed, fused_rrelu_add(batch.T, x.expand(5, 6)))


def test_add_of_two_layouts(device):
    a, b = randn((4, 6, 8, 10), device), randn((10, 6, 8, 4), device).transpose(0, 3)
    y = fused_rrelu_add(a, b)
    assert y.stride() == a.stride()
    torch.testing.assert_close(y, fused_rrelu(a) + fused_rrelu(b), **TOLERANCE[y.dtype])


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True])
def test_add_compiles_with_fullgraph(device, dynamic):
    torch.compiler.reset()
    compiled = torch.compile(fused_rrelu_add, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for n in (5, 9):
        inputs = [randn((3, n), device, requires_grad=True) for _ in range(2)]
        y, want = compiled(*inputs), fused_rrelu_add(*inputs)
        torch.testing.assert_close(y, want)
        torch.testing.assert_close(
            torch.autograd.grad(y.sum(), inputs), torch.autograd.grad(want.sum(), inputs)
        )


# The ops' registrations


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forward", "backward", "add_forward", "add_backward"])
def test_opcheck(device, name):
    count = {"forward": 1, "backward": 2, "add_forward": 2, "add_backward": 3}[name]
    op = getattr(torch.ops.originet, f"rrelu_{name}").default
    for shape in ((5,), (2, 3, 4, 4)):
        inputs = [randn(shape, device, requires_grad=True) for _ in range(count)]
        torch.library.opcheck(op, (*inputs, 0.1))


def test_opcheck_in_place(device):
    torch.library.opcheck(torch.ops.originet.rrelu_forward_.default, (randn((5,), device), 0.1))
