"""Faces followed by landmarks, in the films of others and where the truth is known."""

import cv2
import numpy as np
import pytest
from face_videos import astronaut, left_over, moved, nod
from films import film

from originet.clips import landmarks
from originet.clips.frames import iter_timed
from originet.clips.landmarks import LandmarkTracker, find_points
from originet.clips.similarity import Similarity, to_complex
from originet.clips.tracking import EYES, aligned
from originet.clips.video import read_frames_at
from originet.datasets.synth import carphone_path

pytestmark = pytest.mark.needs_landmarks

TICK = 1 / 30


def stage(*places, size=(480, 640)):
    """A grey picture with the astronaut's face, of 100 pixels, at some places."""
    frame = np.full((*size, 3), 120, np.uint8)
    face = astronaut()[40:220, 140:310]
    for x, y in places:
        frame[y : y + 180, x : x + 170] = face
    return frame


def similarity(warp):
    return Similarity(complex(warp[0, 0], warp[1, 0]), complex(warp[0, 2], warp[1, 2]))


def identities(frames, tick=TICK):
    tracker = LandmarkTracker()
    return [
        [face.identity for face in tracker.follow(frame, k * tick)]
        for k, frame in enumerate(frames)
    ]


def test_a_face_is_told_with_its_place_its_points_and_a_warp_to_the_eyes():
    (face,) = LandmarkTracker().follow(stage((100, 150)), 0.0)
    assert face.identity == 0 and face.confidence > 0.99
    assert face.points.shape == (468, 2) and face.points.dtype == np.float32
    middle = np.array(face.box[:2]) + face.box.size / 2
    np.testing.assert_allclose(middle, [224 - 140 + 100, 120 - 40 + 150], atol=6)
    eyes = [face.points[[33, 133]].mean(axis=0), face.points[[362, 263]].mean(axis=0)]
    columns = np.vstack([np.array(eyes, np.float64).T, np.ones(2)])
    np.testing.assert_allclose((face.warp @ columns).T, EYES, atol=0.004)
    assert aligned(stage((100, 150)), face, 64).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("name", "at", "want"),
    [("face_noface.mov", [10, 60, 80, 160], [1, 1, 0, 0]), ("no_face.mp4", [2, 40, 80], [0] * 3)],
)
def test_faces_are_there_where_films_show_them(name, at, want):
    frames = read_frames_at(str(film(name)), [number + 1 for number in at])
    assert [len(find_points(frame)) for frame in frames] == want


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first", "last", "end"),
    [
        ("single_face.mp4", 0, 71, 72),
        ("WolfgangLanger_Pexels.mp4", 0, 471, 472),
        ("face_noface.mov", 0, 71, 169),
        ("noface_face.mov", 98, 167, 169),
    ],
)
def test_one_face_keeps_its_identity_through_a_film(name, first, last, end):
    tracker, there = LandmarkTracker(), []
    for k, (frame, seconds) in enumerate(iter_timed(str(film(name)), color=True)):
        faces = tracker.follow(frame, seconds)
        assert [face.identity for face in faces] in ([], [0]), k
        there += [k] * len(faces)
    assert k + 1 <= end
    assert abs(there[0] - first) <= 15 and abs(there[-1] - last) <= 2  # a search in half a second
    assert len(there) == there[-1] - there[0] + 1


def test_several_faces_are_followed_and_keep_their_identities():
    frames = [stage((20 + 2 * k, 150), (450 - 2 * k, 150)) for k in range(20)]
    tracker = LandmarkTracker()
    for k, frame in enumerate(frames):
        faces = tracker.follow(frame, k * TICK)
        assert [face.identity for face in faces] == [0, 1]
        first, second = (face.box.x for face in faces)
        there = sorted([20 + 2 * k, 450 - 2 * k])
        assert abs(min(first, second) - there[0]) < 60 and abs(max(first, second) - there[1]) < 60
        if k == 0:
            zero_is_left = first < second
        assert (first < second) == zero_is_left


def test_a_face_that_appears_later_is_found_within_half_a_second():
    frames = [stage((60, 150))] * 5 + [stage((60, 150), (400, 150))] * 16
    told = identities(frames)
    assert told[4] == [0] and [0, 1] in told and told[-1] == [0, 1]


@pytest.mark.parametrize(
    ("gap", "back", "want"),
    [
        (1.0, (130, 170), 0),  # where it was
        (1.0, (420, 150), 1),  # elsewhere: somebody else
        (landmarks.REMEMBERED + 1, (130, 170), 1),  # after too long a time
    ],
)
def test_a_face_that_is_lost_and_found_keeps_its_identity_by_place_and_time(gap, back, want):
    tracker = LandmarkTracker()
    told = [tracker.follow(stage((100, 150)), 0.0), tracker.follow(stage((100, 150)), 0.1)]
    assert [face.identity for face in told[-1]] == [0]
    for seconds in np.arange(0.2, gap, 0.1):
        assert tracker.follow(stage(), float(seconds)) == []
    tracker.follow(stage(back), gap + 0.2)
    (face,) = tracker.follow(stage(back), gap + 0.7)  # searched for twice a second, at least
    assert face.identity == want


def test_a_much_larger_face_is_another():
    tracker = LandmarkTracker()
    tracker.follow(stage((100, 150)), 0.0)
    assert tracker.follow(stage(), 0.1) == []
    large = cv2.resize(stage((100, 150))[100:380, 40:380], (680, 560))
    (face,) = tracker.follow(large[:480, :640], 0.3)
    assert face.identity == 1


def test_motion_of_the_head_is_removed_to_half_a_pixel():
    frame = astronaut()
    points = to_complex(find_points(frame)[0][0])
    about, tracker, rng = points.mean(), LandmarkTracker(), np.random.default_rng(0)
    motions = [nod(k * TICK, about, 120.0) for k in range(36)]
    warps = []
    for k, motion in enumerate(motions):
        (face,) = tracker.follow(moved(frame, motion, rng), k * TICK)
        warps.append(similarity(face.warp))
    left = left_over(warps, motions, points[::6])
    assert left.max() < 0.5 and np.sqrt((left**2).mean()) < 0.15


def test_landmarks_of_a_still_face_rest_although_the_camera_is_noisy():
    rng, frame, tracker = np.random.default_rng(0), astronaut(), LandmarkTracker()
    raw, smooth, warps = [], [], []
    for k in range(25):
        noisy = moved(frame, Similarity(1, 0), rng)
        (face,) = tracker.follow(noisy, k * TICK)
        raw.append(find_points(noisy)[0][0] if k % 3 == 0 else None)
        smooth.append(face.points)
        warps.append(similarity(face.warp))
    each = np.std([points for points in raw if points is not None], axis=0).mean()
    assert np.std(smooth[5:], axis=0).mean() < 0.5 * each
    points = to_complex(smooth[-1].astype(np.float64))
    assert left_over(warps, [Similarity(1, 0)] * 25, points).max() < 0.25


@pytest.mark.slow
def test_a_talking_man_keeps_his_eyes_in_place():
    tracker, places = LandmarkTracker(), []
    for frame, seconds in iter_timed(str(carphone_path()), color=True):
        (face,) = tracker.follow(frame, seconds)
        eyes = [face.points[[33, 133]].mean(axis=0), face.points[[362, 263]].mean(axis=0)]
        columns = np.vstack([np.array(eyes, np.float64).T, np.ones(2)])
        places.append((face.warp @ columns).T)
    assert np.abs(np.array(places) - EYES).max() < 0.06 and len(places) == 120


def test_grey_frames_are_followed_too():
    frame = cv2.cvtColor(stage((100, 150)), cv2.COLOR_BGR2GRAY)
    (face,) = LandmarkTracker().follow(frame, 0.0)
    assert aligned(frame, face, 32).shape == (32, 32)
