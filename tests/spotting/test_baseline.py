import numpy as np

from originet.spotting.baseline import Baseline


def test_a_spike_stands_out_and_leaves_no_trace():
    rng = np.random.default_rng(0)
    baseline = Baseline(3.0, 0.01)
    for index in range(120):
        quiet = baseline.excess(index / 30, 1 + 0.1 * rng.standard_normal(2))
    assert np.abs(quiet).max() < 4
    assert (baseline.excess(4.0, np.array([3.0, 1.0])) > [15, -4]).tolist() == [True, True]
    after = baseline.excess(4.1, np.array([1.0, 1.0]))
    assert np.abs(after).max() < 1


def test_what_lasts_becomes_usual():
    baseline = Baseline(1.0, 0.01)
    for index in range(200):
        out = baseline.excess(index / 30, np.array([0.1 if index < 60 else 2.0]))
    assert abs(out[0]) < 1e-9


def test_a_fast_camera_keeps_no_more_samples_than_a_slow_one():
    baseline = Baseline(2.0, 0.01)
    for index in range(2000):
        baseline.excess(index / 200, np.array([0.5]))
    assert len(baseline._rows) < 90
