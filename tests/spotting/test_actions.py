"""Filters for the actions of a face, on pictures that were moved by a known amount."""

import cv2
import numpy as np
import pytest
from skimage import data

from originet.spotting import actions
from originet.spotting.actions import ACTIONS, BLINKS, NAMES, REGIONS_OF, Usual
from originet.spotting.movement import movement, slopes_of
from originet.spotting.regions import CELLS, REGIONS, SIDE

ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32)


@pytest.fixture(scope="module")
def face():
    """An aligned face [SIDE, SIDE]: its eyes are where those of a tracked one are."""
    grey = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    eyes, wanted = (
        [(203, 101), (246, 103)],
        [(0.32 * SIDE, 0.34 * SIDE), (0.68 * SIDE, 0.34 * SIDE)],
    )
    warp, _ = cv2.estimateAffinePartial2D(np.float32(eyes), np.float32(wanted))
    return cv2.warpAffine(grey, warp, (SIDE, SIDE), flags=cv2.INTER_AREA).astype(np.float32)


def moved_by(face, field):
    return cv2.remap(face, COLUMNS - field[0], ROWS - field[1], cv2.INTER_CUBIC)


def strengths_of(face, field, usual=None):
    slopes = slopes_of(face)
    moved = movement(moved_by(face, field) - face, slopes)
    filters = (usual or Usual(10.0, 0.03)).filters(0.0, moved, face, slopes)
    return filters.products(moved) / np.sqrt(filters.power), filters.products(moved) / filters.power


@pytest.mark.parametrize("name", NAMES)
def test_an_action_is_measured_and_told_from_others(face, name):
    index = NAMES.index(name)
    strengths, pixels = strengths_of(face, actions._FIELDS[index])
    assert np.abs(strengths).argmax() == index
    assert 0.95 < pixels[index] < 1.25
    opposite, _ = strengths_of(face, -actions._FIELDS[index])
    assert opposite[index] < -0.85 * strengths[index]


def test_a_blink_is_explained_by_a_blink(face):
    field = sum(actions._FIELDS[BLINKS]) / 2
    strengths = np.abs(strengths_of(face, 2 * field)[0])
    assert strengths[BLINKS].max() > strengths[ACTIONS].max()


def test_left_and_right_move_the_regions_of_their_side():
    regions = {
        name: [REGIONS[index] for index in which]
        for name, which in zip(NAMES, REGIONS_OF, strict=True)
    }
    assert regions["AU12, left"][0] == "mouth_left" and regions["AU12, right"][0] == "mouth_right"
    assert set(regions["AU1+2"][:2]) == {"brow_left", "brow_right"}
    assert set(regions["AU45"][:2]) == {"lid_left", "lid_right"}
    assert regions["AU9"][0] == "nose" and "chin" in regions["AU24"]
    for name in NAMES:
        if name.endswith(", left"):
            field = actions._FIELDS[NAMES.index(name)]
            other = actions._FIELDS[NAMES.index(name.replace("left", "right"))]
            assert np.allclose(field[0], -other[0, :, ::-1], atol=1e-6)
            assert np.allclose(field[1], other[1, :, ::-1], atol=1e-6)


def test_cells_that_move_anyway_count_less(face):
    smile, brows = NAMES.index("AU12"), NAMES.index("AU1+2")
    slopes = slopes_of(face)
    talk = np.zeros((2, CELLS, CELLS))
    talk[:, CELLS // 2 :] = 0.5  # the lower half
    usual = Usual(10.0, 0.03)
    for index in range(60):
        filters = usual.filters(index / 30, talk, face, slopes)
    quiet = Usual(10.0, 0.03).filters(0.0, talk, face, slopes)
    assert filters.power[smile] < 0.01 * quiet.power[smile]
    assert filters.power[brows] > 0.8 * quiet.power[brows]


def test_the_present_movement_is_not_usual_yet(face):
    slopes, still = slopes_of(face), np.zeros((2, CELLS, CELLS))
    usual = Usual(10.0, 0.03)
    for index in range(30):
        usual.filters(index / 30, still, face, slopes)
    for index in range(30, 39):  # three tenths of a second
        now = usual.filters(index / 30, still + 1, face, slopes)
    assert np.allclose(now.power, Usual(10.0, 0.03).filters(0.0, still, face, slopes).power)


def test_memory_does_not_grow(face):
    slopes, usual = slopes_of(face), Usual(1.0, 0.03)
    for index in range(1000):
        usual.filters(index / 200, np.zeros((2, CELLS, CELLS)), face, slopes)
    assert len(usual._rows) < 60


def test_a_plain_picture_shows_no_action():
    plain = np.full((SIDE, SIDE), 90, np.float32)
    strengths, pixels = strengths_of(plain, 2 * actions._FIELDS[0])
    assert not strengths.any() and not pixels.any()
