import numpy as np
import pytest

from originet.clips.one_euro import OneEuro, share


def filtered(values, rate, cutoff=3.0, quicken=60.0):
    euro = OneEuro(cutoff, quicken)
    return np.array([euro.see(np.atleast_1d(v), k / rate)[0] for k, v in enumerate(values)])


@pytest.mark.parametrize("rate", [30, 200])
def test_noise_at_rest_is_smoothed(rate):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1e-3, 3 * rate) + 1j * rng.normal(0, 1e-3, 3 * rate)
    smooth = filtered(noise, rate)[rate:]
    assert smooth.std() < (0.75 if rate == 30 else 0.4) * noise.std()


def test_a_movement_of_a_fifth_of_a_second_keeps_its_height():
    times = np.arange(0, 1, 1 / 100)
    bump = 0.015 * np.exp(-(((times - 0.5) / 0.06) ** 2)) + 0j  # two pixels of 128
    smooth = filtered(bump, 100)
    assert 0.8 * 0.015 < np.abs(smooth).max() <= 0.015
    assert np.abs(smooth[-1]) < 0.001


def test_points_lag_each_on_its_own():
    euro = OneEuro(0.5, 1000.0)
    for k in range(10):
        slow, quick = euro.see(np.array([0j, 0.1 * k]), k / 30)
    assert slow == 0 and abs(quick - 0.9) < 0.01


def test_the_first_value_and_a_second_of_the_same_time_pass():
    euro = OneEuro(1.0, 0.0)
    assert euro.see(np.array([2j]), 5.0) == 2j
    assert euro.see(np.array([9j]), 5.0) == 2j


def test_a_low_pass_filter_takes_more_after_a_longer_time():
    assert share(1.0, 0.0) == 0
    assert share(1.0, 1 / (2 * np.pi)) == pytest.approx(0.5)
    assert share(1.0, 100.0) > 0.99
