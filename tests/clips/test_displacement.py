import numpy as np
import pytest

from originet.clips.displacement import displacement


def test_bumps_add_up_and_fade_as_a_gaussian_does():
    x, y = np.array([[0.5, 0.6, 0.9]]), np.array([[0.5, 0.5, 0.5]])
    one = displacement([(0.5, 0.5, 0.1, 2.0, -1.0)], x, y)
    assert one.shape == (2, 1, 3)
    assert one[:, 0, 0] == pytest.approx([2, -1])
    assert one[:, 0, 1] == pytest.approx(np.exp(-0.5) * np.array([2, -1]))
    assert np.abs(one[:, 0, 2]).max() < 0.001
    both = displacement(np.array([[0.5, 0.5, 0.1, 2, -1], [0.6, 0.5, 0.1, 0, 4]]), x, y)
    assert both[:, 0, 1] == pytest.approx(one[:, 0, 1] + [0, 4])
    assert not displacement([], x, y).any()
