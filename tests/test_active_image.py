"""The temporal pools and active_image against NumPy integers and hand-computed points."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import originet_ext
from originet_ext import METHODS, active_image, reference, temporal_pool
from originet_ext._weights import method_weights

EXACT = ["paper", "authors", "absolute", "rectified", "rank-simple"]
MODULES = pytest.mark.parametrize("module", [originet_ext, reference])


def numpy_active_image(frames: np.ndarray, method: str) -> np.ndarray:
    """Integer methods literally as docs/design.md says, in int64; independent of the package."""
    f = frames.astype(np.int64)
    n = len(f)
    total = np.zeros(f.shape[1:], dtype=np.int64)
    if n == 1:
        return total
    if method in ("paper", "absolute", "rectified"):
        keep = {
            "paper": lambda d: d,
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
        "paper": [-2, 0, 0, 0, 0, 0, 1, 1],
        "authors": [-6, -5, -3, -1, 1, 3, 5, 6],
        "rank-simple": [-7, -5, -3, -1, 1, 3, 5, 7],
        "rank": [-8.4607, -1.4607, 1.0393, 2.0393, 2.2893, 2.0893, 1.5893, 0.8750],
        "learnet": [-5.7429, 0.2571, 2.2571, 2.9238, 2.9238, 2.5238, 1.8571, 1.0],
    }
    for method, weights in expected.items():
        np.testing.assert_allclose(method_weights(method, 8), weights, atol=5e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 17, 200])
def test_weights_sum_to_zero_except_learnet(n):
    for method in ("paper", "authors", "rank-simple", "rank"):
        assert abs(float(method_weights(method, n).sum())) < 1e-9 * n
    assert float(method_weights("learnet", n).sum()) == pytest.approx(n if n > 1 else 0)


@pytest.mark.parametrize("n", [3, 8, 50])
def test_authors_equals_rank_simple_but_for_the_ends(n):
    difference = method_weights("rank-simple", n) - method_weights("authors", n)
    assert difference[1:-1].eq(0).all() and difference[0] == -1 and difference[-1] == 1


@pytest.mark.parametrize("n", [2, 3, 4, 60])
def test_equations_1_to_3_telescope(n):
    clip = random_clip(n)
    f = clip.long()
    want = f[-1] - f[0] if n == 2 else f[-1] + f[-2] - 2 * f[0]
    assert torch.equal(active_image(clip).long(), want)
    assert torch.equal(want, torch.from_numpy(numpy_active_image(clip.numpy(), "paper")))


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


@pytest.mark.parametrize("method", EXACT)
def test_extreme_pixels_in_long_clips_do_not_overflow(device, method):
    # Frames alternate between 0 and 255: the largest motion, in clips across the 16-bit flush of
    # the CPU kernel and, for the weighted methods, past what int32 holds.
    for n in (256, 257, 258, 259, 515, 6000):
        clip = torch.zeros(n, 1, 3, dtype=torch.uint8)
        clip[1::2] = 255
        clip[-n // 2 :, :, 1] = 255
        clip[: n // 2, :, 2] = 255
        got = active_image(clip.to(device), method=method).cpu().numpy()
        np.testing.assert_array_equal(
            got, numpy_active_image(clip.numpy(), method).astype(np.float32)
        )


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


# Forms of clips


@MODULES
@pytest.mark.parametrize("method", METHODS)
def test_packed_list_and_single_clips_agree(module, device, method):
    clips = [random_clip(n, device=device) for n in (4, 1, 9, 2)]
    offsets = torch.tensor([0, 4, 5, 14, 16])
    singles = torch.stack([module.active_image(clip, method=method) for clip in clips])
    assert torch.equal(module.active_image(clips, method=method), singles)
    assert torch.equal(module.active_image(torch.cat(clips), offsets, method), singles)
    assert torch.equal(module.active_image(torch.cat(clips), offsets.to(device), method), singles)


@pytest.mark.parametrize("method", METHODS)
def test_views_equal_their_copies(device, method):
    wide = random_clip(12, (20, 30, 3), device)
    for view in (wide[:, 2:15, 3:20], wide[::2], wide.permute(0, 3, 1, 2), wide.flip(2)):
        assert torch.equal(
            active_image(view, method=method), active_image(view.clone(), method=method)
        )


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    method=st.sampled_from(EXACT),
    seed=st.integers(0, 2**31),
)
def test_random_ragged_batches_are_exact(lengths, shape, method, seed):
    generator = torch.Generator().manual_seed(seed)
    packed = torch.randint(0, 256, (sum(lengths), *shape), dtype=torch.uint8, generator=generator)
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    got = active_image(packed, offsets, method).numpy()
    clips = np.split(packed.numpy(), offsets[1:-1])
    want = np.stack([numpy_active_image(clip, method) for clip in clips])
    np.testing.assert_array_equal(got, want)


def test_thread_count_does_not_change_a_bit():
    clip = torch.rand(50, 200, 200)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(torch.stack([active_image(clip, method=m) for m in METHODS]))
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


@pytest.mark.parametrize("weight", [2**31, 2**40, -(2**50)])
def test_large_integer_weights_take_the_64_bit_road(device, weight):
    frames = torch.full((3, 1, 2), 255, dtype=torch.uint8, device=device)
    got = temporal_pool(frames, torch.tensor([weight, weight, -weight]))
    assert (got.cpu() == float(255 * weight)).all()


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


# Autograd


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


def test_opcheck(device):
    frames = [torch.rand(n, 4, 5, device=device, requires_grad=True) for n in (4, 2)]
    clips, index = torch.tensor([[0, 0, 2], [1, 0, 2], [4, 2, 4]]), torch.tensor([0, 1, 1, 1])
    for weights in (torch.rand(4, device=device, requires_grad=True), torch.arange(4)):
        torch.library.opcheck(
            torch.ops.originet.temporal_pool.default, (frames, clips, index, weights, "none")
        )
    for rectify in (False, True):
        torch.library.opcheck(
            torch.ops.originet.motion_pool.default,
            (frames, torch.tensor([[0, 3], [1, 3], [4, 2]]), rectify, "none"),
        )
    bytes_ = [random_clip(5, device=device)]
    for normalize in ("none", "clip", "minmax"):
        torch.library.opcheck(
            torch.ops.originet.motion_pool.default,
            (bytes_, torch.tensor([[0, 3], [2, 3]]), False, normalize),
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
    with pytest.raises(ValueError, match=r"paper, authors, .*learnet, got 'papr'"):
        module.active_image(torch.zeros(2, 2), method="papr")
    with pytest.raises(ValueError, match="none, clip, minmax, got 'max'"):
        module.active_image(torch.zeros(2, 2), normalize="max")


def test_bad_weights_are_named():
    frames = torch.zeros(3, 2, 2)
    with pytest.raises(ValueError, match=r"weights must be \[3\], one a frame, got \[2\]"):
        temporal_pool(frames, torch.ones(2))
    with pytest.raises(TypeError, match=r"got torch\.bool"):
        temporal_pool(frames, torch.ones(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="device of frames, cpu, got meta"):
        temporal_pool(frames, torch.ones(3, device="meta"))


def test_ops_called_directly_never_read_outside():
    pool, motion = torch.ops.originet.temporal_pool, torch.ops.originet.motion_pool
    frames, weights, index = [torch.zeros(3, 2), torch.zeros(2, 2)], torch.ones(2), torch.tensor
    clips = torch.tensor([[0, 0, 2]])
    with pytest.raises(RuntimeError, match=r"clips\[0\] reads frames 0 to 5, outside of the 5"):
        pool(frames, clips, index([0, 5]), weights, "none")
    with pytest.raises(RuntimeError, match=r"clips\[0\] begins in frames\[0\] and ends in another"):
        pool(frames, clips, index([0, 3]), weights, "none")
    with pytest.raises(RuntimeError, match=r"index\[0\] = -1 is outside"):
        pool(frames, clips, index([-1, 0]), weights, "none")
    with pytest.raises(RuntimeError, match=r"clips\[0\] has the terms 0 to 3 of 2"):
        pool(frames, torch.tensor([[0, 0, 3]]), index([0, 1]), weights, "none")
    for bad, message in (
        ([[-1, 2]], "reads frames -1 to 0, outside of the 5 frames"),
        ([[0, 3], [4, 2]], r"clips\[1\] reads frames 4 to 5, outside"),
        ([[2, 2]], r"clips\[0\] begins in frames\[0\] and ends in another tensor"),
        ([[0, 0]], r"clips\[0\] must have 1 frame or more, got 0"),
        ([[0, 2**62]], "outside of the 5 frames"),
    ):
        with pytest.raises(RuntimeError, match=message):
            motion(frames, torch.tensor(bad), False, "none")
    with pytest.raises(RuntimeError, match="normalize must be none, clip or minmax, got max"):
        motion(frames, torch.tensor([[0, 2]]), False, "max")
    with pytest.raises(RuntimeError, match="one shape, dtype and device"):
        motion([frames[0], torch.zeros(2, 3)], torch.tensor([[0, 2]]), False, "none")


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
