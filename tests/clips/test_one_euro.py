import numpy as np
import pytest

from originet.clips.one_euro import OneEuro, share


def filtered(values, rate, cutoff=3.0, quicken=120.0):
    euro = OneEuro(cutoff, quicken)
    return np.array([euro.see(np.atleast_1d(v), k / rate)[0] for k, v in enumerate(values)])


@pytest.mark.parametrize("rate", [30, 200])
def test_noise_at_rest_is_smoothed(rate):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1e-3, 3 * rate) + 1j * rng.normal(0, 1e-3, 3 * rate)
    smooth = filtered(noise, rate)[rate:]
    assert smooth.std() < (0.75 if rate == 30 else 0.4) * noise.std()


@pytest.mark.parametrize(("rate", "least"), [(30, 0.86), (200, 0.94)])
def test_a_movement_of_a_fifth_of_a_second_keeps_its_height(rate, least):
    times = np.arange(0, 1, 1 / rate)
    rising = 0.5 * (1 + np.cos(2 * np.pi * (times - 0.5) / 0.2))
    bump = 2 / 128 * np.where(np.abs(times - 0.5) < 0.1, rising, 0) + 0j
    smooth = filtered(bump, rate)
    assert least * np.abs(bump).max() < np.abs(smooth).max() <= np.abs(bump).max()
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
