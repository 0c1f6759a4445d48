"""Active images from streams: the same pixels as from the whole clip, in memory that stays flat."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from clips import random_frames, write_folder, write_video

import originet_ext
from originet.clips.active_images import build_up, phases, sum_up
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip, resize
from originet.system.errors import InputError
from originet_ext import METHODS


def whole(frames, method, normalize):
    return originet_ext.active_image(torch.from_numpy(frames), None, method, normalize).numpy()


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("normalize", ["none", "clip", "minmax"])
def test_streamed_images_are_those_of_the_whole_clip(source, color, normalize):
    frames = read_clip(source, color=color)
    calls = []
    clip = open_clip(source, color=color)
    first, images, length = sum_up(clip, METHODS, normalize, lambda *call: calls.append(call))
    assert (first.number, length) == (1, 7) and calls == [(done, 7) for done in range(1, 8)]
    np.testing.assert_array_equal(first.pixels, frames[0])
    assert list(images) == list(METHODS)
    for method, image in images.items():
        want = whole(frames, method, normalize)
        assert image.dtype == np.float32
        if method in ("rank", "learnet"):  # weights that are no integers
            np.testing.assert_allclose(image, want, rtol=1e-4, atol=2e-3)
        else:
            np.testing.assert_array_equal(image, want)


def test_frames_are_cropped_and_resized_before_they_are_summed(source):
    frames = np.stack([resize(f, 11) for f in read_clip(source)])
    _, images, _ = sum_up(open_clip(source, size=11), ["cumulative"], "none")
    np.testing.assert_array_equal(images["cumulative"], whole(frames, "cumulative", "none"))


def test_video_that_does_not_tell_its_length(tmp_path):
    frames = random_frames(20, (48, 64, 3))
    path = tmp_path / "stream.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    clip = open_clip(path)
    assert clip.length is None
    calls = []
    _, images, length = sum_up(clip, progress=lambda *call: calls.append(call))
    assert length == 20 and calls == [*((done, None) for done in range(1, 21)), (20, 20)]
    want = whole(read_clip(path), "absolute", "minmax")
    np.testing.assert_array_equal(images["absolute"], want)
    with pytest.raises(InputError, match=r"no face found in 5 sampled frames .*stream\.mjpeg"):
        open_clip(path, crop_face=True)


def test_apex_is_the_frame_least_like_the_onset(tmp_path):
    frames = random_frames(9, (20, 30))
    clip = open_clip(write_folder(tmp_path / "clip", frames, first=11))
    found = phases(clip, "authors", "none")
    differences = np.abs(frames.astype(int) - frames[0]).mean((1, 2))
    assert found.apex.number == 11 + differences.argmax()
    assert (found.onset.number, found.offset.number, found.length) == (11, 19, 9)
    for shot in (found.onset, found.apex, found.offset):
        np.testing.assert_array_equal(shot.pixels, frames[shot.number - 11])
    np.testing.assert_array_equal(found.active, whole(frames, "authors", "none"))


def test_given_apex_is_taken_or_refused(source):
    clip = open_clip(source, start=2, end=6)
    assert phases(clip, apex=4).apex.number == 4
    with pytest.raises(InputError, match=r"apex 7 is not among frames 2 to 6 of .*clip"):
        phases(clip, apex=7)


def test_clip_of_one_frame_is_its_own_apex(tmp_path):
    clip = open_clip(write_folder(tmp_path / "clip", random_frames(1)))
    found = phases(clip)
    assert found.onset == found.apex == found.offset and not found.active.any()


@pytest.mark.parametrize(
    ("length", "limit", "numbers", "step"),
    [
        (1, 4, [1], 1),
        (4, 4, [1, 2, 3, 4], 1),
        (5, 4, [1, 3, 5], 2),
        (8, 4, [1, 3, 5, 7, 8], 2),
        (9, 4, [1, 5, 9], 4),
        (33, 4, [1, 17, 33], 16),
        (10, 3, [1, 5, 9, 10], 4),
    ],
)
def test_build_up_keeps_evenly_spread_frames(tmp_path, length, limit, numbers, step):
    frames = random_frames(length, (6, 8))
    clip = open_clip(write_folder(tmp_path / "clip", frames))
    built = build_up(clip, "absolute", "clip", frames=limit)
    assert [shot.number for shot in built.shots] == numbers
    assert (built.length, built.step) == (length, step)
    for shot, active in zip(built.shots, built.active, strict=True):
        np.testing.assert_array_equal(shot.pixels, frames[shot.number - 1])
        np.testing.assert_array_equal(active, whole(frames[: shot.number], "absolute", "clip"))


def test_build_up_has_one_scale_for_all_images(tmp_path):
    frames = random_frames(6, (6, 8))
    clip = open_clip(write_folder(tmp_path / "clip", frames))
    built = build_up(clip)
    parts = [whole(frames[: n + 1], "cumulative", "none") for n in range(6)]
    images = np.stack(parts).astype(float)
    low, high = images.min(), images.max()
    assert np.abs(np.stack(built.active) - (images - low) / (high - low) * 255).max() <= 0.51
    still = write_folder(tmp_path / "still", [frames[0]] * 3)
    assert not np.stack(build_up(open_clip(still)).active).any()


def test_build_up_shrinks_large_frames(tmp_path):
    clip = open_clip(write_folder(tmp_path / "clip", random_frames(2, (30, 60, 3))))
    built = build_up(replace(clip, color=True), side=20)
    assert built.shots[0].pixels.shape == built.active[0].shape == (10, 20, 3)


@pytest.mark.parametrize(
    "work",
    [
        lambda clip: sum_up(clip, ["rank"]),
        lambda clip: sum_up(clip, METHODS),
        phases,
        lambda clip: build_up(clip, frames=10),
    ],
    ids=["one", "all", "phases", "build_up"],
)
def test_memory_does_not_grow_with_the_clip(tmp_path, monkeypatch, work):
    # How many frames wait to be taken at the peak is chance; test_read_ahead has their number.
    monkeypatch.setattr("originet.clips.clip.read_ahead", lambda frames: frames)
    frames = random_frames(20, (96, 128))
    peaks = []
    for copies in (2, 15):
        path = write_video(tmp_path / f"{copies}.avi", [*frames] * copies)
        clip = open_clip(path)
        tracemalloc.start()
        work(clip)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4 * frames[0].nbytes  # 260 more frames, none of them kept
