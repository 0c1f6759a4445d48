import numpy as np
import pytest
from planted_faces import FPS, clip, face

from originet.clips.cascade_tracker import CascadeTracker, same_place
from originet.clips.faces import Box
from originet.clips.tracking import EYES, aligned

BLANK = np.full((150, 160), 90, np.uint8)


def follow(tracker, frames, start=0.0):
    return [tracker.follow(frame, start + index / FPS) for index, frame in enumerate(frames)]


def test_a_face_counts_once_it_was_found_twice_and_then_keeps_its_identity():
    frame, _ = face()
    found = follow(CascadeTracker(), [frame] * 8)
    assert found[0] == [] and [each.identity for each in found[-1]] == [0]
    assert found[-1][0].confidence > 0.95
    # The astronaut's eyes, in pixels of the small frame.
    eyes = [(61.6, 50.6), (83.1, 51.5)]
    for eye, goal in zip(eyes, EYES, strict=True):
        assert np.abs(found[-1][0].warp @ [*eye, 1] - goal).max() < 0.05


def test_two_faces_are_told_apart():
    frame, _ = face()
    found = follow(CascadeTracker(), [np.hstack([frame, frame[:, ::-1]])] * 8)
    assert [each.identity for each in found[-1]] == [0, 1]
    assert abs(found[-1][0].box.x - found[-1][1].box.x) > 100


def test_a_face_lost_and_found_where_it_was_is_the_same():
    frame, _ = face()
    tracker = CascadeTracker()
    follow(tracker, [frame] * 6)
    gone = follow(tracker, [BLANK] * 30, 0.2)
    assert not any(gone)
    back = follow(tracker, [frame] * 10, 1.2)
    assert [each.identity for each in back[-1]] == [0]


def test_a_face_elsewhere_is_another():
    frame, _ = face()
    tracker = CascadeTracker()
    wide = np.hstack([frame, BLANK])
    follow(tracker, [wide] * 6)
    follow(tracker, [np.hstack([BLANK, BLANK])] * 30, 0.2)
    other = follow(tracker, [np.hstack([BLANK, frame])] * 10, 1.2)
    assert [each.identity for each in other[-1]] == [1]


def test_nothing_is_no_face():
    noise = np.random.default_rng(0).integers(0, 256, (20, 150, 160), dtype=np.uint8)
    assert not any(follow(CascadeTracker(), [BLANK] * 10 + list(noise)))


@pytest.mark.slow
def test_head_motion_is_taken_out_and_colours_are_taken():
    frames, _ = clip()
    coloured = [np.repeat(frame[..., None], 3, axis=2) for frame in frames]
    tracked = follow(CascadeTracker(), coloured)
    faces = [
        aligned(frame, each[0], 64) for frame, each in zip(frames, tracked, strict=True) if each
    ]
    assert len(faces) > 0.9 * len(frames)
    faces, still = np.stack(faces).astype(float), np.stack(frames).astype(float)
    # The bridge of the nose moves with the head, and here with nothing else.
    nose = faces[:, 22:34, 26:38].std(axis=0).mean()
    same = still[:, 50:62, 66:78].std(axis=0).mean()
    assert nose < 0.6 * same


def test_boxes_of_one_place():
    assert same_place(Box(0, 0, 100), Box(20, 10, 110))
    assert not same_place(Box(0, 0, 100), Box(60, 0, 100))
    assert not same_place(Box(0, 0, 100), Box(0, 0, 40))
