"""Active images from streams: the same pixels as from the whole clip, in memory that stays flat."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from clips import random_frames, write_folder, write_video
from skimage import data

import originet_ext
from originet.clips import faces
from originet.clips.active_images import build_up, phases, sum_up
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip, resize
from originet.clips.still import read_image
from originet.datasets.synth import carphone_path
from originet.system.errors import InputError
from originet_ext import METHODS


@pytest.fixture(params=["folder", "video"])
def source(request, tmp_path):
    frames = random_frames(7, (24, 32, 3))
    if request.param == "folder":
        return write_folder(tmp_path / "clip", frames)
    return write_video(tmp_path / "clip.avi", frames)


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


# Ranges: numbers and times


@pytest.mark.parametrize(
    ("start", "end", "fps", "numbers"),
    [
        (None, None, None, range(5, 45)),
        (7, 9, None, [7, 8, 9]),
        ("7", "9", None, [7, 8, 9]),
        ("44", None, None, [44]),
        ("0s", "0s", 10, [5]),
        ("0.1s", "0.3s", 10, [6, 7, 8]),
        ("0.11s", "0.39s", 10, [7, 8]),  # inwards, where a time falls between two frames
        ("0:01", "0:01.1", 30, [35, 36, 37, 38]),  # 0.1 s at 30 fps: 3 frames, whatever the bits
        ("0:00:03.5", 40, 10, [40]),
    ],
)
def test_range_of_a_folder(tmp_path, start, end, fps, numbers):
    clip = open_clip(
        write_folder(tmp_path / "clip", random_frames(40, (4, 5)), first=5),
        start=start,
        end=end,
        fps=fps,
    )
    assert [clip.number(index) for index in range(clip.length)] == list(numbers)
    assert len(list(clip)) == len(numbers)


@pytest.mark.parametrize(
    ("start", "end", "fps", "first", "length"),
    [
        (None, None, None, 1, 10),
        (3, 5, None, 3, 3),
        ("0.08s", "0.16s", None, 3, 3),  # at 25 fps, as the file says
        ("0.08s", "0.16s", 50, 5, 5),
        ("0:00.2", None, None, 6, 5),
    ],
)
def test_range_of_a_video(tmp_path, start, end, fps, first, length):
    frames = np.repeat(np.arange(20, 220, 20, dtype=np.uint8), 48 * 64).reshape(10, 48, 64)
    path = write_video(tmp_path / "a.avi", frames)
    clip = open_clip(path, start=start, end=end, fps=fps)
    got = list(clip)
    assert (clip.number(0), clip.length, len(got)) == (first, length, length)
    assert abs(int(got[0][0, 0]) - 20 * first) <= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "soon"}, "start must be a frame number or a time such as .*, got 'soon'"),
        ({"end": "-3"}, "end must be a frame number .*, got '-3'"),
        ({"end": "12.5"}, "end must be a frame number .*, got '12.5'"),
        ({"end": "1:99"}, "end must be a frame number .*, got '1:99'"),
        ({"end": "1:60:00"}, "end must be a frame number .*, got '1:60:00'"),
        ({"start": 5, "end": 3}, r"start 5 \(frame 5\) is after end 3 \(frame 3\) in .*clip"),
        ({"start": "9s", "end": 3, "fps": 2}, r"start 9s \(frame 19\) is after end 3 \(frame 3\)"),
        ({"start": 8}, "8 is outside .*clip|8 is outside frames 1 to 7 of .*clip"),
        ({"start": 0, "end": 3}, "0 is outside .*clip"),
        ({"end": 8}, "8 is outside .*clip"),
        ({"fps": 0.0}, "fps must be a number from 1e-06 to 1e[+]06, got 0"),
        ({"fps": float("nan")}, "fps must be a number from 1e-06 to 1e[+]06, got nan"),
        ({"size": 0}, "size must be at least 1, got 0"),
    ],
)
def test_bad_ranges_and_values_are_named(source, options, message):
    with pytest.raises(InputError, match=message):
        list(open_clip(source, **options))


def test_times_need_a_rate(tmp_path):
    folder = write_folder(tmp_path / "clip", random_frames())
    with pytest.raises(InputError, match=r"start 0.1s is a time, but .*clip is unknown"):
        open_clip(folder, start="0.1s")


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


def test_changing_frame_size_and_missing_clips_are_named(tmp_path):
    folder = write_folder(tmp_path / "clip", random_frames())
    cv2.imwrite(str(folder / "img7.png"), np.zeros((24, 30), np.uint8))
    with pytest.raises(InputError, match=r"frame size changes at .*img7\.png: 30x24 after 32x24"):
        sum_up(open_clip(folder))
    with pytest.raises(InputError, match=r"no such file or folder: .*none"):
        open_clip(tmp_path / "none")


# Onset, apex, offset


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


# Animations


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


# Memory


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


# The face box


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
