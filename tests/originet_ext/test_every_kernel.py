"""Hard cases for each kernel of the library: alignments, tails, views, shapes, against references.

They launch every kernel that the CUDA sources instantiate, which .ci/emulate checks.
"""

import itertools
import random
from collections.abc import Callable, Iterator

import pytest
import torch
from activations import DTYPES
from torch import Tensor

from originet_ext import active_image, fused_rrelu_add_norm, reference, sliding_active_images

pytestmark = pytest.mark.slow

ops = torch.ops.originet
EPS = {dtype: torch.finfo(dtype).eps for dtype in DTYPES}
METHODS = ("cumulative", "telescoped", "authors", "absolute", "rectified", "rank", "rank-simple")
WINDOW_METHODS = ("cumulative", "authors", "rank-simple", "absolute", "rectified")
GUARD = 7.0


def close(got: Tensor, want: Tensor, rtol: float, atol: float) -> None:
    torch.testing.assert_close(
        got.double().cpu(), want.double().cpu(), rtol=rtol, atol=atol, equal_nan=True
    )


def samples(count: int, dtype: torch.dtype, device: str) -> Tensor:
    """Values on both sides of the kink; infinities and NaN among the first."""
    x = 6 * torch.randn(count, dtype=torch.float64)
    special = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0], dtype=torch.float64)
    x[: min(4, count)] = special[:count]
    return x.to(dtype).to(device)


def derivative(x: Tensor) -> Tensor:
    leaf = x.double().detach().requires_grad_()
    return torch.autograd.grad(reference.fused_rrelu(leaf).sum(), leaf)[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_psi_at_every_alignment_and_tail_writes_its_own_elements(device, dtype):
    eps = EPS[dtype]
    vector = 16 // dtype.itemsize
    lengths = [*range(1, 2 * vector + 2), 255 * vector, 513 * vector - 1, 4101]
    for start, length in itertools.product(range(vector + 1), lengths):
        buffer = torch.full((start + length + 40,), GUARD, dtype=dtype, device=device)
        x = buffer[start : start + length].copy_(samples(length, dtype, device))
        grad = torch.randn(length + 1, dtype=torch.float64).to(dtype).to(device)
        grad = grad[start % 2 :][:length]  # aligned as `finite` is, or not
        b = samples(length, dtype, device)
        finite = torch.where(x.isfinite(), x, 0.5)
        want = reference.fused_rrelu(x.double())
        close(ops.rrelu_forward(x, 0.1), want, eps, 1e-7)
        close(
            ops.rrelu_add_forward(x, b, 0.1),
            want + reference.fused_rrelu(b.double()),
            2 * eps,
            20 * eps,
        )
        slope = grad.double() * derivative(finite)
        close(ops.rrelu_backward(grad, finite, 0.1), slope, 2 * eps, 1e-6)
        close(ops.rrelu_add_backward(grad, finite, finite, 0.1)[1], slope, 2 * eps, 1e-6)
        ops.rrelu_forward_(x, 0.1)
        close(x, want, eps, 1e-7)
        x.fill_(GUARD)
        assert (buffer == GUARD).all(), (start, length)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_join_of_every_16_bit_value(device, dtype):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int16, device=device).view(dtype)
    x = x[x.isfinite()]
    other = x.flip(0)
    exact = reference.fused_rrelu(x.double()) + reference.fused_rrelu(other.double())
    error = (ops.rrelu_add_forward(x, other, 0.1).double() - exact).abs()
    assert (error <= 0.51 * EPS[dtype] * exact.abs() + 2**-24)[exact.abs() < 6e4].all()
    slopes = ops.rrelu_add_backward(torch.ones_like(x), x, other, 0.1)
    for got, want in zip(slopes, (derivative(x), derivative(other)), strict=True):
        error = (got.double() - want).abs()
        assert (error <= 0.51 * EPS[dtype] * want.abs() + 2**-24).all()


def views_of(length: int, dtype: torch.dtype, device: str) -> Iterator[Tensor]:
    """Frames [length, ...] of each kind that the kernels tell apart."""

    def frames(*shape: int) -> Tensor:
        return (255 * torch.rand(length, *shape, dtype=torch.float64)).to(dtype).to(device)

    yield frames(8, 16)
    yield frames(7, 11)
    yield frames(1, 1)
    yield frames(20, 40)[:, 3:13, 5:30]
    yield frames(20, 64)[:, 2:10, 16:48]  # rows aligned to vectors
    yield frames(6, 5, 3).permute(0, 3, 1, 2)
    yield frames(3, 20, 32)[:, :2, 4:9, 16:32]
    yield frames(9, 24)[:, :, ::2]
    yield frames(8, 16).flatten()[3 : 3 + (length - 1) * 128].view(length - 1, 8, 16)
    if length <= 70:
        yield frames(70, 80)  # several blocks an image


def tolerance(length: int, dtype: torch.dtype, normalize: str) -> float:
    if normalize == "minmax":
        return 1e-2
    return 255 * length**2 * (1e-12 if dtype == torch.float64 else 1e-6) + 1e-5


@pytest.mark.parametrize("dtype", [torch.uint8, *DTYPES])
def test_images_of_every_view_method_and_normalisation(device, dtype):
    choose = random.Random(0)
    for method in METHODS:
        # Few long clips are split over time, many short ones are not.
        lengths = choose.choice([[2, 1, 3], [37], [1, 9, 70, 2, 130, 5], [65, 64, 63], [20] * 7])
        for frames in views_of(sum(lengths), dtype, device):
            own = [*lengths[:-1], lengths[-1] - (sum(lengths) - len(frames))]
            if min(own) == 0:
                continue
            normalize = choose.choice(["none", "clip", "minmax"])
            offsets = torch.tensor([0, *itertools.accumulate(own)])
            got = active_image(frames, offsets, method, normalize)
            exact = frames if dtype == torch.uint8 else frames.double()
            want = reference.active_image(exact, offsets, method, normalize)
            close(got, want, 1e-5, tolerance(max(own), dtype, normalize))
            of_list = active_image(list(frames.split(own)), None, method, normalize)
            close(of_list, want, 1e-5, tolerance(max(own), dtype, normalize))


def test_weighted_sums_of_any_index(device):
    frames = (255 * torch.rand(20, 3, 16)).to(device)
    index = torch.randint(0, 5, (60,), device=device)
    weights = torch.randn(60, device=device)
    clips = torch.tensor([[0, 0, 60], [3, 10, 10], [15, 0, 20], [2, 59, 60]])
    total = int((clips[:, 2] - clips[:, 1]).sum())
    got = ops.temporal_pool([frames], clips, index.cpu(), weights, total, "none")
    for image, (first, begin, end) in zip(got, clips.tolist(), strict=True):
        terms = frames.double()[first + index[begin:end]]
        close(image, (terms * weights[begin:end].double()[:, None, None]).sum(0), 1e-5, 1e-2)


@pytest.mark.parametrize("shape", [(4, 16), (5, 7)])
def test_sums_of_large_integer_weights_take_64_bits(device, shape):
    frames = torch.randint(0, 256, (40, *shape), dtype=torch.uint8, device=device)
    clips = torch.tensor([[0, 0, 40]])
    weights = torch.full((40,), 10**7, device=device)
    got = ops.temporal_pool([frames], clips, torch.arange(40), weights, 40, "none")
    close(got[0], frames.double().sum(0) * 1e7, 1e-6, 0)


@pytest.mark.parametrize("dtype", [torch.uint8, *DTYPES])
def test_windows_of_every_view_method_and_normalisation(device, dtype):
    choose = random.Random(0)
    for method in WINDOW_METHODS:
        for frames in views_of(choose.choice([5, 23, 40]), dtype, device):
            length = len(frames)
            normalize = choose.choice(["none", "clip", "minmax"])
            window = min(length, choose.choice([1, 2, 3, length // 2 or 1, length]))
            stride = choose.choice([1, 2, window, window + 3, 10**6])
            got = sliding_active_images(frames, window, stride, method, normalize)
            exact = frames if dtype == torch.uint8 else frames.double()
            want = reference.sliding_active_images(exact, window, stride, method, normalize)
            close(got, want, 1e-5, tolerance(window, dtype, normalize))


@pytest.mark.parametrize("method", WINDOW_METHODS)
@pytest.mark.parametrize("normalize", ["none", "minmax"])
def test_windows_that_need_64_bits(device, method, normalize):
    frames = torch.randint(0, 256, (2910, 2, 16), dtype=torch.uint8, device=device)
    got = sliding_active_images(frames, 2905, 2, method, normalize)
    want = reference.sliding_active_images(frames, 2905, 2, method, normalize)
    close(got, want, 1e-6, 1e-2 if normalize == "minmax" else 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_windows_of_images_of_several_blocks_are_stretched(device, dtype):
    frames = torch.rand(9, 20, 31, dtype=dtype, device=device) * 255
    for windows in (1, 4):
        got = sliding_active_images(frames, 10 - windows, 1, "cumulative", "minmax")
        want = reference.sliding_active_images(
            frames.double(), 10 - windows, 1, "cumulative", "minmax"
        )
        close(got, want, 1e-5, 1e-2)


@pytest.mark.parametrize("method", ["absolute", "rectified", "cumulative"])
def test_so_many_frames_that_sums_might_need_64_bits(device, method):
    # From so many on, twice the most motion that a pixel can have is beyond 32 bits.
    count = 2**31 // (2 * 255) + 3
    flicker = torch.tensor([0, 255], dtype=torch.uint8, device=device).repeat(count // 2 + 3)
    frames = flicker.as_strided((count, 1, 4), (1, 4, 1))
    want = reference.active_image(frames.double(), method=method)
    close(sliding_active_images(frames, count, 1, method)[0], want, 1e-6, 1)
    if method == "cumulative":
        return
    close(active_image(frames, method=method), want, 1e-6, 0)
    # Sixteen pixels a thread, which all of the time see the same frame.
    still = torch.full((1, 1, 16), 7, dtype=torch.uint8, device=device).expand(count, 1, 16)
    assert not active_image(still, method=method).any()


@pytest.mark.parametrize("method", ["absolute", "rectified"])
def test_motions_of_more_frames_than_32_bits_hold(device, method):
    count = 2**31 // 255 + 3
    flicker = torch.tensor([0, 255], dtype=torch.uint8, device=device).repeat(count // 2 + 1)
    frames = flicker[:count].view(count, 1, 1)
    want = reference.active_image(frames.double(), method=method)
    assert want > 2**31 - 2**10
    close(active_image(frames, method=method), want, 1e-6, 0)
    # Sixteen pixels a thread, which all of the time see the same frame.
    still = torch.full((1, 1, 16), 7, dtype=torch.uint8, device=device).expand(count, 1, 16)
    assert not active_image(still, method=method).any()


# No larger than takes several blocks a channel, (64, 8, 6, 6), and several blocks of alternating
# channels, (3, 136, 2, 2): every block of planes takes all of its threads, be there work or not.
NORM_SHAPES = [
    (2, 3, 4, 4), (2, 16, 8, 8), (5, 7, 3, 5), (3, 64, 1, 1), (9, 24), (1, 5, 33), (2, 130, 2, 2),
    (64, 8, 6, 6), (2, 1, 5, 5), (3, 136, 2, 2),
]  # fmt: skip
NORM_ERROR = {torch.float16: 4e-3, torch.bfloat16: 3e-2, torch.float32: 2e-5, torch.float64: 1e-10}


def norm_outputs(
    function: Callable[..., Tensor],
    inputs: list[Tensor],  # a, b, weight, bias, bias_a, bias_b
    statistics: list[Tensor],
    grad: Tensor,
    training: bool,
) -> list[Tensor]:
    """The result of a normalised join, the running statistics after it, and all gradients."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    running = [x.clone() for x in statistics]
    a, b, weight, bias, bias_a, bias_b = leaves
    out = function(a, b, weight, bias, *running, bias_a=bias_a, bias_b=bias_b, training=training)
    return [out.detach(), *running, *torch.autograd.grad(out, leaves, grad)]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_norms_of_every_mapping(device, dtype, training):
    of_channel = torch.float64 if dtype == torch.float64 else torch.float32
    rows, last = torch.contiguous_format, torch.channels_last
    # Of a and b, and of the gradient.
    layouts = [(rows, rows), (last, last), (last, rows)]
    for shape, (layout, grad_layout) in itertools.product(NORM_SHAPES, layouts):
        if layout == last and len(shape) != 4:
            continue
        values = [2 * torch.randn(shape, dtype=torch.float64) + mean for mean in (3, 0, 0)]
        a, b, grad = (
            x.to(dtype).to(device).contiguous(memory_format=memory_format)
            for x, memory_format in zip(values, (layout, layout, grad_layout), strict=True)
        )
        channels = shape[1]
        vectors = [torch.randn(channels, device=device, dtype=of_channel) for _ in range(4)]
        mean = torch.randn(channels, device=device, dtype=of_channel)
        statistics = [mean, mean.square() + 0.5]
        inputs = [a, b, *vectors]
        got = norm_outputs(fused_rrelu_add_norm, inputs, statistics, grad, training)
        want = norm_outputs(
            reference.fused_rrelu_add_norm,
            [x.double() for x in inputs],
            [x.double() for x in statistics],
            grad.double(),
            training,
        )
        for x, y in zip(got, want, strict=True):
            close(x, y, NORM_ERROR[dtype], NORM_ERROR[dtype] * (1 + float(y.abs().max())))
