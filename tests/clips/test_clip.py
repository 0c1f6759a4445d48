"""Clips as they are opened: frames that change their size, and the box of a face."""

import cv2
import numpy as np
import pytest
from clips import random_frames, write_folder, write_video
from skimage import data

from originet.clips import faces
from originet.clips.active_images import sum_up
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip
from originet.clips.still import read_image
from originet.datasets.synth import carphone_path
from originet.system.errors import InputError


def test_changing_frame_size_and_missing_clips_are_named(tmp_path):
    folder = write_folder(tmp_path / "clip", random_frames())
    cv2.imwrite(str(folder / "img7.png"), np.zeros((24, 30), np.uint8))
    with pytest.raises(InputError, match=r"frame size changes at .*img7\.png: 30x24 after 32x24"):
        sum_up(open_clip(folder))
    with pytest.raises(InputError, match=r"no such file or folder: .*none"):
        open_clip(tmp_path / "none")


def test_face_box_is_that_of_the_whole_clip():
    frames = read_clip(str(carphone_path()), 5, 50)
    box = faces.stable_box(frames[faces.sample_indices(len(frames))])
    clip = open_clip(str(carphone_path()), start=5, end=50, crop_face=True)
    assert clip.box == box
    np.testing.assert_array_equal(np.stack(list(clip)), faces.crop(frames, box))


def test_one_box_for_a_face_that_jitters(tmp_path):
    astronaut = cv2.cvtColor(data.astronaut()[:260, 80:400], cv2.COLOR_RGB2GRAY)
    shifts = np.random.default_rng(0).integers(-6, 7, (20, 2))
    frames = np.stack([np.roll(astronaut, tuple(shift), (0, 1)) for shift in shifts])
    folder = write_folder(tmp_path / "clip", frames)
    clip = open_clip(folder, crop_face=True)
    found = [faces.detect_faces(frames[i])[0] for i in faces.sample_indices(20)]
    assert len({box[:2] for box in found}) == 5  # the face does move
    x, y, size = np.median(found, axis=0)
    box = clip.box
    assert abs(box.size - 1.2 * size) <= 0.04 * size
    assert abs(box.x + box.size / 2 - (x + size / 2)) <= 0.04 * size
    assert abs(box.y + box.size / 2 - (y + size / 2)) <= 0.04 * size
    np.testing.assert_array_equal(np.stack(list(clip)), faces.crop(frames, box))


def test_face_box_reads_sampled_frames_only(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "clip", random_frames(40, (64, 64)))
    read = []
    original = read_image
    monkeypatch.setattr(
        "originet.clips.frames.read_image", lambda *a, **k: read.append(a) or original(*a, **k)
    )
    with pytest.raises(InputError, match=r"no face found in 5 sampled frames of 64x64: .*clip"):
        open_clip(folder, crop_face=True)
    assert len(read) == 5
    path = write_video(tmp_path / "a.avi", random_frames(40, (64, 64)))
    with pytest.raises(InputError, match=r"no face found in 5 sampled frames of 64x64: .*a\.avi"):
        open_clip(path, crop_face=True)
