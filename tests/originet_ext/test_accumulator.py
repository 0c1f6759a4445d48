"""ActiveImageAccumulator against active_image, which sees all frames at once."""

import pickle
import sys
import threading
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch
from streams import (
    EXACT,
    HARMONIC,
    RUNNING_SUMS,
    accumulate,
    assert_is_image_of,
    random_frames,
    stated_bound,
)

from originet_ext import (
    METHODS,
    NORMALIZATIONS,
    ActiveImageAccumulator,
    _sums,
    active_image,
    method_weights,
)

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
        exact = np.tensordot(method_weights(method, n).numpy(), frames.astype(np.float64), 1)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, exact, rtol=2**-23, atol=1e-8 * n * n)
        assert_is_image_of(accumulate(frames, method), frames)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_floating_frames_equal_active_image(method, dtype):
    for n in (1, 2, 3, 4, 5, 6, 17, 40):
        frames = random_frames(n, (4, 6), dtype, seed=n) - dtype(10)
        assert_is_image_of(accumulate(frames, method), frames)


def exact_image(frames, method):
    """In rational numbers, literally as docs/design.md says; frames: [n, pixels]."""
    n, pixels = frames.shape
    f = [[Fraction(float(value)) for value in frame] for frame in frames]
    if method in ("absolute", "rectified"):
        step = abs if method == "absolute" else lambda d: max(d, 0)
        ft = [[0] * pixels] + [
            [step(a - b) for a, b in zip(f[t], f[t - 1], strict=True)] for t in range(1, n)
        ]
        return [sum(ft[t - 1][i] + ft[t][i] for t in range(1, n)) for i in range(pixels)]
    harmonic = [sum((Fraction(1, k) for k in range(1, t + 1)), Fraction(0)) for t in range(n + 1)]
    weights = {
        "cumulative": lambda t: 2 - (2 * n - 1) * (t == 1) - (t == n),
        "telescoped": lambda t: (t >= n - 1) - 2 * (t == 1),
        "authors": lambda t: max(t - 2, 0) - max(n - 1 - t, 0),
        "rank-simple": lambda t: 2 * t - n - 1,
        "rank": lambda t: 2 * (n - t + 1) - (n + 1) * (harmonic[n] - harmonic[t - 1]),
        "learnet": lambda t: sum(Fraction(2 * k - n, k) for k in range(t, n + 1)),
    }[method]
    return [sum(weights(t) * f[t - 1][i] for t in range(1, n + 1)) for i in range(pixels)]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_the_stated_bound_holds(method, dtype):
    rng = np.random.default_rng(0)
    for n in (3, 5, 16, 40, 90):
        frames = rng.integers(0, 256, (n, 1, 12)).astype(dtype)
        if dtype != np.uint8:  # of all magnitudes and both signs
            frames = (
                frames * rng.normal(size=frames.shape) * 10.0 ** rng.integers(-6, 7, frames.shape)
            ).astype(dtype)
        frames[: n // 2, :, 0] = 0
        frames[: n - 1, :, 1] = 0
        got = accumulate(frames, method).result()[0]
        want = exact_image(frames[:, 0], method)
        bound = stated_bound(method, np.abs(frames[:, 0].astype(np.float64)))
        rounding = 2.0**-53 if dtype == np.float64 else 2.0**-24
        for value, exact, error in zip(got, want, bound, strict=True):
            assert abs(Fraction(float(value)) - exact) <= error + rounding * abs(exact)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["cumulative", "telescoped", "absolute", "rectified"])
def test_floating_pixels_at_rest_give_exactly_zero(method, dtype):
    values = np.random.default_rng(0).normal(size=(4, 5)).astype(dtype) * dtype(1e3)
    for n in (2, 3, 20, 1000):
        images = accumulate(np.broadcast_to(values, (n, 4, 5)), method)
        assert (images.result() == 0).all()
        images.merge(accumulate(np.broadcast_to(values, (n, 4, 5)), method))
        assert (images.result() == 0).all()


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
    large = np.zeros((4000, 8000), np.uint8)  # copying it takes milliseconds
    images = ActiveImageAccumulator()

    def tries(function):
        # A busy machine may leave the other thread waiting through one call, not through all.
        return any(counts_while(function) for _ in range(60))

    assert tries(lambda: _sums.accumulate_sums(frames, 0, 16, 0, sums))
    assert tries(lambda: _sums.accumulate_motion(frames, 1, 17, True, steps))
    assert tries(lambda: _sums.accumulate_frames(frames, 0, 17, frames[0], steps))
    assert tries(lambda: images.update(large))
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
            _sums.accumulate_sums(bad_frames, begin, end, 0, bad_sums)
    for begin, end, bad_sums in (
        (1, 4, sums[:1]),
        (0, 2, sums),
        (0, 2, np.zeros((1, 2, 2))),
        (0, 2, sums[:1, :, ::-1]),
    ):
        with pytest.raises(ValueError):
            _sums.accumulate_motion(frames, begin, end, True, bad_sums)
        with pytest.raises(ValueError):
            _sums.accumulate_frames(frames, begin, end + 1, frames[0], bad_sums)
    for first in (frames[0, :1], frames[0].astype(np.float32), frames[0].T, frames):
        with pytest.raises(ValueError, match="first must be dense and like a frame"):
            _sums.accumulate_frames(frames, 0, 2, first, sums[:1])
    assert not sums.any()
