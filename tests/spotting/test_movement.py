"""Movements that are known, because a picture was moved by them."""

import cv2
import numpy as np
import pytest
from skimage import data

from originet.spotting.movement import energies, movement, slopes_of
from originet.spotting.regions import CELL_X, CELL_Y, REGIONS, SIDE


@pytest.fixture(scope="module")
def face():
    grey = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)[40:190, 150:300]
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def moved_by(face, right, down):
    return cv2.remap(face, COLUMNS - right, ROWS - down, cv2.INTER_CUBIC)


def bump(x, y, radius):
    return np.exp(-((COLUMNS / SIDE - x) ** 2 + (ROWS / SIDE - y) ** 2) / (2 * radius**2)).astype(
        np.float32
    )


def test_a_lifted_corner_of_the_mouth_is_measured_where_it_is(face):
    up = -1.5 * bump(0.36, 0.74, 0.07)
    slopes = slopes_of(face)
    found = movement(moved_by(face, 0 * up, up) - face, slopes)
    values = energies(found, slopes.texture)
    assert REGIONS[int(values[:-1].argmax())] == "mouth_left"
    place = np.argmin((CELL_X - 0.36) ** 2 + (CELL_Y - 0.74) ** 2)
    assert -1.6 < found[1].ravel()[place] < -0.5  # less, as what is around it is still
    assert values[REGIONS.index("brow_right")] < 0.1 * values.max()


def test_what_the_whole_head_does_is_taken_out(face):
    whole = np.ones_like(face)
    slopes = slopes_of(face)
    shifted = movement(moved_by(face, 0.6 * whole, -0.4 * whole) - face, slopes)
    local = 1.5 * bump(0.64, 0.74, 0.07)
    mixed = moved_by(face, 0.6 * whole + local, -0.4 * whole)
    values = energies(movement(mixed - face, slopes), slopes.texture)
    assert energies(shifted, slopes.texture).max() < 0.3  # of 0.72
    assert REGIONS[int(values[:-1].argmax())] == "mouth_right" and values.max() > 0.4


def test_light_is_no_movement(face):
    slopes = slopes_of(face)
    lit = face * (1 + 0.05 * COLUMNS / SIDE) + 3
    assert energies(movement(lit - face, slopes), slopes.texture).max() < 0.12


def test_a_plain_picture_does_not_move():
    plain = np.full((SIDE, SIDE), 90, np.float32)
    slopes = slopes_of(plain)
    assert not slopes.texture.any()
    noise = np.random.default_rng(0).normal(0, 2, plain.shape).astype(np.float32)
    moved = movement(noise, slopes)
    assert np.abs(moved).max() < 1e-6
    assert not energies(moved, slopes.texture).any()
