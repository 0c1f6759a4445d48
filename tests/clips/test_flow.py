"""Optical flow of movements that are known to the last digit."""

import importlib.util

import cv2
import numpy as np
import pytest
from moving import grid, moved, shift, texture, turn

from originet.clips.flow import check_flow, flow, strain
from originet.system.choices import FLOWS
from originet.system.errors import InputError

INSIDE = slice(12, -12)
RIGID = {"shift": shift(1.3, -0.7), "still": shift(0, 0), "turn": turn(1.0)}


@pytest.mark.parametrize("method", FLOWS)
@pytest.mark.parametrize("motion", RIGID)
def test_a_known_motion_is_found_to_a_tenth_of_a_pixel(method, motion):
    onset, apex, true = moved(96, RIGID[motion])
    found = flow(onset, apex, method)
    assert found.shape == (96, 96, 3) and found.dtype == np.float32
    assert np.abs(found[..., :2] - true)[INSIDE, INSIDE].max() < 0.1
    # A rigid motion strains nothing; what TV-L1 has is its noise.
    assert np.abs(strain(*np.moveaxis(true, -1, 0))).max() < 1e-3
    assert found[INSIDE, INSIDE, 2].mean() < {"dis": 0.01, "tvl1": 0.02}[method]


@pytest.mark.parametrize("method", FLOWS)
def test_a_stretch_has_its_strain(method):
    x, y = grid(96)
    stretch = np.array([[1.02, 0, 0], [0, 1, 0]])
    onset, apex, _ = moved(96, stretch)
    assert np.median(flow(onset, apex, method)[INSIDE, INSIDE, 2]) == pytest.approx(0.02, abs=3e-3)
    assert strain(0.02 * x, 0 * y) == pytest.approx(0.02)
    shear = strain(0.02 * y, 0 * y)  # e_xy = 0.01, twice
    assert shear == pytest.approx(0.02 / np.sqrt(2))
    assert strain(0.02 * y, -0.02 * x) == pytest.approx(0)  # a small turn


def test_the_threads_do_not_change_a_flow():
    onset, apex, _ = moved(128, shift(1, 1))
    before, found = cv2.getNumThreads(), []
    try:
        for threads in (1, 2, 5):
            cv2.setNumThreads(threads)
            found.append(flow(onset, apex, "dis"))
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_what_cannot_be_computed_is_refused(monkeypatch):
    picture = texture(*grid(15))
    with pytest.raises(InputError, match="'dis' needs frames of 16 pixels, got 15"):
        flow(picture, picture)
    with pytest.raises(InputError, match="flow must be one of dis, tvl1, got 'raft'"):
        check_flow("raft", 64)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "skimage" else find(name)
    )
    with pytest.raises(InputError, match=r"needs scikit-image: pip install 'originet\[flow\]'"):
        check_flow("tvl1", 64)
    check_flow("dis", 64)
