"""The formulas in reports are what the kernels compute."""

import numpy as np
import pytest
import torch

from originet.evaluation.readings import READINGS
from originet.system.choices import SOURCES
from originet_ext import METHODS, active_image

N = 7


def formulas(frames):
    """The formulas of `READINGS`, written again in NumPy; frames [N, ...] are F_1 .. F_N."""
    steps = np.diff(frames, axis=0)
    harmonic = [sum(1 / s for s in range(1, t + 1)) for t in range(N + 1)]
    first, last, before = frames[0], frames[-1], frames[-2]

    def weighted(weight):
        return sum(weight(t) * frames[t - 1] for t in range(1, N + 1))

    def twice(part):
        return 2 * part(steps[:-1]).sum(axis=0) + part(steps[-1])

    return {
        "cumulative": 2 * frames[1:-1].sum(axis=0) + last - (2 * N - 3) * first,
        "telescoped": last + before - 2 * first,
        "authors": weighted(lambda t: max(t - 2, 0) - max(N - 1 - t, 0)),
        "absolute": twice(abs),
        "rectified": twice(lambda step: np.maximum(step, 0)),
        "rank": weighted(lambda t: 2 * (N - t + 1) - (N + 1) * (harmonic[N] - harmonic[t - 1])),
        "rank-simple": weighted(lambda t: 2 * t - N - 1),
        "learnet": weighted(lambda t: sum((2 * s - N) / s for s in range(t, N + 1))),
    }


@pytest.mark.parametrize("method", METHODS)
def test_each_formula_is_what_its_method_computes(method):
    frames = np.random.default_rng(0).normal(size=(N, 3, 4))
    computed = active_image(torch.from_numpy(frames), method=method).numpy()
    np.testing.assert_allclose(computed, formulas(frames)[method], atol=1e-12)


def test_every_method_has_a_sentence_with_a_formula():
    assert tuple(READINGS) == SOURCES
    for source, text in READINGS.items():
        assert text.endswith(".")
        assert source not in METHODS or (": " in text and "F" in text)
