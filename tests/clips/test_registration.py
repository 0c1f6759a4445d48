"""A face that was moved by a known amount is found to a fraction of a pixel."""

import cv2
import numpy as np
import pytest
from planted_faces import face

from originet.clips.registration import Reference, rigidity, scaled, shrunk


@pytest.fixture(scope="module")
def still():
    return face()


def moved(frame, angle=0.0, scale=1.0, right=0.0, down=0.0):
    """The frame, moved about its middle, and the same as a matrix on points of pixels' corners."""
    matrix = cv2.getRotationMatrix2D((80.0, 75.0), angle, scale)
    matrix[:, 2] += right, down
    centres = matrix.copy()
    centres[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    pixels = cv2.warpAffine(
        frame, centres, frame.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return pixels, np.vstack([matrix, [0, 0, 1]])


CORNERS = np.array([[0.3, 0.3, 1], [0.7, 0.3, 1], [0.5, 0.75, 1]]).T


@pytest.mark.parametrize(
    "motion", [{}, {"right": 1.3, "down": -0.7}, {"angle": 2.0}, {"scale": 1.04, "right": 0.5}]
)
def test_head_motion_is_found_to_a_fifth_of_a_pixel(still, motion):
    frame, warp = still
    pixels, matrix = moved(frame, **motion)
    fit = Reference(frame, warp).fit(pixels, warp)
    wanted = warp @ np.linalg.inv(matrix)
    # Where points of the aligned face lie in the moved frame, by both.
    there, true = (
        np.linalg.solve(each[:, :2], CORNERS[:2] - each[:, 2:]) for each in (fit.warp, wanted)
    )
    assert np.abs(there - true).max() < 0.2
    assert fit.likeness > 0.98


def test_light_does_not_move_a_face(still):
    frame, warp = still
    darker = np.clip(0.95 * frame.astype(float) + 8, 0, 255).astype(np.uint8)
    fit = Reference(frame, warp).fit(darker, warp)
    side = 1 / np.sqrt(np.linalg.det(warp[:, :2]))
    assert np.abs((fit.warp - warp) @ [80, 75, 1]).max() * side < 0.2


def test_an_expression_is_not_absorbed(still):
    """A mouth that opens by 4 pixels moves the head by less than a tenth of that."""
    frame, warp = still
    rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    x, y = (each[0] * (columns + 0.5) + each[1] * (rows + 0.5) + each[2] for each in warp)
    down = 4 * np.exp(-(((x - 0.5) / 0.12) ** 2 + ((y - 0.82) / 0.07) ** 2) / 2)
    opened = cv2.remap(frame, columns, (rows - down).astype(np.float32), cv2.INTER_CUBIC)
    fit = Reference(frame, warp).fit(opened, warp)
    side = 1 / np.sqrt(np.linalg.det(warp[:, :2]))
    assert np.abs((fit.warp - warp) @ [80, 75, 1]).max() * side < 0.4


def test_something_else_is_not_like_a_face(still):
    frame, warp = still
    noise = np.random.default_rng(0).integers(0, 256, frame.shape, dtype=np.uint8)
    assert Reference(frame, warp).fit(noise, warp).likeness < 0.5


def test_a_reference_follows_slow_changes(still):
    frame, warp = still
    reference = Reference(frame, warp)
    darker = (0.5 * frame).astype(np.uint8)
    for _ in range(60):
        fit = reference.fit(darker, warp)
        reference.follow(fit.face, 0.1)
    assert np.abs(reference._face - fit.face).mean() < 1


def test_frames_are_shrunk_by_whole_numbers_and_the_warp_with_them():
    frame = np.arange(64 * 65, dtype=np.uint8).reshape(64, 65)
    warp = np.array([[1 / 30, 0, -0.1], [0, 1 / 30, 0.2]])
    small, other, scale = shrunk(frame, warp, 10)
    assert scale == 1 / 3 and small.shape == (21, 21)
    assert np.allclose(other @ [4, 5, 1], warp @ [12, 15, 1])
    assert np.allclose(scaled(other, 3), warp)
    assert shrunk(frame, warp, 20)[0] is frame


def test_rigidity_is_between_0_and_1():
    grid = np.meshgrid(np.linspace(-1, 2, 40), np.linspace(-1, 2, 40))
    values = rigidity(*grid)
    assert 0 <= values.min() and 0.8 < values.max() <= 1
