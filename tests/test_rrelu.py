"""The psi ops against their reference, and as citizens of PyTorch."""

import math
import os

import pytest
import torch
from torch import nn

from originet_ext import (
    FusedRReLU,
    fused_rrelu,
    fused_rrelu_,
    fused_rrelu_add,
    reference,
)

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
TOLERANCE = {
    torch.float16: {"rtol": 1e-3, "atol": 1e-6},
    torch.bfloat16: {"rtol": 8e-3, "atol": 1e-6},
    torch.float32: {"rtol": 1e-6, "atol": 1e-7},
    torch.float64: {"rtol": 1e-13, "atol": 1e-15},
}
SHAPES = [(), (0,), (1,), (1023,), (4, 0, 3), (3, 5, 7), (2, 3, 128, 128)]


def randn(shape, device, dtype=torch.float32, **kwargs) -> torch.Tensor:
    """Values over the range where psi is curved, none of them on the kink."""
    x = torch.randn(shape, dtype=torch.float64).mul_(4)
    x = torch.where(x.abs() < 0.05, x + 0.1, x)
    return x.to(device, dtype).requires_grad_(kwargs.get("requires_grad", False))


def derivative(x: torch.Tensor, alpha: float = 0.1) -> torch.Tensor:
    """psi' from Table I of the paper, with the erratum for x < 0 corrected; float64, finite x."""
    e = torch.exp(x)
    left = e * (alpha * e + alpha * x + 1 + alpha) / (1 + e) ** 2
    right = e * (e + x + 2) / (1 + e) ** 2
    return torch.where(x >= 0, right, left)


# Forward and gradients


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_gradient_match_reference(device, shape, dtype):
    x = randn(shape, device, dtype, requires_grad=True)
    exact = x.detach().double().requires_grad_()
    grad = randn(shape, device, dtype)
    y, expected = fused_rrelu(x), reference.fused_rrelu(exact)
    torch.testing.assert_close(y.double(), expected, **TOLERANCE[dtype])
    (grad_x,) = torch.autograd.grad(y, x, grad)
    (expected_grad,) = torch.autograd.grad(expected, exact, grad.double())
    assert grad_x.dtype == dtype
    torch.testing.assert_close(grad_x.double(), expected_grad, **TOLERANCE[dtype])


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


def test_float32_sweep_is_accurate(device):
    magnitude = torch.logspace(-6, 4, 200_001, dtype=torch.float64).float()
    x = torch.cat([-magnitude, magnitude]).to(device).requires_grad_()
    exact = x.detach().double()
    y = fused_rrelu(x)
    (grad,) = torch.autograd.grad(y.sum(), x)
    # In eps, 2^-23; the absolute bounds are for the zero crossings, psi's at x = -10 and that of
    # psi' near -11. Processors without fused multiply-add do worse there: test_cpu_levels.py.
    for got, want, bound, floor in (
        (y.detach(), reference.fused_rrelu(exact), 2.1, 1e-19),
        (grad, derivative_safe(exact), 3, 1e-17),
    ):
        error = (got.double() - want).abs()
        assert (error <= bound * 2**-23 * want.abs() + floor).all()


def derivative_safe(x: torch.Tensor) -> torch.Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(reference.fused_rrelu(leaf).sum(), leaf)[0]


# Layouts

LAYOUTS = {
    "transposed": lambda x: x.transpose(0, 3),
    "sliced": lambda x: x[:, :, 1:-1, ::2],
    "expanded": lambda x: x[:1].expand(3, -1, -1, -1),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "unaligned": lambda x: x.flatten()[1:],
    "overlapping": lambda x: x.flatten().as_strided((3, 10), (5, 1)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_right_and_strides_are_those_of_silu(device, layout, dtype):
    x = LAYOUTS[layout](randn((4, 6, 8, 10), device, dtype))
    y = fused_rrelu(x)
    torch.testing.assert_close(y, fused_rrelu(x.contiguous()), rtol=0, atol=0)
    assert y.stride() == torch.empty_like(x).stride()
    if layout != "overlapping":  # silu gives such a tensor strides of its own
        assert y.stride() == nn.functional.silu(x).stride()
    # the incoming gradient has a layout of its own
    grad = torch.ones((), device=device, dtype=dtype).expand(x.shape)
    leaf = x.detach().requires_grad_()
    (grad_x,) = torch.autograd.grad(fused_rrelu(leaf), leaf, grad)
    dense = x.detach().contiguous().requires_grad_()
    (want,) = torch.autograd.grad(fused_rrelu(dense).sum(), dense)
    torch.testing.assert_close(grad_x, want, rtol=0, atol=0)
    torch.testing.assert_close(fused_rrelu_add(x, x.contiguous()), 2 * y, **TOLERANCE[dtype])


def test_vector_head_and_tail(device):
    buffer = randn((200,), device)
    for start in range(9):
        for length in (1, 2, 7, 8, 9, 31, 64, 100):
            x = buffer[start : start + length]
            want = reference.fused_rrelu(x.double())
            torch.testing.assert_close(fused_rrelu(x).double(), want, **TOLERANCE[x.dtype])


def test_more_than_2_to_the_31_elements(device):
    if device == "cuda":
        memory = torch.cuda.mem_get_info()[1]
    else:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < 20e9:
        pytest.skip(f"needs 20 GB, the {device} has {memory / 1e9:.0f}")
    n = 2**31 + 9
    x = torch.zeros(n, dtype=torch.bfloat16, device=device)
    x[-3:] = torch.tensor([1.0, -1.0, 2.0])
    fused_rrelu_(x)
    want = reference.fused_rrelu(torch.tensor([0.0, 1.0, -1.0, 2.0], dtype=torch.float64))
    got = x[[0, -3, -2, -1]].cpu().double()
    torch.testing.assert_close(got, want, **TOLERANCE[torch.bfloat16])
    assert (x[2**31 - 5 : 2**31 + 5] == 0.5).all()


# Autograd


def test_gradcheck_family(device):
    x = randn((7,), device, torch.float64, requires_grad=True)
    y = randn((7,), device, torch.float64, requires_grad=True)
    for function, inputs in ((fused_rrelu, (x,)), (fused_rrelu_add, (x, y))):
        torch.autograd.gradcheck(
            function,
            inputs,
            check_forward_ad=True,
            check_batched_grad=True,
            check_batched_forward_grad=True,
        )
        torch.autograd.gradgradcheck(
            function, inputs, check_fwd_over_rev=True, check_rev_over_rev=True
        )


def test_third_derivative_matches_reference(device):
    x = randn((20,), device, torch.float64, requires_grad=True)
    chains = []
    for function in (fused_rrelu, reference.fused_rrelu):
        value = function(x)
        for _ in range(3):
            (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        chains.append(value)
    torch.testing.assert_close(*chains, rtol=1e-10, atol=1e-12)


def test_functional_transforms(device):
    x = randn((6,), device, torch.float64)
    tangent = randn((6,), device, torch.float64)
    value, directional = torch.func.jvp(fused_rrelu, (x,), (tangent,))
    torch.testing.assert_close(value, fused_rrelu(x))
    torch.testing.assert_close(directional, derivative(x) * tangent)
    hessian = torch.func.hessian(lambda v: fused_rrelu(v).sum())(x)
    want = torch.func.hessian(lambda v: reference.fused_rrelu(v).sum())(x)
    torch.testing.assert_close(hessian, want)
    batch = randn((5, 6), device, torch.float64)
    per_sample = torch.vmap(torch.func.grad(lambda v: fused_rrelu(v).sum()))(batch)
    torch.testing.assert_close(per_sample, derivative(batch))
    mixed = torch.vmap(fused_rrelu_add, in_dims=(1, None))(batch.T.contiguous(), x)
    torch.testing.assert_close(mixed, fused_rrelu_add(batch, x.expand(5, 6)))


def test_forward_ad_dual_without_requires_grad(device):
    x, tangent = randn((6,), device, torch.float64), randn((6,), device, torch.float64)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)
        result = torch.autograd.forward_ad.unpack_dual(fused_rrelu(dual)).tangent
    torch.testing.assert_close(result, derivative(x) * tangent)


@pytest.mark.parametrize("name", ["forward", "backward", "add_forward", "add_backward"])
def test_opcheck(device, name):
    count = {"forward": 1, "backward": 2, "add_forward": 2, "add_backward": 3}[name]
    op = getattr(torch.ops.originet, f"rrelu_{name}").default
    for shape in ((5,), (2, 3, 4, 4)):
        inputs = [randn(shape, device, requires_grad=True) for _ in range(count)]
        torch.library.opcheck(op, (*inputs, 0.1))


def test_opcheck_in_place(device):
    torch.library.opcheck(torch.ops.originet.rrelu_forward_.default, (randn((5,), device), 0.1))


def test_backward_keeps_only_the_input(device):
    kept = []
    x = randn((1000,), device, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        fused_rrelu(x)
    assert [t.data_ptr() for t in kept] == [x.data_ptr()]


# In place


def test_in_place_equals_out_of_place(device):
    for layout in ("transposed", "sliced", "channels_last", "unaligned"):
        x = LAYOUTS[layout](randn((4, 6, 8, 10), device))
        want = fused_rrelu(x)
        stride = x.stride()
        assert fused_rrelu_(x) is x
        assert x.stride() == stride
        torch.testing.assert_close(x, want, rtol=0, atol=0)


def test_in_place_follows_the_rules_of_autograd(device):
    leaf = randn((6,), device, torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        fused_rrelu_(leaf)
    (grad,) = torch.autograd.grad(fused_rrelu_(leaf * 2).sum(), leaf)
    torch.testing.assert_close(grad, 2 * derivative(2 * leaf.detach()))
    torch.autograd.gradcheck(
        lambda v: fused_rrelu_(v.clone()), (leaf,), check_forward_ad=True, check_batched_grad=True
    )
    # A tensor that another backward needs must not be changed unnoticed.
    y = leaf.exp()
    with torch.no_grad():
        fused_rrelu_(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_in_place_refuses_shared_memory(device):
    with pytest.raises(RuntimeError, match="expanded along dimension 0"):
        fused_rrelu_(torch.zeros(1, device=device).expand(3))


# Compile and export


@pytest.mark.parametrize(
    "function", [fused_rrelu, lambda x: fused_rrelu_(x * 1), lambda x: fused_rrelu_add(x, 2 * x)]
)
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile_fullgraph_forward_and_training(device, function, dynamic):
    compiled = torch.compile(function, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for n in (5, 9):
        x = randn((3, n), device, requires_grad=True)
        y, want = compiled(x), function(x)
        torch.testing.assert_close(y, want)
        torch.testing.assert_close(
            torch.autograd.grad(y.sum(), x)[0], torch.autograd.grad(want.sum(), x)[0]
        )
        with torch.no_grad():
            torch.testing.assert_close(compiled(x), want)


def test_compile_with_inductor(device):
    model = nn.Sequential(nn.Linear(4, 8), FusedRReLU(), nn.Linear(8, 2)).to(device)
    x = randn((16, 4), device, requires_grad=True)
    want = torch.autograd.grad(model(x).square().sum(), x)[0]
    compiled = torch.compile(model, fullgraph=True)
    got = torch.autograd.grad(compiled(x).square().sum(), x)[0]
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


def test_export_then_run(device):
    model = nn.Sequential(nn.Linear(4, 8), FusedRReLU(), FusedRReLU(inplace=True)).to(device)
    x = randn((16, 4), device)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), model(x))


def test_meta_and_fake_tensors():
    assert fused_rrelu(torch.empty(3, 4, device="meta", dtype=torch.half)).shape == (3, 4)
    with torch._subclasses.FakeTensorMode():
        x = torch.empty(2, 3, 4, 5).to(memory_format=torch.channels_last)
        assert fused_rrelu(x).stride() == x.stride()


def test_autocast_passes_through(device):
    with torch.autocast(device, dtype=torch.bfloat16):
        y = fused_rrelu(nn.Linear(4, 4, device=device)(randn((2, 4), device)))
    assert y.dtype == torch.bfloat16
