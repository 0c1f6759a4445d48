"""A face held still, with landmarks that are made up: the networks are not needed."""

import cv2
import numpy as np
import pytest
from face_videos import close_up, left_over, moved, nod

from originet.clips.similarity import Similarity, to_complex, to_real
from originet.clips.steady import EYE_CORNERS, RIGID, Steady, level_eyes
from originet.clips.tracking import EYES

# The astronaut's rigid points in the order of RIGID, and the middle of her face.
POINTS = to_complex(
    np.array(
        [
            *((102.5, 101.4), (124.0, 101.7), (146.5, 103.2), (168.2, 104.9)),
            *((135.0, 100.0), (134.5, 107.0), (133.5, 118.0), (133.2, 123.0)),
        ]
    )
)
ABOUT, SIDE = 134 + 122j, 120.0
TICK = 1 / 30


def landmarks(motion, rng=None, noise=0.0):
    """468 points, of which only the rigid ones are where they should be."""
    points = np.full(468, motion(np.array([ABOUT]))[0])
    points[list(RIGID)] = motion(POINTS)
    if rng is not None:
        points = points + to_complex(rng.normal(0, noise, (468, 2)))
    return to_real(points)


def held(motions, *, noise, color=True, picture=None):
    """Holds the astronaut still; returns the warps."""
    rng, steady, warps = np.random.default_rng(1), Steady(), []
    for k, motion in enumerate(motions):
        image = close_up() if picture is None else picture(k)
        frame = moved(image, motion, rng)
        frame = frame if color else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        warps.append(steady.see(frame, landmarks(motion, rng, noise), k * TICK)[0])
    return warps


def alone(motions, noise):
    """What the landmarks alone would give, frame by frame."""
    rng = np.random.default_rng(1)
    return [level_eyes(to_complex(landmarks(each, rng, noise))) for each in motions]


def grid():
    return np.add.outer(np.linspace(-50, 50, 5), 1j * np.linspace(-50, 60, 5)).ravel() + ABOUT


def test_the_eyes_are_put_where_an_aligned_face_has_them():
    (warp,) = held([Similarity(1, 0)], noise=0)
    corners = POINTS[:4].reshape(2, 2).mean(axis=1)
    np.testing.assert_allclose(to_real(warp(corners)), EYES, atol=1e-9)
    assert len(RIGID) == len(POINTS) and RIGID[:2] == EYE_CORNERS[0]


@pytest.mark.parametrize("color", [True, False])
def test_wavering_landmarks_do_not_make_a_still_face_waver(color):
    motions = [Similarity(1, 0)] * 40
    wavering = left_over(alone(motions, 0.3), motions, grid())
    steady = left_over(held(motions, noise=0.3, color=color), motions, grid())
    assert np.sqrt((wavering**2).mean()) > 0.4
    assert np.sqrt((steady[5:] ** 2).mean()) < 0.2 and steady.max() < 0.5


def test_the_motion_of_the_head_is_taken_out():
    motions = [nod(k * TICK, ABOUT, SIDE) for k in range(40)]
    there = np.abs(np.diff([motion(ABOUT) for motion in motions]))
    assert there.max() * 128 / SIDE > 1  # pixels a frame
    steady = left_over(held(motions, noise=0.3), motions, grid())
    assert steady.max() < 0.5 and np.sqrt((steady**2).mean()) < 0.2


def raised(k):
    """A corner of the mouth that rises by two pixels of 128 within a fifth of a second."""
    image, places = close_up(), np.mgrid[:280, :280].astype(np.float32)
    height = 2 * SIDE / 128 * np.exp(-((((k - 12) * TICK) / 0.06) ** 2))
    down, across = places
    near = np.exp(-((down - 149) ** 2 + (across - 154) ** 2) / (2 * 8**2))
    return cv2.remap(image, across, (down + height * near).astype(np.float32), cv2.INTER_CUBIC)


def test_an_expression_is_not_taken_for_motion_of_the_head():
    motions = [nod(k * TICK, ABOUT, SIDE) for k in range(25)]
    quiet = held(motions, noise=0.3)
    smiling = held(motions, noise=0.3, picture=raised)
    corner = np.array([154 + 149j])
    apart = [
        abs(a(m(corner)) - b(m(corner)))[0] for a, b, m in zip(quiet, smiling, motions, strict=True)
    ]
    assert 128 * max(apart) < 0.1  # of the two pixels, which the crop thus shows


def test_landmarks_take_over_where_the_flow_fails():
    rng, steady = np.random.default_rng(0), Steady()
    for k in range(30):
        motion = nod(k * TICK, ABOUT, SIDE)
        blank = np.full((280, 280), 128, np.uint8)
        frame = blank if k >= 10 else moved(close_up(), motion, rng)[..., 0]
        warp, _ = steady.see(frame, landmarks(motion), k * TICK)
        error = 128 * np.abs(warp(motion(POINTS)) - steady._template)
        assert error.max() < 1.5, k


def test_a_face_that_jumps_is_caught_up_with():
    """As at a cut, or after frames that are missing."""
    steady = Steady()
    for k in range(40):
        motion = Similarity(1, 0 if k < 10 else 40 + 30j)
        warp, points = steady.see(moved(close_up(), motion), landmarks(motion), k * TICK)
    assert 128 * np.abs(warp(motion(POINTS)) - steady._template).max() < 0.5
    np.testing.assert_allclose(points[list(RIGID)], to_real(motion(POINTS)), atol=0.5)


def test_after_a_restart_landmarks_count_as_they_are():
    steady = Steady()
    still = Similarity(1, 0)
    for k in range(5):
        steady.see(close_up(), landmarks(still), k * TICK)
    steady.restart()
    there = Similarity(0.8, 60 + 30j)
    warp, _ = steady.see(moved(close_up(), there), landmarks(there), 1.0)
    corners = there(POINTS[:4]).reshape(2, 2).mean(axis=1)
    np.testing.assert_allclose(to_real(warp(corners)), EYES, atol=1e-3)


def test_frames_of_one_time_are_no_trouble():
    steady = Steady()
    for _ in range(3):
        warp, points = steady.see(close_up(), landmarks(Similarity(1, 0)), 2.0)
    assert np.isfinite(points).all() and np.isfinite(warp).all()
