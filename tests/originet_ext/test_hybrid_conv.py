"""The hybrid block's convolutions by Winograd's method, against torch's in float64."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from originet_ext import can_hybrid_conv, hybrid_conv

ops = torch.ops.originet
# In units of the largest magnitude. torch's own float32 results are off by up to 7e-6.
TOLERANCE = 3e-6
CASES = [  # images, channels, output channels, height, width
    (4, 16, 32, 16, 16),
    (5, 32, 16, 13, 18),
    (1, 64, 96, 6, 7),
    (2, 16, 16, 1, 1),
    (3, 48, 16, 2, 31),
]


def case(n: int, c: int, d: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(n + c + d + height + width)
    weights = (torch.randn(d, c, k, k) / (k * c**0.5) for k in (3, 5))
    return torch.randn(n, c, height, width), *weights


def expected(
    x: Tensor, small: Tensor, large: Tensor, down: int, right: int
) -> tuple[Tensor, Tensor]:
    """torch's convolutions, moved by padding more before and less behind."""
    results = []
    for w, before in ((small, 1), (large, 2)):
        sides = (before - right, before + right, before - down, before + down)
        results.append(F.conv2d(F.pad(x, sides), w, stride=2))
    return results[0], results[1]


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(
        got.double(), want.double(), rtol=0, atol=TOLERANCE * want.abs().max().item()
    )


@pytest.mark.parametrize("shape", CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 1), (0, 1)])
def test_results_and_gradients_are_those_of_two_convolutions(shape, layout, down, right):
    x, small, large = (t.contiguous(memory_format=layout) for t in case(*shape))
    given = [t.requires_grad_() for t in (x, small, large)]
    precise = [t.detach().double().requires_grad_() for t in given]
    got = hybrid_conv(*given, down=down, right=right)
    want = expected(*precise, down, right)
    upstream = [torch.randn_like(y) for y in got]
    for y, right_one in zip(got, want, strict=True):
        assert y.shape == right_one.shape
        assert y.is_contiguous(memory_format=torch.channels_last)
        close(y, right_one)
    of_ours = torch.autograd.grad(got, given, upstream)
    of_torch = torch.autograd.grad(want, precise, [g.double() for g in upstream])
    for ours, theirs in zip(of_ours, of_torch, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("strides", ["sliced", "transposed", "expanded"])
def test_images_of_any_strides(strides):
    x, small, large = case(4, 16, 16, 9, 9)
    if strides == "sliced":
        x = torch.randn(4, 16, 18, 10)[:, :, ::2, 1:]
    elif strides == "transposed":
        x = x.transpose(2, 3)
    else:
        x = x[:1].expand(4, -1, -1, -1)
    for got, want in zip(
        hybrid_conv(x, small, large), expected(x, small, large, 0, 0), strict=True
    ):
        close(got, want)


def test_one_result_alone_has_its_gradient():
    given = [t.requires_grad_() for t in case(4, 16, 16, 8, 8)]
    for k in (0, 1):
        got = torch.autograd.grad(hybrid_conv(*given)[k].square().sum(), given, allow_unused=True)
        want = torch.autograd.grad(
            expected(*given, 0, 0)[k].square().sum(), given, materialize_grads=True
        )
        for ours, theirs in zip(got, want, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0)])
def test_second_derivatives_are_torchs(down, right):
    given = [t.requires_grad_() for t in case(4, 16, 16, 7, 6)]
    second = []
    for function in (
        lambda *args: hybrid_conv(*args, down=down, right=right),
        lambda *args: expected(*args, down, right),
    ):
        loss = sum(y.pow(3).sum() for y in function(*given))
        first = torch.autograd.grad(loss, given, create_graph=True)
        second.append(torch.autograd.grad(sum(g.square().sum() for g in first), given))
    for ours, theirs in zip(*second, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.abs().max().item())


def test_the_number_of_threads_changes_only_the_sums_over_images():
    x, small, large = (t.requires_grad_() for t in case(7, 16, 32, 21, 10))
    found = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3, 3):
            torch.set_num_threads(count)
            results = hybrid_conv(x, small, large)
            loss = sum(y.square().sum() for y in results)
            found.append([*results, *torch.autograd.grad(loss, (x, small, large))])
    finally:
        torch.set_num_threads(threads)
    for first, other in itertools.product(found[:1], found[1:]):
        assert all(torch.equal(a, b) for a, b in zip(first[:3], other[:3], strict=True))
        for a, b in zip(first[3:], other[3:], strict=True):
            close(a, b)
    assert all(torch.equal(a, b) for a, b in zip(found[2], found[3], strict=True))


def test_no_images_give_no_results_and_gradients_of_zero():
    _, small, large = (t.requires_grad_() for t in case(4, 16, 16, 8, 8))
    results = hybrid_conv(torch.empty(0, 16, 8, 8), small, large)
    assert [y.shape for y in results] == [(0, 16, 4, 4)] * 2
    for grad in torch.autograd.grad(sum(y.sum() for y in results), (small, large)):
        assert not grad.any()


@pytest.mark.parametrize("of_x", [False, True])
def test_the_op_is_registered_as_torch_demands(of_x):
    x, small, large = (t.permute(0, 2, 3, 1).contiguous() for t in case(4, 16, 16, 6, 5))
    args = (x.requires_grad_(of_x), small.requires_grad_(), large.requires_grad_(), 0, 1)
    torch.library.opcheck(
        ops.hybrid_conv_forward.default,
        args,
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )
    grads = [y.detach() for y in ops.hybrid_conv_forward(*args)]
    with torch.no_grad():
        torch.library.opcheck(
            ops.hybrid_conv_backward.default,
            (*grads, *args, of_x),
            test_utils=("test_schema", "test_faketensor"),
        )


WRONG = {
    "must be float32": lambda x, s, w: (x.double(), s, w),
    "x must have a multiple of 16 channels": lambda x, s, w: (x[:, :8], s[:, :8], w[:, :8]),
    "multiple of 16 output channels": lambda x, s, w: (x, s[:9], w[:9]),
    "must be .D, 3, 3, 16. and .D, 5, 5, 16.": lambda x, s, w: (x, w, s),
    "must have pixels": lambda x, s, w: (x[:, :, :0], s, w),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_the_kernel_does_not_take_is_refused(message):
    args = WRONG[message](*case(4, 16, 16, 8, 8))
    assert not can_hybrid_conv(*args)
    with pytest.raises(RuntimeError, match=f"^hybrid_conv_forward: .*{message}"):
        hybrid_conv(*args)


def test_a_shift_beyond_one_pixel_is_refused():
    with pytest.raises(RuntimeError, match="down and right must be 0 or 1, got 2 and 0"):
        hybrid_conv(*case(4, 16, 16, 8, 8), down=2)


def test_the_rule_leaves_everything_else_to_torch():
    x, small, large = case(4, 16, 16, 8, 8)
    assert can_hybrid_conv(x, small, large)
    assert can_hybrid_conv(x, torch.nn.Parameter(small), torch.nn.Parameter(large))
    assert can_hybrid_conv(x[:1], small, large)
    assert not can_hybrid_conv(x[:1, :, :4, :4], small, large)  # 1 tile, 256 pairs of channels
    assert not can_hybrid_conv(x[0], small, large)
    assert not can_hybrid_conv(x.bfloat16(), small.bfloat16(), large.bfloat16())
    assert not can_hybrid_conv(x.to("meta"), small, large)
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_hybrid_conv(x, small, large)
    with torch.autograd.forward_ad.dual_level():
        assert not can_hybrid_conv(x, small, large)
    inside: list[bool] = []

    def ask(t: Tensor) -> Tensor:
        inside.append(can_hybrid_conv(x, small, large))
        return t.sum()

    torch.func.grad(ask)(x)
    torch.jit.trace(ask, x, check_trace=False)
    assert inside == [False, False]
