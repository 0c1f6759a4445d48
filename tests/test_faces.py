from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from skimage import data

from originet import faces
from originet.errors import InputError
from originet.synth import carphone_path
from originet.video import read_clip


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
    found = iter([[faces.Box(10, 20, 40)], [faces.Box(12, 22, 40)], [], [faces.Box(90, 0, 70)]])
    monkeypatch.setattr(faces, "detect_faces", lambda frame: next(found))
    clip = np.zeros((4, 100, 200), np.uint8)
    assert faces.stable_box(clip, margin=0.1) == (8, 16, 48)


@pytest.mark.parametrize(
    ("face", "expected"),
    [((2, 3, 50), (0, 0, 60)), ((140, 60, 50), (135, 40, 60)), ((30, 5, 95), (20, 0, 100))],
)
def test_stable_box_stays_square_and_inside(monkeypatch, face, expected):
    monkeypatch.setattr(faces, "detect_faces", lambda frame: [faces.Box(*face)])
    assert faces.stable_box(np.zeros((1, 100, 200), np.uint8), margin=0.1) == expected


def test_stable_box_without_a_face_is_refused():
    noise = np.random.default_rng(0).integers(0, 256, (3, 96, 128), np.uint8)
    with pytest.raises(InputError, match="no face found in 3 sampled frames of 128x96"):
        faces.stable_box(noise)


def test_sample_indices_spread_over_the_clip():
    assert faces.sample_indices(11, 3) == [0, 5, 10]
    assert faces.sample_indices(4) == [0, 1, 2, 3]
    assert faces.sample_indices(10**6)[-1] == 10**6 - 1
    assert faces.sample_indices(5, 1) == [0]
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
