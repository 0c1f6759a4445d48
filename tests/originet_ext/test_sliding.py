"""sliding_active_images against active_image of each window."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import originet_ext
from originet_ext import METHODS, active_image, method_weights, reference, sliding_active_images

EXACT = ["telescoped", "cumulative", "authors", "absolute", "rectified", "rank-simple"]
RUNNING = EXACT[1:]
RAMPS = ["authors", "rank-simple"]
LINEAR = ["cumulative", *RAMPS]
MOTIONS = ["absolute", "rectified"]
MODULES = pytest.mark.parametrize("module", [originet_ext, reference])


def random_frames(n: int, shape=(5, 7), device="cpu", seed=0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator).to(device)


def one_by_one(frames: Tensor, window: int, stride: int, *names: str) -> Tensor:
    starts = range(0, len(frames) - window + 1, stride)
    return torch.stack([active_image(frames[s : s + window], None, *names) for s in starts])


# Exactness


@pytest.mark.slow
@pytest.mark.parametrize("method", EXACT)
@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 60),
    window=st.integers(1, 60),
    stride=st.integers(1, 70),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    layout=st.sampled_from(["dense", "crop", "reversed time", "channels first", "every other"]),
    seed=st.integers(0, 2**31),
)
@example(9, 1, 1, [3], "dense", 0)
@example(9, 2, 1, [3], "dense", 0)
@example(9, 3, 1, [3], "dense", 0)
@example(40, 7, 7, [3], "dense", 0)
@example(40, 7, 12, [3], "dense", 0)
@example(40, 12, 7, [3], "crop", 0)
@example(40, 12, 4, [3], "crop", 0)
@example(20, 20, 1, [3], "dense", 0)
@example(20, 8, 21, [3], "dense", 0)
@example(20, 8, 2**62, [3], "dense", 0)
def test_uint8_windows_equal_active_image_bit_for_bit(
    method, length, window, stride, shape, layout, seed
):
    window = min(window, length)
    if layout == "crop":
        wide = random_frames(length, [size + 3 for size in shape], seed=seed)
        frames = wide[(slice(None), *(slice(2, 2 + size) for size in shape))]
    elif layout == "reversed time":
        frames = random_frames(length, shape, seed=seed).flip(0)
    elif layout == "channels first":
        frames = random_frames(length, shape, seed=seed).movedim(-1, 1)
    elif layout == "every other":
        frames = random_frames(2 * length, shape, seed=seed)[::2]
    else:
        frames = random_frames(length, shape, seed=seed)
    got = sliding_active_images(frames, window, stride, method)
    assert got.dtype == torch.float32
    assert torch.equal(got, one_by_one(frames, window, stride, method))


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize(("window", "stride"), [(40, 7), (5, 40), (88, 1)])
def test_frames_of_many_tiles_and_strided_rows(device, method, window, stride):
    for frames in (
        random_frames(90, (100, 131), device),
        random_frames(90, (3, 60, 80), device)[:, :, 3:55, 2:75],
        random_frames(90, (40, 50, 3), device).permute(0, 3, 1, 2),
        random_frames(90, (3, 5000), device)[:, ::2],
        random_frames(90, (0, 4), device),
    ):
        got = sliding_active_images(frames, window, stride, method)
        assert torch.equal(got, one_by_one(frames, window, stride, method))


@pytest.mark.parametrize("method", RAMPS)
def test_ramps_of_extreme_pixels_do_not_overflow(device, method):
    # 32 bits are enough for windows of 2901 frames, by the bound that the plan takes.
    frames = torch.zeros(6100, 1, 4, dtype=torch.uint8)
    frames[:, :, 0] = 255
    frames[3000:, :, 1] = 255
    frames[:3000, :, 2] = 255
    frames[1::2, :, 3] = 255
    for window in (2901, 2902, 5900):
        starts = range(0, 6100 - window + 1, 97)
        weights = method_weights(method, window)
        clips = torch.stack([frames[s : s + window] for s in starts]).long()
        want = torch.einsum("t,stij->sij", weights, clips).float()
        got = sliding_active_images(frames.to(device), window, 97, method).cpu()
        assert torch.equal(got, want)


@pytest.mark.parametrize("method", MOTIONS)
def test_motions_of_extreme_pixels_do_not_overflow(device, method):
    # 2 * 255 * window exceeds 32 bits from 4,210,753 frames on.
    frames = torch.zeros(4_212_000, 2, dtype=torch.uint8)
    frames[1::2, 0] = 255
    for window in (4_210_752, 4_210_753):
        got = sliding_active_images(frames.to(device), window, 1001, method).cpu()
        differences = window - 1  # from 0 to 255 and back; window 0 and 1 begin with 0 and 255
        for k, image in enumerate(got):
            rises = (differences + 1 - k % 2) // 2
            last_rises = (differences + k) % 2
            want = (
                2 * 255 * differences - 255
                if method == "absolute"
                else 255 * (2 * rises - last_rises)
            )
            assert image.tolist() == [float(np.float32(want)), 0]


def test_sums_of_extreme_pixels_do_not_overflow(device):
    # 2 * 255 * window exceeds 32 bits from 4,210,753 frames on.
    frames = torch.zeros(4_212_000, 3, dtype=torch.uint8)
    frames[:, 0] = 255
    frames[1:, 1] = 255
    frames[0, 2] = 255
    for window in (4_210_752, 4_210_753):
        first, second = sliding_active_images(frames.to(device), window, 1001, "cumulative").cpu()
        largest = float(np.float32(255 * (2 * window - 3)))
        assert first.tolist() == [0, largest, -largest] and second.tolist() == [0, 0, 0]


# Bounds of what is not exact


@pytest.mark.parametrize("method", ["rank", "learnet"])
def test_float_weights_keep_the_stated_bound(device, method):
    frames = random_frames(300, device=device)
    for window, stride in ((2, 1), (40, 7), (300, 1)):
        got = sliding_active_images(frames, window, stride, method).cpu().double()
        weights = method_weights(method, window)
        clips = frames.cpu().double().unfold(0, window, stride)  # [W, ..., window]
        bound = (clips * weights.abs()).sum(-1) * (window + 2) * 2**-24
        assert ((got - (clips * weights).sum(-1)).abs() <= bound).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("method", RUNNING)
def test_floating_frames_keep_the_stated_bound(device, method, dtype):
    frames = (torch.randn(400, 6, 11, dtype=torch.float64) * 3 + 900).to(dtype)
    for window, stride in ((3, 1), (40, 7), (199, 1), (20, 30)):
        got = sliding_active_images(frames.to(device), window, stride, method).cpu()
        assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        clips = frames.double().unfold(0, window, stride)  # [W, ..., window]
        if method in LINEAR:
            weights = method_weights(method, window).double()
            want = (clips * weights).sum(-1)
            spread = clips.amax(-1) - clips.amin(-1)
            bound = 2.0**-22 * weights.abs().sum() * spread
        else:
            change = clips.diff(dim=-1)
            change = change.abs() if method == "absolute" else change.clamp(min=0)
            want = 2 * change.sum(-1) - change[..., -1]
            bound = 2.0**-22 * want
        if dtype == torch.float64:
            bound = bound * 2.0**-20 + 1e-10
        assert ((got.double() - want).abs() <= bound).all()


@pytest.mark.parametrize("method", RUNNING)
def test_errors_do_not_grow_along_a_video(device, method):
    # A large offset and a slow drift: what a running sum that also subtracts would lose digits to.
    frames = torch.randn(20_000, 8) + 1e4 + torch.linspace(0, 100, 20_000).unsqueeze(1)
    got = sliding_active_images(frames.to(device), 50, 3, method).cpu().double()
    want = one_by_one(frames.double(), 50, 3, method)
    error = (got - want).abs()
    scale = 2.0**-22 * (50**2 / 2 * 10 if method in LINEAR else want.max().item())
    assert error[:500].max() <= scale and error[-500:].max() <= scale


@pytest.mark.parametrize("method", METHODS)
def test_pixels_at_rest_give_exactly_zero(device, method):
    if method == "learnet":
        return  # its weights do not sum to 0
    frames = torch.full((100, 3), 0.1, device=device)
    images = sliding_active_images(frames, 40, 3, method)
    # The weights of `rank` are rounded, and sum to 0 only nearly.
    assert (images.abs() <= (1e-4 if method == "rank" else 0)).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("method", METHODS)
def test_a_bad_frame_spoils_only_the_windows_that_hold_it(device, method, bad):
    for window, stride in ((10, 3), (10, 1), (4, 9), (6, 6)):
        frames = torch.rand(60, 4, device=device)
        clean = sliding_active_images(frames, window, stride, method)
        frames[31, 2] = bad
        images = sliding_active_images(frames, window, stride, method)
        starts = torch.arange(len(images), device=device) * stride
        holds = (starts <= 31) & (31 < starts + window)
        assert torch.equal(images[~holds], clean[~holds])
        assert torch.equal(images[:, [0, 1, 3]], clean[:, [0, 1, 3]])
        if method in RUNNING and bad != bad:
            assert images[holds, 2].isnan().all()


# Invariance


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("method", METHODS)
def test_thread_count_does_not_change_a_bit(method, dtype):
    frames = random_frames(200, (60, 70)).to(dtype)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(sliding_active_images(frames, 30, 4, method, "minmax"))
    torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize("normalize", ["none", "minmax"])
@pytest.mark.parametrize("method", METHODS)
def test_a_video_in_pieces_gives_the_same_images(device, method, normalize):
    frames = random_frames(200, device=device)
    for window, stride in ((24, 5), (5, 5), (3, 8)):
        whole = sliding_active_images(frames, window, stride, method, normalize)
        pieces, start, length = [], 0, 67
        while len(frames) - start >= window:
            piece = frames[start : start + length]
            pieces.append(sliding_active_images(piece, window, stride, method, normalize))
            start += len(pieces[-1]) * stride
        assert len(pieces) > 2 and torch.equal(torch.cat(pieces), whole)


@pytest.mark.slow
def test_memory_holds_frames_images_and_little_else():
    program = """
import resource, torch
from originet_ext import sliding_active_images
frames = torch.randint(0, 256, (1500, 80, 80), dtype=torch.uint8)
crop = frames[:, 8:72, 8:72]
sliding_active_images(crop[:50], 40, 5, normalize="minmax")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
for method in ("cumulative", "telescoped", "absolute", "rank-simple"):
    for window in (40, 640):
        images = sliding_active_images(crop, window, 1, method, "minmax")
        room = 1461 * 64 * 64 * 4 + 8 * 2**20
        assert peak() - before <= room, (method, window, peak() - before, room)
        del images
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@MODULES
@pytest.mark.parametrize("method", METHODS)
def test_normalisation(module, method, device):
    frames = random_frames(40, device=device)
    raw = module.sliding_active_images(frames, 12, 3, method)
    assert torch.equal(
        module.sliding_active_images(frames, 12, 3, method, "clip"), raw.clamp(0, 255)
    )
    minmax = module.sliding_active_images(frames, 12, 3, method, "minmax")
    assert torch.equal(minmax, reference.normalize_images(raw, "minmax"))
    still = module.sliding_active_images(torch.zeros(9, 2, 2, device=device), 5, 1, method)
    assert (still == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_reference_is_active_image_window_by_window(device, method):
    normalize = "minmax"
    frames = random_frames(30, device=device)
    got = reference.sliding_active_images(frames, 9, 4, method, normalize)
    want = one_by_one(frames, 9, 4, method, normalize)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-3)


# Autograd


@pytest.mark.parametrize("normalize", ["none", "minmax"])
@pytest.mark.parametrize("method", METHODS)
def test_gradcheck(device, method, normalize):
    frames = (torch.rand(9, 2, 3, dtype=torch.float64, device=device) * 255).requires_grad_()
    torch.autograd.gradcheck(
        lambda f: sliding_active_images(f, 4, 2, method, normalize),
        (frames,),
        check_forward_ad=True,
        check_batched_grad=True,
        eps=1e-5,
        atol=1e-4,
    )


@pytest.mark.parametrize("method", METHODS)
def test_gradients_and_derivatives_match_reference(device, method):
    frames = torch.rand(12, 4, 4, device=device)
    tangent = torch.randn_like(frames)

    def of(module):
        images = lambda f: module.sliding_active_images(f, 5, 3, method)  # noqa: E731
        value, derivative = torch.func.jvp(images, (frames,), (tangent,))
        gradient = torch.func.grad(lambda f: (images(f) ** 2).sum())(frames)
        leaf = frames.clone().requires_grad_()
        (images(leaf) ** 2).sum().backward()
        return value, derivative, gradient, leaf.grad

    torch.testing.assert_close(of(originet_ext), of(reference), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_asking_for_a_gradient_does_not_change_the_images(device, method):
    frames = torch.rand(30, 4, 4, device=device)
    plain = sliding_active_images(frames, 10, 3, method)
    with_graph = sliding_active_images(frames.requires_grad_(), 10, 3, method)
    assert with_graph.requires_grad and not plain.requires_grad
    torch.testing.assert_close(with_graph.detach(), plain, rtol=1e-5, atol=1e-4)


def test_uint8_frames_have_no_gradient(device):
    for method in METHODS:
        images = sliding_active_images(random_frames(9, device=device), 3, 1, method)
        assert not images.requires_grad


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("method", METHODS)
def test_vmap_over_frames(device, method, dtype):
    batch = random_frames(30, (4, 5), device).reshape(3, 10, 4, 5).to(dtype)
    got = torch.vmap(lambda f: sliding_active_images(f, 4, 2, method))(batch)
    want = torch.stack([sliding_active_images(frames, 4, 2, method) for frames in batch])
    torch.testing.assert_close(got, want)


@pytest.mark.slow
@pytest.mark.parametrize("method", RUNNING)
def test_opcheck(device, method):
    op = torch.ops.originet.sliding_pool.default
    for frames, window, stride, normalize in (
        (random_frames(20, (4, 5), device), 6, 4, "none"),
        (random_frames(20, (4, 9), device)[:, :, 2:7].float(), 1, 3, "clip"),
        (torch.rand(20, 3, dtype=torch.float64, device=device), 20, 1, "none"),
    ):
        torch.library.opcheck(op, (frames, window, stride, method, normalize))


@pytest.mark.parametrize(
    "method", ["cumulative", "authors", "rank-simple", "absolute", "rectified"]
)
def test_the_op_itself_has_derivatives(device, method):
    frames = torch.rand(9, 3, dtype=torch.float64, device=device, requires_grad=True)
    torch.autograd.gradcheck(
        lambda x: torch.ops.originet.sliding_pool(x, 4, 2, method, "none"),
        (frames,),
        check_forward_ad=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_compiled(device, method):
    function = torch.compile(
        lambda f, *args: sliding_active_images(f, *args, method, "minmax") + 1,
        fullgraph=True,
        backend="aot_eager",
    )
    for length, *args in ((20, 6, 2), (33, 7, 3)):  # the second time all of them dynamic
        frames = random_frames(length, device=device)
        want = sliding_active_images(frames, *args, method, "minmax") + 1
        assert torch.equal(function(frames, *args), want)
    leaves = [random_frames(20, device=device).float().requires_grad_() for _ in range(2)]
    (function(leaves[0], 6, 2) ** 2).sum().backward()
    ((sliding_active_images(leaves[1], 6, 2, method, "minmax") + 1) ** 2).sum().backward()
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad)


# Errors


@pytest.mark.slow
@MODULES
def test_bad_arguments_are_named(module):
    frames = torch.zeros(10, 2, 2)
    for args, error, message in (
        ((frames, 0), ValueError, "window must be 1 or more, got 0"),
        ((frames, -3), ValueError, "window must be 1 or more, got -3"),
        ((frames, 11), ValueError, "window must be at most the number of frames, 10, got 11"),
        ((frames, 2.0), TypeError, "window must be an int, got float"),
        ((frames, True), TypeError, "window must be an int, got bool"),
        ((frames, 2, 0), ValueError, "stride must be 1 or more, got 0"),
        ((frames, 2, "1"), TypeError, "stride must be an int, got str"),
        ((frames[0, 0], 2), ValueError, r"\[T, \.\.\.\] with 2 dimensions or more, got \[2\]"),
        ((frames[:0], 1), ValueError, "window must be at most the number of frames, 0, got 1"),
        ((frames.int(), 2), TypeError, r"frames must be uint8.* got torch\.int32"),
        (([frames], 2), TypeError, r"frames must be a torch\.Tensor, got list"),
        ((frames, 2, 1, "paper"), ValueError, r"cumulative, telescoped, .*, got 'paper'"),
        ((frames, 2, 1, "cumulative", "max"), ValueError, "none, clip, minmax, got 'max'"),
    ):
        with pytest.raises(error, match=message):
            module.sliding_active_images(*args)


def test_op_called_directly_never_reads_outside():
    op = torch.ops.originet.sliding_pool
    frames = torch.zeros(10, 2)
    for args, message in (
        ((frames, 11, 1, "absolute", "none"), "window must be at most 10 frames, got 11"),
        ((frames, 0, 1, "absolute", "none"), "window must be 1 or more, got 0"),
        ((frames, 2, 0, "absolute", "none"), "stride must be 1 or more, got 0"),
        (
            (frames, 2, 1, "telescoped", "none"),
            "cumulative, authors, rank-simple, absolute or rectified, got telescoped",
        ),
        ((frames, 2, 1, "absolute", "max"), "normalize must be none, clip or minmax, got max"),
        ((frames[:, 0], 2, 1, "absolute", "none"), r"2 dimensions or more, got \[10\]"),
        ((frames.int(), 2, 1, "absolute", "none"), "frames must be uint8 or floating, got Int"),
        (
            (frames[:1].byte().expand(2 * 10**8, 2), 10**8 + 1, 1, "authors", "none"),
            "a window of 100000001 uint8 frames can overflow 64 bits",
        ),
    ):
        with pytest.raises(RuntimeError, match=message):
            op(*args)
