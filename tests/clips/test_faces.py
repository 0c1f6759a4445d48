from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from skimage import data

from originet.clips import faces
from originet.clips.frames import read_clip
from originet.datasets.synth import carphone_path
from originet.system.errors import InputError


def test_detect_faces_finds_the_astronaut():
    box = faces.detect_faces(np.ascontiguousarray(data.astronaut()[..., ::-1]))[0]
    # Her eyes and mouth, read off the picture by hand.
    for x, y in ((203, 101), (246, 103), (224, 145)):
        assert box.x < x < box.x + box.size
        assert box.y < y < box.y + box.size
    assert box.size < 200


def test_stable_box_finds_the_face_of_carphone():
    clip = read_clip([str(carphone_path())], 1, 50)
    box = faces.stable_box(clip[faces.sample_indices(50)])
    assert box.x < 64 and 98 < box.x + box.size  # the eyes of frames 1 to 50
    assert box.y < 55 and 84 < box.y + box.size
    assert faces.crop(clip, box).shape == (50, box.size, box.size)


def test_stable_box_is_a_median_with_margin_inside_the_frame(monkeypatch):
    found = [faces.Box(10, 20, 40), faces.Box(12, 22, 40), faces.Box(90, 0, 70)]
    monkeypatch.setattr(faces, "_clip_faces", lambda frames: found)
    clip = np.zeros((4, 100, 200), np.uint8)
    assert faces.stable_box(clip, margin=0.1) == (8, 16, 48)


@pytest.mark.parametrize(
    ("face", "expected"),
    [((2, 3, 50), (0, 0, 60)), ((140, 60, 50), (135, 40, 60)), ((30, 5, 95), (20, 0, 100))],
)
def test_stable_box_stays_square_and_inside(monkeypatch, face, expected):
    monkeypatch.setattr(faces, "_clip_faces", lambda frames: [faces.Box(*face)])
    assert faces.stable_box(np.zeros((1, 100, 200), np.uint8), margin=0.1) == expected


def place(picture, corner, side, shape=(480, 640)):
    """Puts a picture, resized to a height and width of `side`, into a frame of smooth noise."""
    coarse = np.random.default_rng(1).integers(60, 160, (6, 8), np.uint8)
    frame = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    x, y = corner
    frame[y : y + side, x : x + side] = cv2.resize(
        picture, (side, side), interpolation=cv2.INTER_AREA if side < len(picture) else 1
    )
    return frame


def astronaut():
    """Returns her head, [200, 200] grey; the face is about half as wide."""
    return cv2.cvtColor(data.astronaut()[20:220, 125:325], cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("shape", [(480, 640), (650, 960)])
@pytest.mark.parametrize("side", [240, 300, 460])
def test_the_box_is_where_full_resolution_finds_the_face(shape, side):
    frames = [place(astronaut(), (40 + step, 9), side, shape) for step in range(7)]
    box = faces.stable_box(frames, margin=0.0)
    x, y, size = np.median([faces.detect_faces(frame)[0] for frame in frames], axis=0)
    assert abs(box.size - size) <= 0.05 * size
    assert abs(box.x + box.size / 2 - x - size / 2) <= 0.02 * size
    assert abs(box.y + box.size / 2 - y - size / 2) <= 0.02 * size


def test_frames_are_rarely_searched_at_full_resolution(monkeypatch):
    whole = []
    monkeypatch.setattr(faces, "detect_faces", lambda grey: whole.append(grey) or [])
    face = place(astronaut(), (150, 9), 460)
    faces.stable_box([face, np.zeros_like(face), face])
    assert not whole


def test_frames_without_a_face_are_left_to_their_neighbours():
    face, blank = place(astronaut(), (50, 9), 300), np.full((480, 640), 90, np.uint8)
    assert faces.stable_box([blank, face, blank, face]) == faces.stable_box([face, face])


def test_what_one_frame_alone_takes_for_a_face_does_not_count():
    large, small = place(astronaut(), (10, 9), 460), place(astronaut(), (430, 300), 170)
    box = faces.stable_box([large, *[small] * 6])
    assert box.x > 430 and box.y > 300 and box.size < 170


def test_a_quick_look_alone_is_not_believed(monkeypatch):
    frame = place(astronaut(), (300, 100), 300)
    box = faces.stable_box([frame, frame])
    monkeypatch.setattr(faces, "_detect_coarsely", lambda grey: [faces.Box(20, 30, 80)])
    again = faces.stable_box([frame, frame])
    assert box.x > 300 and abs(again.x - box.x) < 10 and abs(again.size - box.size) < 20


def test_stable_box_without_a_face_is_refused():
    noise = np.random.default_rng(0).integers(0, 256, (3, 96, 128), np.uint8)
    with pytest.raises(InputError, match="no face found in 3 sampled frames of 128x96"):
        faces.stable_box(noise)


def test_sample_indices_spread_over_the_clip():
    assert faces.sample_indices(11, 3) == [0, 5, 10]
    assert faces.sample_indices(4) == [0, 1, 2, 3]
    assert faces.sample_indices(10**6)[-1] == 10**6 - 1
    assert faces.sample_indices(5, 1) == [0]
    counts = [len(faces.sample_indices(length)) for length in (3, 60, 140, 280, 10**4)]
    assert counts == [3, 5, 5, 10, 16]
    with pytest.raises(InputError, match="samples must be at least 1, got 0"):
        faces.sample_indices(5, 0)
    with pytest.raises(InputError, match="length must be at least 1, got 0"):
        faces.sample_indices(0)


def test_faces_are_found_in_several_threads_at_once():
    frames = list(read_clip([str(carphone_path())], 1, 12))
    alone = [faces.detect_faces(frame) for frame in frames]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(faces.detect_faces, frames)) == alone


def test_crop_is_a_view_of_grey_and_colour_clips():
    clip = np.arange(2 * 6 * 8 * 3, dtype=np.uint8).reshape(2, 6, 8, 3)
    cropped = faces.crop(clip, faces.Box(3, 1, 4))
    assert np.shares_memory(cropped, clip)
    np.testing.assert_array_equal(cropped, clip[:, 1:5, 3:7])
    assert faces.crop(clip[..., 0], faces.Box(3, 1, 4)).shape == (2, 4, 4)


@pytest.mark.parametrize("angle", [-12, 0, 8])
def test_eye_angle_is_how_far_the_picture_was_turned(angle):
    frame = place(astronaut(), (90, 9), 460)
    level = faces.eye_angle([frame], faces.stable_box([frame]))
    turn = cv2.getRotationMatrix2D((320, 240), -angle, 1)
    turned = cv2.warpAffine(frame, turn, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    box = faces.stable_box([turned])
    found = faces.eye_angle([turned, turned], box)
    assert abs(found - level - angle) < 3
    assert abs(faces.eye_angle([frame, turned, turned], box) - found) < 3  # a median
    # What is cut out is level, and as large as the box.
    upright = faces.cut(turned, box, found)
    assert upright.shape == (box.size, box.size)
    assert abs(faces.eye_angle([upright], faces.Box(0, 0, box.size))) < 3


def test_eye_angle_without_eyes_is_refused():
    frame = np.full((480, 640), 90, np.uint8)
    with pytest.raises(InputError, match="no two eyes found in 2 sampled frames"):
        faces.eye_angle([frame, frame], faces.Box(100, 100, 200))


def test_a_line_of_eyes_too_steep_for_a_face_does_not_count(monkeypatch):
    eyes = iter([(10.0, 10.0), (10.0, 60.0), (10.0, 10.0), (10.0, 15.0)])
    monkeypatch.setattr(faces, "_eye", lambda half, size: next(eyes))
    frame = np.zeros((200, 200), np.uint8)
    found = faces.eye_angle([frame, frame], faces.Box(50, 50, 100))
    assert found == pytest.approx(np.degrees(np.arctan2(5, 50)))


def test_cut_without_an_angle_is_a_view_and_with_one_keeps_the_middle():
    frame = np.zeros((60, 80), np.uint8)
    frame[20:41, 40] = 200  # an upright line through (40, 30)
    box = faces.Box(30, 20, 21)
    assert np.shares_memory(faces.cut(frame, box), frame)
    turned = faces.cut(frame, box, 90.0)
    assert (turned[10] > 150).all() and turned[:9].max() < 50
