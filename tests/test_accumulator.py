"""ActiveImageAccumulator against active_image, which sees all frames at once."""

import copy
import pickle
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from originet_ext import METHODS, NORMALIZATIONS, ActiveImageAccumulator, active_image
from originet_ext._library import _C
from originet_ext._weights import weight_array
from originet_ext.accumulator import MAX_WEIGHTED_FRAMES

EXACT = ("paper", "authors", "absolute", "rectified", "rank-simple")
HARMONIC = ("rank", "learnet")
RUNNING_SUMS = ("authors", "rank-simple", *HARMONIC)


def random_frames(n, shape=(5, 7), dtype=np.uint8, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, *shape))
    return pixels.astype(dtype) if dtype == np.uint8 else (pixels / 7).astype(dtype)


def accumulate(frames, method, normalize="none", start=0):
    accumulator = ActiveImageAccumulator(method, normalize, start=start)
    for frame in frames:
        accumulator.update(frame)
    return accumulator


def assert_is_image_of(accumulator, frames):
    """Bit for bit for integers, else within the bound that both docstrings allow together."""
    got = accumulator.result()
    want = active_image(torch.from_numpy(frames), method=accumulator.method).numpy()
    assert got.dtype == want.dtype and got.shape == want.shape
    n = len(frames)
    assert accumulator.count == n
    if frames.dtype == np.uint8 and accumulator.method in EXACT:
        np.testing.assert_array_equal(got, want)
        return
    eps = 2.0**-53 if frames.dtype == np.float64 else 2.0**-24
    magnitude = np.abs(frames.astype(np.float64)).sum(0)
    own = 8 * (n + 1) ** 2 * (1 + np.sum(1 / np.arange(1, n + 1))) * 2.0**-53 * magnitude
    # No weight is above 2 n H_n, and a difference counts no frame more than 4 times.
    steps = 4 * (n + 2) * np.abs(frames.astype(np.float64)).sum(0)
    if accumulator.method not in ("absolute", "rectified"):
        weights = np.abs(weight_array(accumulator.method, n))
        steps = (n + 2) * np.tensordot(weights, np.abs(frames.astype(np.float64)), 1)
    assert (np.abs(got.astype(np.float64) - want) <= steps * eps + own + eps * np.abs(want)).all()


# Equal to active_image


@pytest.mark.parametrize("method", EXACT)
def test_uint8_equals_active_image_bit_for_bit_at_every_length(method):
    frames = random_frames(600, (3, 5))
    images = ActiveImageAccumulator(method)
    for n, frame in enumerate(frames, start=1):
        images.update(frame)
        if n <= 300 or n in (512, 513, 514, 600):
            assert_is_image_of(images, frames[:n])


@pytest.mark.parametrize("method", EXACT)
def test_results_at_the_end_alone_equal_those_on_the_way(method):
    for n in (1, 2, 3, 15, 16, 17, 18, 32, 33, 34, 256, 257, 258, 600):
        frames = random_frames(n, (3, 5), seed=n)
        assert_is_image_of(accumulate(frames, method), frames)


@pytest.mark.parametrize("method", EXACT)
def test_extreme_pixels_do_not_overflow(method):
    for n in (16, 17, 18, 256, 257, 258, 259, 600, 6000):
        frames = np.zeros((n, 1, 4), np.uint8)
        frames[1::2] = 255  # the largest motion
        frames[-n // 2 :, :, 1] = 255
        frames[: n // 2, :, 2] = 255
        frames[:, :, 3] = 255
        assert_is_image_of(accumulate(frames, method), frames)


@pytest.mark.parametrize("method", HARMONIC)
def test_rank_and_learnet_are_rounded_once(method):
    for n in (2, 3, 10, 16, 17, 100, 300):
        frames = random_frames(n)
        got = accumulate(frames, method).result()
        exact = np.tensordot(weight_array(method, n), frames.astype(np.float64), 1)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, exact, rtol=2**-23, atol=1e-8 * n * n)
        assert_is_image_of(accumulate(frames, method), frames)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_floating_frames_equal_active_image(method, dtype):
    for n in (1, 2, 3, 4, 5, 6, 17, 40):
        frames = random_frames(n, (4, 6), dtype, seed=n) - dtype(10)
        assert_is_image_of(accumulate(frames, method), frames)


@pytest.mark.parametrize("method", METHODS)
def test_grey_colour_and_many_pixels(method):
    for shape in ((1, 1), (1, 15), (16, 1), (8, 128), (1, 1025), (33, 64), (20, 30, 3), (9, 9, 1)):
        frames = random_frames(20, shape)
        assert_is_image_of(accumulate(frames, method), frames)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_views_need_not_be_contiguous(method, dtype):
    wide = random_frames(20, (20, 30, 3), dtype)
    for view in (
        wide[:, 2:15, 3:20],
        wide[:, ::-1, :, 0],
        wide[:, :, ::-1],
        wide[..., 1],
        wide.transpose(0, 2, 1, 3),
        np.broadcast_to(wide[:, :1, :, 0], (20, 4, 30)),
        np.asfortranarray(wide),
    ):
        dense = np.ascontiguousarray(view)
        got = accumulate(view, method).result()
        np.testing.assert_array_equal(got, accumulate(dense, method).result())
        assert_is_image_of(accumulate(view, method), dense)


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("method", EXACT)
def test_normalisation_is_that_of_active_image(method, normalize):
    frames = random_frames(30, (6, 5, 3))
    still = np.broadcast_to(frames[:1], frames.shape)
    for clip in (frames, frames[:1], still.copy()):
        want = active_image(torch.from_numpy(clip), method=method, normalize=normalize).numpy()
        got = accumulate(clip, method, normalize).result()
        np.testing.assert_array_equal(got, want)
        assert got.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_nan_and_infinity(method, value, dtype):
    for n in (2, 3, 8):
        for t in range(n):
            frames = random_frames(n, (1, 4), dtype)
            frames[t, 0, 1] = value
            frames[0, 0, 2] = frames[n - 1, 0, 2] = value
            got = accumulate(frames, method).result()
            want = active_image(torch.from_numpy(frames), method=method).numpy()
            np.testing.assert_array_equal(np.isfinite(got[0, ::3]), [True, True])
            if method not in RUNNING_SUMS:
                np.testing.assert_allclose(got, want, rtol=1e-4)
            elif method != "authors" or n > 2:
                assert np.isnan(got[0, 1:3]).all()


# Any time, and again


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_asking_on_the_way_changes_nothing(method, dtype):
    frames = random_frames(50, (3, 5), dtype)
    asked = ActiveImageAccumulator(method)
    for t, frame in enumerate(frames):
        asked.update(frame)
        if t % 7 == 0:
            first = asked.result()
            first += 1  # the caller's own
            asked.result()
            repr(asked), pickle.dumps(asked)
    want = accumulate(frames, method).result()
    np.testing.assert_array_equal(asked.result(), want)
    np.testing.assert_array_equal(asked.result(), want)


def test_frames_are_copied():
    for method in METHODS:
        frame, images = np.zeros((2, 3), np.uint8), ActiveImageAccumulator(method)
        for value in (5, 9, 200, 17):
            frame[:] = value
            images.update(frame)
        frame[:] = 0
        assert_is_image_of(images, np.array([5, 9, 200, 17], np.uint8)[:, None, None] + frame)


@pytest.mark.parametrize("method", METHODS)
def test_reset_begins_anew_with_another_shape_and_dtype(method):
    images = accumulate(random_frames(20), method, "clip", start=3)
    images.reset()
    assert (images.method, images.normalize, images.start, images.count) == (method, "clip", 3, 0)
    images = accumulate(random_frames(20), method)
    images.reset()
    frames = random_frames(19, (2, 3, 3), np.float32)
    for frame in frames:
        images.update(frame)
    assert_is_image_of(images, frames)


def test_repr_tells_what_was_seen():
    images = ActiveImageAccumulator("rank", "minmax", start=7)
    begin = "ActiveImageAccumulator(method='rank', normalize='minmax', start=7): "
    assert repr(images) == begin + "no frames"
    images.update(np.zeros((2, 3), np.uint8))
    assert repr(images) == begin + "1 of [2, 3] uint8"


# Parts


def summed_in_parts(frames, method, cuts, through_pickle=False):
    parts = []
    for begin, end in zip([0, *cuts], [*cuts, len(frames)], strict=True):
        part = accumulate(frames[begin:end], method, start=begin)
        parts.append(pickle.loads(pickle.dumps(part)) if through_pickle else part)
    return parts


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_parts_merged_in_any_order_of_merging_equal_the_whole(data):
    method = data.draw(st.sampled_from(METHODS))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint8, np.float32, np.float64]))
    n = data.draw(st.integers(1, 80))
    frames = random_frames(n, (2, 3), dtype, seed=data.draw(st.integers(0, 2**20)))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=5)))  # empty parts as well
    parts = summed_in_parts(frames, method, cuts, data.draw(st.booleans()))
    while len(parts) > 1:  # any two neighbours first: merging nests
        at = data.draw(st.integers(0, len(parts) - 2))
        second = parts.pop(at + 1)
        before = pickle.dumps(second)
        parts[at].merge(second)
        assert pickle.dumps(second) == before
    assert_is_image_of(parts[0], frames)
    # and it goes on
    more = random_frames(20, (2, 3), dtype, seed=1)
    for frame in more:
        parts[0].update(frame)
    assert_is_image_of(parts[0], np.concatenate([frames, more]))


@pytest.mark.parametrize("method", METHODS)
def test_merged_parts_do_not_share_memory(method):
    frames = random_frames(40)
    for cut in (0, 20):
        first, second = summed_in_parts(frames, method, [cut])
        first.merge(second)
        for frame in frames[:5]:
            second.update(frame)
        assert_is_image_of(first, frames)
        if method in EXACT:
            assert_is_image_of(second, np.concatenate([frames[cut:], frames[:5]]))


@pytest.mark.parametrize("method", EXACT)
def test_start_does_not_matter_to_other_methods(method):
    frames = random_frames(12)
    first = accumulate(frames[:5], method, start=99)
    first.merge(accumulate(frames[5:], method))
    assert first.start == 99
    assert_is_image_of(first, frames)


@pytest.mark.parametrize("method", EXACT)
def test_a_part_can_be_appended_to_itself(method):
    frames = random_frames(9)
    images = accumulate(frames, method)
    images.merge(images)
    assert_is_image_of(images, np.concatenate([frames, frames]))


@pytest.mark.parametrize("method", HARMONIC)
def test_parts_out_of_place_are_refused(method):
    frames = random_frames(12)
    first, second = summed_in_parts(frames, method, [5])
    with pytest.raises(ValueError, match=f"start 5 has no image of its own under '{method}'"):
        second.result()
    with pytest.raises(ValueError, match=r"second part must have start 5, .* got 0"):
        first.merge(accumulate(frames[5:], method))
    with pytest.raises(ValueError, match=r"second part must have start 12, .* got 0"):
        second.merge(first)
    first.merge(second)
    assert_is_image_of(first, frames)


def test_parts_that_do_not_fit_are_refused_and_leave_the_state():
    frames = random_frames(6)
    for method in METHODS:
        images = accumulate(frames, method)
        before = pickle.dumps(images)
        for other, error, message in (
            (frames, TypeError, "cannot merge ndarray"),
            (ActiveImageAccumulator("rank"), ValueError, f"cannot merge 'rank' into '{method}'"),
            (
                accumulate(random_frames(2, (7, 5)), method, start=6),
                ValueError,
                r"cannot merge frames of \[7, 5\] uint8 into \[5, 7\] uint8",
            ),
            (
                accumulate(random_frames(2, dtype=np.float32), method, start=6),
                ValueError,
                r"cannot merge frames of \[5, 7\] float32 into \[5, 7\] uint8",
            ),
        ):
            if getattr(other, "method", "") == method == "rank":
                continue
            with pytest.raises(error, match=message):
                images.merge(other)
            assert pickle.dumps(images) == before
        assert_is_image_of(images, frames)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
)
@pytest.mark.parametrize("method", METHODS)
def test_copies_are_independent(method, copied):
    frames = random_frames(40, (3, 4, 3))
    for n in (0, 1, 2, 20):
        images = accumulate(frames[:n], method, "minmax", start=0)
        twin = copied(images)
        assert repr(twin) == repr(images) and twin.count == n
        for frame in frames[n:]:
            twin.update(frame)
        assert images.count == n
        want = accumulate(frames, method, "minmax").result()
        np.testing.assert_array_equal(twin.result(), want)
        for frame in frames[n:]:
            images.update(frame)
        np.testing.assert_array_equal(images.result(), want)


# Errors


@pytest.mark.parametrize("method", METHODS)
def test_bad_frames_are_named_and_leave_the_state(method):
    bad_always = (
        (None, TypeError, "frame must be a numpy.ndarray, got NoneType"),
        (torch.zeros(5, 7), TypeError, "got Tensor"),
        (np.zeros((5, 7), np.int32), TypeError, r"got int32"),
        (np.zeros((5, 7), np.float16), TypeError, "got float16"),
        (np.zeros((5, 7), ">f4"), TypeError, "got >f4"),
        (np.zeros(35, np.uint8), ValueError, r"got \[35\]"),
        (np.zeros((1, 5, 7, 3), np.uint8), ValueError, r"got \[1, 5, 7, 3\]"),
        (np.zeros((0, 7), np.uint8), ValueError, r"got \[0, 7\]"),
    )
    images = ActiveImageAccumulator(method)
    for frame, error, message in bad_always:
        with pytest.raises(error, match=message):
            images.update(frame)
    assert images.count == 0
    with pytest.raises(ValueError, match="no frame was seen yet"):
        images.result()

    frames = random_frames(20)
    for frame in frames[:17]:
        images.update(frame)
    before = pickle.dumps(images)
    for frame, error, message in (
        *bad_always,
        (np.zeros((5, 7), np.float32), TypeError, "of the first frame, uint8, got float32"),
        (np.zeros((7, 5), np.uint8), ValueError, r"of the first frame, \[5, 7\], got \[7, 5\]"),
        (np.zeros((5, 7, 3), np.uint8), ValueError, r"\[5, 7\], got \[5, 7, 3\]"),
    ):
        with pytest.raises(error, match=message):
            images.update(frame)
        assert pickle.dumps(images) == before
    for frame in frames[17:]:
        images.update(frame)
    assert_is_image_of(images, frames)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"paper, authors, .*learnet, got 'papr'"):
        ActiveImageAccumulator("papr")
    with pytest.raises(ValueError, match="none, clip, minmax, got 'max'"):
        ActiveImageAccumulator(normalize="max")
    with pytest.raises(ValueError, match=r"start must be 0 or more.* got -1"):
        ActiveImageAccumulator(start=-1)
    for start in (1.0, True, "1"):
        with pytest.raises(TypeError, match="start must be an integer"):
            ActiveImageAccumulator(start=start)


@pytest.mark.parametrize("method", ["authors", "rank-simple"])
def test_sums_are_exact_up_to_the_stated_length_and_refused_beyond(method):
    # A stream of 255 up to the limit, by the state that it would have left.
    n = MAX_WEIGHTED_FRAMES - 1
    assert 255 * (n + 1) * (n + 2) < 2**63 <= 255 * int(1.01 * n) ** 2
    state = accumulate(np.full((3, 1, 1), 255, np.uint8), method).__getstate__()
    sums = np.array([255 * n, 255 * n * (n + 1) // 2]).reshape(2, 1, 1)
    images = ActiveImageAccumulator()
    images.__setstate__(state | {"count": n, "sums": sums})
    assert (images.result() == 0).all()
    images.update(np.zeros((1, 1), np.uint8))
    # n + 1 frames: all weights sum to 0, and the last frame, which is black, has weight n.
    want = -255 * n + (255 if method == "authors" else 0)
    assert images.result() == np.float32(want)
    before = pickle.dumps(images)
    with pytest.raises(ValueError, match=rf"'{method}' takes at most 190000000 frames of uint8"):
        images.update(np.zeros((1, 1), np.uint8))
    with pytest.raises(ValueError, match="got 190000001"):
        images.merge(accumulate(np.zeros((1, 1, 1), np.uint8), method))
    assert pickle.dumps(images) == before


# Memory and threads


@pytest.mark.parametrize("method", METHODS)
def test_memory_does_not_grow(method):
    frames = random_frames(50, (32, 32))
    images = accumulate(frames, method)
    size = len(pickle.dumps(images))
    tracemalloc.start()
    for _ in range(40):
        for frame in frames:
            images.update(frame)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The count, which is pickled with as many bytes as it needs, grows by a few.
    assert len(pickle.dumps(images)) - size < 16
    assert kept < 2000 and peak < 8000
    assert size < 32 * 32 * (3 * 8 + 3) + 1000


def counts_while(function):
    """Whether another Python thread runs while `function` does, with no switch forced upon it."""
    ticks, stop = [0], threading.Event()

    def tick():
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(1e-4)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=tick)
    try:
        sys.setswitchinterval(600)
        thread.start()
        before = ticks[0]
        function()
        return ticks[0] > before
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()


def test_the_gil_is_released_while_pixels_are_summed():
    frames = np.zeros((17, 1000, 2000), np.uint8)
    sums = np.zeros((3, 1000, 2000))
    steps = np.zeros((1, 1000, 2000), np.int64)
    images = ActiveImageAccumulator()

    def tries(function):
        # A busy machine may leave the other thread waiting through one call, not through all.
        return any(counts_while(function) for _ in range(20))

    assert tries(lambda: _C.accumulate_sums(frames, 0, 16, 0, sums))
    assert tries(lambda: _C.accumulate_motion(frames, 1, 17, True, steps))
    assert tries(lambda: images.update(frames[0]))
    assert not counts_while(lambda: sum(range(2_000_000)))  # the measurement itself


def test_kernels_called_directly_never_read_or_write_outside():
    frames, sums = np.zeros((3, 2, 2), np.uint8), np.zeros((2, 2, 2), np.int64)
    read_only = sums.copy()
    read_only.flags.writeable = False
    for begin, end, bad_frames, bad_sums in (
        (-1, 2, frames, sums),
        (0, 4, frames, sums),
        (2, 1, frames, sums),
        (0, 2, frames, sums[:1]),
        (0, 2, frames, sums[:, :1]),
        (0, 2, frames, np.zeros((4, 2, 2))),
        (0, 2, frames, np.zeros((3, 2, 2), np.int64)),
        (0, 2, frames, sums[:, :, ::-1]),
        (0, 2, frames, sums.astype(np.int32)),
        (0, 2, frames, read_only),
        (0, 2, frames[:, ::-1], sums),
        (0, 2, frames[:0], sums),
        (0, 2, frames.astype(np.int16), np.zeros((2, 2, 2))),
        (0, 2, frames.astype(np.float32), sums),
        (0, 2, np.array(1, np.uint8), sums),
    ):
        with pytest.raises(ValueError):
            _C.accumulate_sums(bad_frames, begin, end, 0, bad_sums)
    for begin, end, bad_sums in (
        (1, 4, sums[:1]),
        (0, 2, sums),
        (0, 2, np.zeros((1, 2, 2))),
        (0, 2, sums[:1, :, ::-1]),
    ):
        with pytest.raises(ValueError):
            _C.accumulate_motion(frames, begin, end, True, bad_sums)
    assert not sums.any()
