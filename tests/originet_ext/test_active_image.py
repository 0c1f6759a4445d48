"""The temporal pools and active_image against NumPy integers and hand-computed points."""

import math
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

import originet_ext
from originet_ext import (
    METHODS,
    NORMALIZATIONS,
    _device_weights,
    active_image,
    method_weights,
    reference,
    temporal_pool,
)

EXACT = ["cumulative", "telescoped", "authors", "absolute", "rectified", "rank-simple"]
MODULES = pytest.mark.parametrize("module", [originet_ext, reference])


def numpy_active_image(frames: np.ndarray, method: str) -> np.ndarray:
    """Integer methods literally as docs/design.md says, in int64; independent of the package."""
    f = frames.astype(np.int64)
    n = len(f)
    total = np.zeros(f.shape[1:], dtype=np.int64)
    if n == 1:
        return total
    if method == "cumulative":
        ft = [f[t] - f[0] for t in range(n)]
        for t in range(1, n):  # E(t) = FT(t-1) + FT(t)
            total += ft[t - 1] + ft[t]
    elif method in ("telescoped", "absolute", "rectified"):
        keep = {
            "telescoped": lambda d: d,
            "absolute": np.abs,
            "rectified": lambda d: np.maximum(d, 0),
        }[method]
        ft = [np.zeros_like(total)] + [keep(f[t] - f[t - 1]) for t in range(1, n)]
        for t in range(1, n):  # E(t) = FT(t-1) + FT(t)
            total += ft[t - 1] + ft[t]
    elif method == "authors":
        running = np.zeros_like(total)  # sum of I_k over k <= j - 2
        for j in range(2, n):
            running += f[j - 2]
            total += (j - 1) * f[j] - running
    elif method == "rank-simple":
        for t in range(1, n + 1):
            total += (2 * t - n - 1) * f[t - 1]
    return total


def random_clip(n, shape=(5, 7), device="cpu") -> torch.Tensor:
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8).to(device)


# Definitions


def test_weights_of_eight_frames_are_those_of_the_design():
    expected = {
        "cumulative": [-13, 2, 2, 2, 2, 2, 2, 1],
        "telescoped": [-2, 0, 0, 0, 0, 0, 1, 1],
        "authors": [-6, -5, -3, -1, 1, 3, 5, 6],
        "rank-simple": [-7, -5, -3, -1, 1, 3, 5, 7],
        "rank": [-8.4607, -1.4607, 1.0393, 2.0393, 2.2893, 2.0893, 1.5893, 0.8750],
        "learnet": [-5.7429, 0.2571, 2.2571, 2.9238, 2.9238, 2.5238, 1.8571, 1.0],
    }
    for method, weights in expected.items():
        np.testing.assert_allclose(method_weights(method, 8), weights, atol=5e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 17, 200])
def test_weights_sum_to_zero_except_learnet(n):
    for method in ("cumulative", "telescoped", "authors", "rank-simple", "rank"):
        assert abs(float(method_weights(method, n).sum())) < 1e-9 * n
    assert float(method_weights("learnet", n).sum()) == pytest.approx(n if n > 1 else 0)


@pytest.mark.parametrize("n", [3, 8, 50])
def test_authors_equals_rank_simple_but_for_the_ends(n):
    difference = method_weights("rank-simple", n) - method_weights("authors", n)
    assert difference[1:-1].eq(0).all() and difference[0] == -1 and difference[-1] == 1


@pytest.mark.parametrize("n", [2, 3, 4, 60])
def test_equations_1_to_3_in_both_readings(n):
    clip = random_clip(n)
    f = clip.long()
    telescoped = f[-1] - f[0] if n == 2 else f[-1] + f[-2] - 2 * f[0]
    cumulative = 2 * (f[1:-1] - f[0]).sum(0) + f[-1] - f[0]
    for method, want in (("telescoped", telescoped), ("cumulative", cumulative)):
        assert torch.equal(active_image(clip, method=method).long(), want)
        assert torch.equal(want, torch.from_numpy(numpy_active_image(clip.numpy(), method)))
    assert torch.equal(active_image(clip).long(), cumulative)  # the default


def test_only_the_telescoped_image_is_blind_to_what_comes_and_goes(device):
    """A square that is brighter in the middle of a clip and gone in its last two frames."""
    clip = torch.full((9, 6, 6), 90, dtype=torch.uint8, device=device)
    clip[2:6, 1:4, 1:4] = 130
    square = torch.zeros(6, 6, dtype=torch.bool)
    square[1:4, 1:4] = True
    for method in METHODS:
        image = active_image(clip, method=method, normalize="none").cpu()
        assert (image[square].unique().numel(), image[~square].unique().numel()) == (1, 1)
        seen = not torch.equal(image[0, 0], image[1, 1])
        assert seen == (method != "telescoped")


@MODULES
@pytest.mark.parametrize("method", METHODS)
def test_one_frame_gives_zeros(module, method, device):
    assert torch.equal(
        module.active_image(random_clip(1, device=device), method=method).cpu(), torch.zeros(5, 7)
    )


# Exactness


@pytest.mark.parametrize("method", EXACT)
def test_uint8_is_bit_identical_to_numpy_for_1_to_300_frames(device, method):
    lengths = list(range(1, 301))
    clips = [random_clip(n, (3, 5)) for n in lengths]
    packed = torch.cat(clips).to(device)
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    got = active_image(packed, offsets, method).cpu().numpy()
    want = np.stack([numpy_active_image(clip.numpy(), method) for clip in clips])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want.astype(np.float32))


@pytest.mark.parametrize("method", ["rank", "learnet"])
def test_float_weights_keep_the_stated_bound(device, method):
    for n in (2, 10, 100, 300):
        clip = random_clip(n, device=device)
        weights = method_weights(method, n)
        exact = torch.einsum("t,tij->ij", weights, clip.cpu().double())
        bound = torch.einsum("t,tij->ij", weights.abs(), clip.cpu().double()) * (n + 2) * 2**-24
        error = (active_image(clip, method=method).cpu().double() - exact).abs()
        assert (error <= bound).all()


@pytest.mark.parametrize("method", ["rank", "learnet"])
@pytest.mark.parametrize("frames", [5, 16, 64, 100])
def test_float_weights_give_the_same_bits_wherever_frames_lie(method, frames):
    dense = random_clip(frames, (64, 64))  # 4096 bytes apart: fewer in one sweep of the CPU kernel
    expected = active_image(dense, method=method)
    apart = torch.zeros(frames, 64, 80, dtype=torch.uint8)
    apart[:, :, 9:73] = dense
    assert torch.equal(active_image(apart[:, :, 9:73], method=method), expected)
    assert torch.equal(active_image(dense[:, :30], method=method), expected[:30])


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("pixels", [(2, 24), (1, 7)])
@pytest.mark.parametrize("normalize", ["none", "minmax"])
def test_any_division_of_time_gives_the_same_bits(device, method, pixels, normalize):
    """Few pixels: warps share the frames of a clip, and blocks those of a long one."""
    for n in (8, 9, 16, 17, 31, 63, 64, 65, 127, 513, 1100):
        clips = [random_clip(n, pixels), random_clip(max(n // 3, 1), pixels)]
        got = active_image([clip.to(device) for clip in clips], None, method, normalize).cpu()
        want = [numpy_active_image(clip.numpy(), method).astype(np.float32) for clip in clips]
        if normalize == "minmax":
            want = [(x - x.min()) / (np.ptp(x) or 1) * np.float32(255) for x in want]
        torch.testing.assert_close(got.numpy(), np.stack(want), rtol=0, atol=0)


@pytest.mark.parametrize("method", EXACT)
def test_extreme_pixels_in_long_clips_do_not_overflow(device, method):
    # Frames alternate between 0 and 255: the largest motion, in clips around one sweep of the CPU
    # kernel, whose sums have 16 bits, and, for the weighted methods, past what int32 holds.
    for n in (7, 8, 9, 15, 16, 17, 31, 32, 33, 256, 257, 258, 259, 515, 6000):
        clip = torch.zeros(n, 1, 4, dtype=torch.uint8)
        clip[1::2] = 255
        clip[:, :, 3] = 255
        clip[-n // 2 :, :, 1] = 255
        clip[: n // 2, :, 2] = 255
        got = active_image(clip.to(device), method=method).cpu().numpy()
        np.testing.assert_array_equal(
            got, numpy_active_image(clip.numpy(), method).astype(np.float32)
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "longest"),
    [
        ("cumulative", 2105377),
        *(("authors", 4104), ("rank-simple", 4104)),
        *(("absolute", 4210753), ("rectified", 4210753)),
    ],
)
def test_clips_too_long_for_int32_take_64_bits(device, method, longest):
    """`longest` is the most frames for which no sum can leave int32, see docs/design.md."""
    if method not in ("absolute", "rectified"):
        for n, fits in ((longest, True), (longest + 1, False)):
            largest = 255 * int(method_weights(method, n).abs().sum())
            assert (largest < 2**31) == fits
    else:
        assert 2 * 255 * (longest - 1) < 2**31 <= 2 * 255 * longest
    for n in (longest, longest + 1, 2 * longest):
        clip = torch.zeros(n, 4, dtype=torch.uint8)
        clip[1::2, 0] = 255  # the most motion there can be
        clip[n // 2 :, 1] = 255  # the most a rising weight can give
        clip[1:, 2] = 255  # the most above the onset there can be, and below it
        clip[0, 3] = 255
        want = numpy_active_image_of_long_clip(clip.numpy(), method)
        got = active_image(clip.to(device), method=method).cpu().numpy()
        np.testing.assert_array_equal(got, want.astype(np.float32))


def numpy_active_image_of_long_clip(frames: np.ndarray, method: str) -> np.ndarray:
    """As `numpy_active_image`, without its loop over frames."""
    f, n = frames.astype(np.int64), len(frames)
    if method == "cumulative":
        return 2 * (f - f[0]).sum(0) - (f[-1] - f[0])
    if method in ("authors", "rank-simple"):
        t = np.arange(1, n + 1)[:, None]
        total = ((2 * t - n - 1) * f).sum(0)
        return total + f[0] - f[-1] if method == "authors" else total
    steps = np.diff(f, axis=0)
    steps = np.abs(steps) if method == "absolute" else np.maximum(steps, 0)
    return 2 * steps.sum(0) - steps[-1]


def test_telescoped_reads_three_frames_however_long_the_clip(device):
    frames = random_clip(100_000, (3,), device)
    frames[0], frames[-2], frames[-1] = 1, 2, 3
    assert (active_image(frames, method="telescoped") == 3.0).all()


@pytest.mark.parametrize("method", METHODS)
def test_pixels_across_tiles_and_vectors(device, method):
    for shape in ((1,), (15,), (16,), (17, 3), (2049,), (3, 64, 64), (0,), (4, 0)):
        clip = random_clip(9, shape)
        got = active_image(clip.to(device), method=method).cpu()
        torch.testing.assert_close(
            got, reference.active_image(clip, method=method), atol=1e-3, rtol=1e-6
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_floating_frames_match_reference(device, method, dtype):
    clip = (torch.rand(23, 6, 11, dtype=torch.float64) * 255).to(dtype)
    got = active_image(clip.to(device), method=method)
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    want = reference.active_image(clip.double(), method=method)
    scale = 1e-12 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(got.cpu().double(), want, rtol=scale, atol=scale * 255 * 23)


@MODULES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("method", EXACT)
def test_floating_pixels_at_rest_give_exactly_zero(module, device, method, dtype):
    """Whatever their value: rounding errors would be stretched to a picture by "minmax"."""
    still = torch.randn(7, 40, dtype=torch.float64).mul(100).to(device, dtype)
    for n in (1, 2, 3, 9, 64, 300):
        clip = still.expand(n, -1, -1)
        assert (module.active_image(clip, method=method) == 0).all()
        stretched = module.active_image([clip, clip[:1]], method=method, normalize="minmax")
        assert (stretched == 0).all()
    weights = torch.tensor([3, -5, 0, 2])
    assert (module.temporal_pool(still.expand(4, -1, -1), weights) == 0).all()
    others = torch.tensor([4, -4, 0, 1])  # exact in any order, and not to be centred
    kept = module.temporal_pool(still.expand(4, -1, -1), others)
    assert torch.equal(kept.double(), still.double())
    # 2^63 + 2^63 is not 0, though it is in 64 bits.
    wrapping = torch.tensor([-(2**63), -(2**63)])
    assert (module.temporal_pool(still.double().abs().expand(2, -1, -1), wrapping) < 0).all()


@pytest.mark.parametrize("method", ["cumulative", "authors", "rank-simple"])
def test_large_values_cost_no_digits(device, method):
    """Movements of 1e-3 on grey levels of 1000, in float32, which has 6e-5 there."""
    clip = torch.randn(100, 50, dtype=torch.float64).mul(1e-3).add(1000).float()
    got = active_image(clip.to(device), method=method).cpu().double()
    weights = method_weights(method, 100).double()
    exact = torch.einsum("t,ti->i", weights, clip.double())
    spread = (weights.abs().unsqueeze(1) * (clip - clip[0]).double().abs()).sum(0)
    assert ((got - exact).abs() <= 103 * 2**-24 * spread).all()


@pytest.mark.parametrize("method", EXACT)
def test_infinities_are_those_of_the_definition(device, method):
    for value in (math.inf, -math.inf, math.nan):
        # The others are not read under `telescoped`.
        for t in (0, 4, 5) if method == "telescoped" else range(6):
            clip = torch.rand(6, 3)
            clip[t, 1] = value
            got = active_image(clip.to(device), method=method).cpu()
            want = reference.active_image(clip, method=method)
            if method == "telescoped":  # literally: the reference multiplies unread frames by 0
                want = clip[-1] + clip[-2] - 2 * clip[0]
            # Of the ramps, deviations from it are infinite, of both signs.
            infinite_first = t == 0 and method in ("authors", "rank-simple")
            assert not infinite_first or got[1].isnan()
            torch.testing.assert_close(got, want, equal_nan=True, rtol=1e-5, atol=1e-5)


# Forms of clips


@MODULES
@pytest.mark.parametrize("method", METHODS)
def test_packed_list_and_single_clips_agree(module, device, backend, method):
    clips = [random_clip(n, device=device) for n in (4, 1, 9, 2)]
    offsets = torch.tensor([0, 4, 5, 14, 16])
    singles = torch.stack([module.active_image(clip, method=method) for clip in clips])
    # On a GPU the size of the batch decides into how many parts time is cut, and so in which order
    # float32 adds frames; 1e-2 is twice the error bound of these sums. Sums with integer weights
    # are exact in any order.
    tolerance = 1e-2 if backend == "cuda" and method not in EXACT else 0
    for form in (
        (clips, None),
        (torch.cat(clips), offsets),
        (torch.cat(clips), offsets.to(device)),
    ):
        got = module.active_image(*form, method)
        torch.testing.assert_close(got, singles, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_equal_lists(device, method, layout):
    clips = [random_clip(n, device=device) for n in (4, 1, 9, 2)]
    nested = torch.nested.nested_tensor(clips, layout=layout)
    for module in (originet_ext, reference):
        got = module.active_image(nested, method=method)
        assert torch.equal(got, module.active_image(clips, method=method))
    floating = torch.nested.nested_tensor(
        [clip.float() for clip in clips], layout=layout, requires_grad=True
    )
    active_image(floating, method=method).square().sum().backward()
    for clip, grad in zip(clips, floating.grad.unbind(), strict=True):
        alone = clip.float().requires_grad_()
        active_image(alone, method=method).square().sum().backward()
        torch.testing.assert_close(grad, alone.grad)


def test_jagged_views_with_gaps_equal_lists():
    batch = random_clip(2, (10, 5, 6))
    starts, lengths = torch.tensor([1, 0]), torch.tensor([4, 9])
    nested = torch.nested.narrow(batch, 1, starts, lengths, layout=torch.jagged)
    assert torch.equal(active_image(nested), active_image([batch[0, 1:5], batch[1, :9]]))


def views_of(wide: torch.Tensor) -> dict[str, torch.Tensor]:
    """Views of frames [T, 40, 50, 3] that are read where they lie."""
    return {
        "crop": wide[:, 2:31, 3:40],
        "crop of one channel": wide.permute(0, 3, 1, 2).contiguous()[:, 1, 5:30, 7:44],
        "channels first": wide.permute(0, 3, 1, 2),
        "crop, channels first": wide.permute(0, 3, 1, 2).contiguous()[:, :, 5:30, 7:44],
        "permuted crop": wide[:, 2:31, 3:40].permute(0, 3, 2, 1),
        "every second frame": wide[::2],
        "columns": wide[:, :, 4:5],
    }


VIEWS = [*views_of(torch.empty(1, 40, 50, 3))]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_views_equal_their_copies_and_are_not_copied(device, backend, view, dtype):
    frames = views_of(random_clip(60, (40, 50, 3), device).to(dtype))[view]
    clips = [frames[:20], frames[20:]]
    for method in METHODS:
        want = active_image(frames.contiguous(), method=method)
        got = active_image(frames, method=method)
        assert got.shape == want.shape and torch.equal(got, want)
        assert torch.equal(
            active_image(clips, method=method),
            active_image([*map(torch.clone, clips)], None, method),
        )
    if backend == "cpu":
        with torch.profiler.profile(profile_memory=True) as profile:
            for method in METHODS:
                active_image(frames, method=method)
                active_image(clips, method=method)
        largest = max(event.cpu_memory_usage for event in profile.events())
        assert 0 < largest <= 2 * got.nbytes < frames[:20].nbytes


@pytest.mark.parametrize("method", METHODS)
def test_other_views_equal_their_copies(device, method):
    wide = random_clip(12, (20, 30, 3), device)
    apart = wide[:, ::2, ::3]
    four_levels = random_clip(12, (4, 5, 6, 7), device)[:, :3, :4, :5, :6]
    for view in (apart, four_levels, wide.flip(2), wide[:, :1].expand(-1, 7, -1, -1)):
        assert torch.equal(
            active_image(view, method=method), active_image(view.clone(), method=method)
        )


def test_clips_of_a_list_may_lie_differently():
    dense = random_clip(9, (20, 30))
    crop = random_clip(7, (40, 50))[:, 3:23, 10:40]
    turned = random_clip(8, (30, 20)).mT
    for method in METHODS:
        got = active_image([dense, crop, turned], method=method)
        want = [active_image(clip.contiguous(), method=method) for clip in (dense, crop, turned)]
        assert torch.equal(got, torch.stack(want))


def in_layout(clip: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values as a view into larger memory, or in another order of memory."""
    if layout == "crop":
        wide = torch.zeros(len(clip), *(size + 3 for size in clip.shape[1:]), dtype=clip.dtype)
        view = wide[(slice(None), *(slice(1, 1 + size) for size in clip.shape[1:]))]
        return view.copy_(clip)
    if layout == "reversed":
        order = [0, *range(clip.dim() - 1, 0, -1)]
        return clip.permute(order).contiguous().permute(order)
    return clip


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    lengths=st.lists(st.one_of(st.integers(1, 40), st.integers(1, 2000)), min_size=1, max_size=5),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    layout=st.sampled_from(["dense", "crop", "reversed"]),
    form=st.sampled_from(["packed", "list", "jagged", "single"]),
    dtype=st.sampled_from([torch.uint8, torch.uint8, torch.float32, torch.float64]),
    method=st.sampled_from(EXACT),
    seed=st.integers(0, 2**31),
)
def test_random_ragged_batches_are_exact(lengths, shape, layout, form, dtype, method, seed):
    generator = torch.Generator().manual_seed(seed)
    packed = torch.randint(0, 256, (sum(lengths), *shape), dtype=torch.uint8, generator=generator)
    if seed % 3 == 0:
        packed = packed // 255 * 255  # sums as large as they can be
    clips = packed.split(lengths)
    want = np.stack([numpy_active_image(clip.numpy(), method) for clip in clips])
    if form == "packed":
        offsets = torch.tensor([0, *np.cumsum(lengths)])
        got = active_image(in_layout(packed.to(dtype), layout), offsets, method)
    else:
        clips = [in_layout(clip.to(dtype), layout) for clip in clips]
        if form == "jagged":
            got = active_image(torch.nested.nested_tensor(clips, layout=torch.jagged), None, method)
        elif form == "list":
            got = active_image(clips, method=method)
        else:
            got = torch.stack([active_image(clip, method=method) for clip in clips])
    if dtype == torch.float32:
        # 24 bits do not hold every sum of long clips.
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * 255 * max(lengths))
    else:
        np.testing.assert_array_equal(got, want.astype(got.numpy().dtype))


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_thread_count_does_not_change_a_bit(dtype, normalize):
    clip = (torch.rand(50, 200, 200) * 255).to(dtype)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(torch.stack([active_image(clip, None, m, normalize) for m in METHODS]))
    torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


# temporal_pool


@MODULES
def test_temporal_pool_is_a_weighted_sum(module, device):
    frames = random_clip(6, device=device)
    weights = torch.tensor([1, -2, 0, 4, 5, -6])
    want = torch.einsum("t,tij->ij", weights, frames.cpu().long()).float()
    assert torch.equal(module.temporal_pool(frames, weights).cpu(), want)
    halves = module.temporal_pool(frames, weights, torch.tensor([0, 2, 6])).cpu()
    assert torch.equal(halves.sum(0), want)
    floating = module.temporal_pool(frames.float(), weights.float().to(device)).cpu()
    torch.testing.assert_close(floating, want)


@pytest.mark.parametrize("pixels", [(3, 5), (4, 16)])
@pytest.mark.parametrize("terms", [0, 1, 3, 48, 49, 700])
def test_listed_and_stored_terms_of_few_and_many_clips(device, pixels, terms):
    """Clips that overlap and read frames in any order, some twice; many take several launches."""
    frames = random_clip(100, pixels)
    draw = torch.Generator().manual_seed(terms)
    index = torch.randint(0, 20, (3 * terms + 8,), generator=draw)
    weights = torch.randint(-9, 10, (3 * terms + 8,), generator=draw)
    index[3 * terms :] = torch.arange(8)  # in order, with the weights of a ramp
    weights[3 * terms :] = torch.tensor([4, -3, -2, -1, 0, 1, 2, 7])
    spans = [(0, terms), (terms, 2 * terms), (0, 3 * terms), (3 * terms, 3 * terms + 8)]
    for batch in (4, 33, 70):
        clips = torch.tensor([(b, *spans[b % 4]) for b in range(batch)])
        total = int((clips[:, 2] - clips[:, 1]).sum())
        wide = frames.long()
        want = torch.stack(
            [
                torch.einsum("k,kij->ij", weights[begin:end], wide[first + index[begin:end]])
                for first, begin, end in clips.tolist()
            ]
        )
        for typed in (weights, weights.float().to(device)):
            got = torch.ops.originet.temporal_pool(
                [frames.to(device)], clips, index, typed, total, "none"
            )
            assert torch.equal(got.cpu(), want.float())


@pytest.mark.parametrize("weight", [2**31, 2**40, -(2**50)])
def test_large_integer_weights_take_the_64_bit_road(device, weight):
    frames = torch.full((3, 1, 2), 255, dtype=torch.uint8, device=device)
    got = temporal_pool(frames, torch.tensor([weight, weight, -weight]))
    assert (got.cpu() == float(255 * weight)).all()


@pytest.mark.parametrize("frames", [3, 300])
def test_sums_of_large_float_weights_reach_the_largest_float(device, frames):
    still = torch.full((frames, 1, 70), 255, dtype=torch.uint8, device=device)
    for weight in (2.0**96, 2.0**119 / frames, -(2.0**119) / frames):
        got = temporal_pool(still, torch.full((frames,), weight))
        torch.testing.assert_close(got.cpu(), torch.full((1, 70), 255.0 * frames * weight))


def test_weights_beyond_64_bits_are_refused(device):
    frames = random_clip(3, device=device)
    for weight in (2**60, -(2**63)):
        with pytest.raises(RuntimeError, match=r"clip 0 .*overflow 64 bits"):
            temporal_pool(frames, torch.tensor([weight, weight, weight]))


# Normalisation


@MODULES
def test_normalisation(module, device):
    clips = [random_clip(n, device=device) for n in (5, 8)]
    raw = module.active_image(clips).cpu()
    clip = module.active_image(clips, normalize="clip").cpu()
    assert torch.equal(clip, raw.clamp(0, 255))
    minmax = module.active_image(clips, normalize="minmax").cpu().numpy()
    for image, want in zip(minmax, raw.numpy(), strict=True):
        assert image.min() == 0 and image.max() == 255
        np.testing.assert_allclose(
            image, (want - want.min()) / (want.max() - want.min()) * 255, rtol=1e-6
        )
    still = random_clip(1, device=device).expand(4, -1, -1)
    assert (module.active_image(still, normalize="minmax") == 0).all()


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("method", METHODS)
def test_fused_normalisation_is_that_of_the_reference(device, method, normalize):
    """On the same sums, bit for bit: over tiles, short runs, ragged clips and every dtype."""
    wide = random_clip(90, (70, 90), device)
    for dtype in (torch.uint8, torch.float16, torch.float64):
        for view in (wide, wide[:, 3:60, 5:30], wide[:, :, 7]):
            frames, offsets = view.to(dtype), torch.tensor([0, 40, 41, 90])
            raw = active_image(frames, offsets, method)
            got = active_image(frames, offsets, method, normalize)
            want = reference.normalize_images(raw.cpu(), normalize)
            torch.testing.assert_close(got.cpu(), want, rtol=0, atol=0 if device == "cpu" else 1e-4)


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_normalisation_of_what_is_not_finite_is_that_of_the_reference(device, value, normalize):
    frames = torch.rand(9, 70, 50) * 255
    frames[8, 33, 44] = value
    got = active_image(frames.to(device), method="rectified", normalize=normalize).cpu()
    want = reference.active_image(frames, method="rectified", normalize=normalize)
    torch.testing.assert_close(got, want, equal_nan=True, rtol=1e-5, atol=1e-3)


# Autograd


@pytest.mark.slow
@pytest.mark.parametrize("normalize", ["none", "minmax"])
@pytest.mark.parametrize("method", METHODS)
def test_gradcheck(device, method, normalize):
    frames = (torch.rand(7, 2, 3, dtype=torch.float64, device=device) * 255).requires_grad_()
    offsets = torch.tensor([0, 4, 5, 7])
    torch.autograd.gradcheck(
        lambda f: active_image(f, offsets, method, normalize),
        (frames,),
        check_forward_ad=True,
        check_batched_grad=True,
        eps=1e-5,
        atol=1e-4,
    )


def test_gradcheck_of_frames_and_weights(device):
    frames = torch.rand(6, 2, 3, dtype=torch.float64, device=device, requires_grad=True)
    weights = torch.randn(6, dtype=torch.float64, device=device, requires_grad=True)
    offsets = torch.tensor([0, 2, 6])
    function = lambda f, w: temporal_pool(f, w, offsets)  # noqa: E731
    torch.autograd.gradcheck(function, (frames, weights), check_forward_ad=True)
    torch.autograd.gradgradcheck(function, (frames, weights))


@pytest.mark.parametrize("method", METHODS)
def test_gradients_match_reference(device, method):
    frames = [torch.rand(9, 4, 4, device=device, requires_grad=True) for _ in range(2)]
    frames[1].data.copy_(frames[0].data)
    grad = torch.randn(4, 4, device=device)
    got = torch.autograd.grad(active_image(frames[0], method=method), frames[0], grad)[0]
    want = torch.autograd.grad(reference.active_image(frames[1], method=method), frames[1], grad)[0]
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_uint8_frames_have_no_gradient(device):
    assert not active_image(random_clip(5, device=device)).requires_grad


def test_vmap_over_frames(device):
    batch = torch.rand(3, 6, 4, 5, device=device)
    for method in METHODS:
        got = torch.vmap(lambda f, m=method: active_image(f, method=m))(batch)
        want = torch.stack([active_image(f, method=method) for f in batch])
        torch.testing.assert_close(got, want)


@pytest.mark.slow
def test_opcheck(device):
    frames = [torch.rand(n, 4, 5, device=device, requires_grad=True) for n in (4, 2)]
    clips, index = torch.tensor([[0, 0, 2], [1, 0, 2], [4, 2, 4]]), torch.tensor([0, 1, 1, 1])
    for weights in (torch.rand(4, device=device, requires_grad=True), torch.arange(4)):
        torch.library.opcheck(
            torch.ops.originet.temporal_pool.default, (frames, clips, index, weights, 6, "none")
        )
    for rectify in (False, True):
        torch.library.opcheck(
            torch.ops.originet.motion_pool.default,
            (frames, torch.tensor([[0, 3], [1, 3], [4, 2]]), 8, rectify, "none"),
        )
    bytes_ = [random_clip(5, device=device)]
    for normalize in ("none", "clip", "minmax"):
        torch.library.opcheck(
            torch.ops.originet.motion_pool.default,
            (bytes_, torch.tensor([[0, 3], [2, 3]]), 6, False, normalize),
        )


# Errors


@MODULES
def test_bad_frames_are_named(module):
    for frames, error, message in (
        (
            torch.zeros(4, 2, 2, dtype=torch.int32),
            TypeError,
            r"frames must be uint8.* got torch.int32",
        ),
        (torch.zeros(4), ValueError, r"\[T, \.\.\.\] with 2 dimensions or more, got \[4\]"),
        (torch.zeros(0, 3), ValueError, "clip 0 is empty"),
        ([], ValueError, "the list of clips is empty"),
        (
            [torch.zeros(2, 3), torch.zeros(2, 4)],
            ValueError,
            r"frames\[1\] has frames of shape \[4\]",
        ),
        (
            [torch.zeros(2, 3), torch.zeros(2, 3).double()],
            TypeError,
            r"frames\[1\] is torch.float64",
        ),
        ([torch.zeros(2, 3), torch.zeros(0, 3)], ValueError, "clip 1 is empty"),
        ([1, 2], TypeError, r"frames\[0\] must be a torch.Tensor, got int"),
    ):
        with pytest.raises(error, match=message):
            module.active_image(frames)


@MODULES
def test_bad_offsets_are_named(module):
    frames = torch.zeros(6, 2, 2)
    for offsets, error, message in (
        (torch.tensor([1, 6]), ValueError, "offsets must start at 0, got 1"),
        (torch.tensor([0, 4, 2, 6]), ValueError, "offsets must not decrease, got 2 after 4"),
        (torch.tensor([0, 4, 4, 6]), ValueError, "clip 1 is empty"),
        (torch.tensor([0, 5]), ValueError, "end at the number of frames, 6, got 5"),
        (torch.tensor([0, 7]), ValueError, "end at the number of frames, 6, got 7"),
        (torch.tensor([0]), ValueError, r"\[B \+ 1\] with B >= 1, got \[1\]"),
        (torch.tensor([0, 6], dtype=torch.int32), TypeError, "int64 tensor, got torch.int32"),
        ([0, 6], TypeError, "int64 tensor, got list"),
    ):
        with pytest.raises(error, match=message):
            module.active_image(frames, offsets)
    with pytest.raises(ValueError, match="not with a list of clips"):
        module.active_image([frames], torch.tensor([0, 6]))


@MODULES
def test_unknown_names_are_answered_with_the_known_ones(module):
    with pytest.raises(ValueError, match=r"cumulative, telescoped, .*learnet, got 'paper'"):
        module.active_image(torch.zeros(2, 2), method="paper")
    with pytest.raises(ValueError, match="none, clip, minmax, got 'max'"):
        module.active_image(torch.zeros(2, 2), normalize="max")


def test_bad_weights_are_named():
    frames = torch.zeros(3, 2, 2)
    with pytest.raises(ValueError, match=r"weights must be \[3\], one per frame, got \[2\]"):
        temporal_pool(frames, torch.ones(2))
    with pytest.raises(TypeError, match=r"got torch\.bool"):
        temporal_pool(frames, torch.ones(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="device of frames, cpu, got meta"):
        temporal_pool(frames, torch.ones(3, device="meta"))
    for value in (2**63, 2**64 - 1):
        weights = torch.tensor([1, value, 2], dtype=torch.uint64)
        with pytest.raises(ValueError, match=rf"weights\[1\] must fit in int64, got {value}"):
            temporal_pool(frames, weights)
    pooled = temporal_pool(random_clip(3), torch.tensor([1, 0, 2**40], dtype=torch.uint64))
    assert pooled.shape == (5, 7)


def test_ops_called_directly_never_read_outside():
    pool, motion = torch.ops.originet.temporal_pool, torch.ops.originet.motion_pool
    frames, weights, index = [torch.zeros(3, 2), torch.zeros(2, 2)], torch.ones(2), torch.tensor
    clips = torch.tensor([[0, 0, 2]])
    with pytest.raises(RuntimeError, match=r"index\[1\] = 5 is outside of the 5 frames"):
        pool(frames, clips, index([0, 5]), weights, 2, "none")
    with pytest.raises(RuntimeError, match=r"clips\[0\] reads 4 frames from frame 3 on, outside"):
        pool(frames, torch.tensor([[3, 0, 2]]), index([0, 3]), weights, 2, "none")
    with pytest.raises(RuntimeError, match=r"clips\[0\] begins in frames\[0\] and ends in another"):
        pool(frames, clips, index([0, 3]), weights, 2, "none")
    with pytest.raises(RuntimeError, match=r"index\[0\] = -1 is outside"):
        pool(frames, clips, index([-1, 0]), weights, 2, "none")
    with pytest.raises(RuntimeError, match=r"clips\[0\] has the terms 0 to 3 of 2"):
        pool(frames, torch.tensor([[0, 0, 3]]), index([0, 1]), weights, 3, "none")
    for bad, message in (
        ([[-1, 2]], "reads 2 frames from frame -1 on, outside of the 5 frames"),
        ([[0, 3], [4, 2]], r"clips\[1\] reads 2 frames from frame 4 on, outside"),
        ([[2, 2]], r"clips\[0\] begins in frames\[0\] and ends in another tensor"),
        ([[0, 0]], r"clips\[0\] must have 1 to 2147483647 frames, got 0"),
        ([[0, 2**31 - 1]], "outside of the 5 frames"),
    ):
        with pytest.raises(RuntimeError, match=message):
            motion(frames, torch.tensor(bad), sum(n for _, n in bad), False, "none")
    with pytest.raises(RuntimeError, match="normalize must be none, clip or minmax, got max"):
        motion(frames, torch.tensor([[0, 2]]), 2, False, "max")
    with pytest.raises(RuntimeError, match="one shape, dtype and device"):
        motion([frames[0], torch.zeros(2, 3)], torch.tensor([[0, 2]]), 2, False, "none")
    with pytest.raises(RuntimeError, match="total must be the length of all clips, 2, got 3"):
        motion(frames, torch.tensor([[0, 2]]), 3, False, "none")
    with pytest.raises(RuntimeError, match="total must be the length of all clips, 2, got 1"):
        pool(frames, clips, index([0, 1]), weights, 1, "none")


# Modes of torch around a call


@MODULES
@pytest.mark.parametrize("method", METHODS)
def test_a_first_call_in_inference_mode_leaves_later_gradients_alone(module, method):
    # 77 frames: no other test has made the weights of this length
    with torch.inference_mode():
        module.active_image(torch.rand(77, 2, 2), method=method)
    frames = torch.rand(77, 2, 2, requires_grad=True)
    module.active_image(frames, method=method).sum().backward()
    assert frames.grad.isfinite().all()


@pytest.mark.parametrize("method", ["rank", "learnet"])
def test_weights_are_copied_to_a_device_once(monkeypatch, method):
    frames = torch.empty(83, 2, 2, device="meta")  # a length that no other test uses
    clips = [frames[:n] for n in (81, 79, 83, 81)]
    copies = []
    to = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda *a, **k: copies.append(a[0]) or to(*a, **k))
    for _ in range(3):
        active_image(frames, method=method)
        active_image(clips, method=method)
        active_image(clips[:2], method=method)
        originet_ext.sliding_active_images(frames, 80, 1, method)
    assert [x.numel() for x in copies] == [83, 79, 81, 80]


def test_weights_made_while_torch_traces_or_transforms_are_not_kept(monkeypatch):
    monkeypatch.setattr(_device_weights, "_kept", kept := OrderedDict())
    frames = torch.empty(5, 2, 2, device="meta")
    with FakeTensorMode():
        active_image(torch.empty(5, 2, 2, device="meta"), method="rank")
    torch.func.vmap(lambda x: active_image(x, method="rank"), 1)(frames)
    torch.compile(lambda x: active_image(x, method="rank"), backend="eager")(frames)
    assert not kept
    with torch.inference_mode():
        active_image(frames, method="rank")
    assert [weights.is_inference() for weights in kept.values()] == [False]


def test_weights_that_a_graph_reads_are_kept_for_good(monkeypatch):
    """Whatever else is computed: a graph may be replayed at any time."""
    monkeypatch.setattr(_device_weights, "_kept", OrderedDict())
    monkeypatch.setattr(_device_weights, "_recorded", {})
    monkeypatch.setattr(_device_weights, "_MOST", 2)
    capturing = False
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    frames = SimpleNamespace(dtype=torch.uint8, device=torch.device("cpu"), is_cuda=True)

    def put(n):
        return _device_weights.put_weights("rank", (n,), method_weights("rank", n), frames)

    first = put(3)
    assert put(3) is first and first.dtype == torch.float32
    capturing = True
    assert put(3) is first
    with pytest.raises(RuntimeError, match=r"clips of \[4\] frames .* before the capture"):
        put(4)
    capturing = False
    second = put(4)
    for n in (5, 6, 7):
        put(n)
    assert put(3) is first and put(4) is not second
    assert len(_device_weights._kept) == 2


@MODULES
@pytest.mark.parametrize("method", METHODS)
def test_another_default_device_does_not_matter(module, method):
    frames = torch.rand(5, 2, 2, requires_grad=True)
    want = module.active_image(frames, method=method)
    with torch.device("meta"):
        got = module.active_image(frames, method=method)
        pooled = module.temporal_pool(frames, torch.ones(5, device="cpu"))
        got.sum().backward()
    assert torch.equal(got, want) and pooled.device.type == "cpu"
    assert frames.grad.device.type == "cpu"


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("normalize", ["none", "minmax"])
def test_compiles_in_one_graph(device, method, normalize):
    frames = torch.rand(7, 4, 5, device=device, requires_grad=True)
    clips = [random_clip(n, device=device) for n in (3, 8)]
    function = torch.compile(
        lambda f, c: (
            active_image(f, None, method, normalize),
            active_image(c, None, method, normalize),
        ),
        fullgraph=True,
        backend="aot_eager",
    )
    got = function(frames, clips)
    torch.testing.assert_close(got[0], active_image(frames, None, method, normalize))
    assert torch.equal(got[1], active_image(clips, None, method, normalize))
    grads = [
        torch.autograd.grad(image.square().sum(), frames)[0]
        for image in (got[0], active_image(frames, None, method, normalize))
    ]
    torch.testing.assert_close(*grads)
