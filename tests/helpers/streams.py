"""What the tests of ActiveImageAccumulator share."""

import numpy as np
import torch

from originet_ext import MOTION_METHODS, ActiveImageAccumulator, active_image, method_weights

EXACT = ("telescoped", "cumulative", "authors", "absolute", "rectified", "rank-simple")
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
    magnitudes = np.abs(frames.astype(np.float64))
    # The bound of active_image, where a difference counts no frame more than 4 times.
    bound = 4 * (n + 2) * eps * magnitudes.sum(0)
    if accumulator.method not in MOTION_METHODS:
        weights = np.abs(method_weights(accumulator.method, n).numpy())
        bound = (n + 2) * eps * np.tensordot(weights, magnitudes, 1)
    bound += stated_bound(accumulator.method, magnitudes) + eps * np.abs(want)
    assert (np.abs(got.astype(np.float64) - want) <= bound).all()


def stated_bound(method, magnitudes):
    """What the docstring promises, besides the rounding of the result; magnitudes: [n, ...] |F|."""
    n = len(magnitudes)
    if method in RUNNING_SUMS:
        scale = 8 * (n + 1) ** 2 * (1 + np.sum(1 / np.arange(1, n + 1)))
        return scale * 2.0**-53 * magnitudes.sum(0)
    return 8 * n * 2.0**-53 * (magnitudes.sum(0) + n * magnitudes[0])
