import tracemalloc

import cv2
import numpy as np
import pytest
import torch

from originet.clips import faces
from originet.clips.frames import read_clip
from originet.datasets import load_dataset
from originet.datasets.prepare import active_images
from originet.datasets.synth import carphone_path
from originet.system.errors import InputError
from originet_ext import METHODS, active_image


def write_clip(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        assert cv2.imwrite(str(folder / f"{number}.png"), frame)


def random_clip(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def against_the_onset(frames):
    """Sums FT(t-1) + FT(t) over a clip of integers, as the paper does, with FT(t) = F_t - F_1."""
    change = frames - frames[0]
    return (change[:-1] + change[1:]).sum(axis=0)


def stretched(image):
    """Stretches an image to 0..255 and rounds it, in float64."""
    low, high = image.min(), image.max()
    return np.rint((image - low) * 255.0 / (high - low))


def test_active_images_follow_the_table_and_the_paper(tmp_path):
    clips = [random_clip(0, (7, 32, 32)), random_clip(1, (4, 32, 32))]
    write_clip(tmp_path / "sad" / "s1" / "a", clips[0])
    write_clip(tmp_path / "fear" / "s2" / "b", clips[1])
    table = load_dataset("folder", tmp_path)
    calls = []
    images = active_images(
        table, image_size=32, progress=lambda done, total: calls.append((done, total))
    )
    assert images.dtype == np.uint8 and images.shape == (2, 32, 32)
    assert calls == [(1, 2), (2, 2)]
    for image, clip in zip(images, clips, strict=True):
        expected = stretched(against_the_onset(clip.astype(int)))
        assert np.abs(image - expected).max() <= 1  # a tie may round either way in float32
    np.testing.assert_array_equal(active_images(table.iloc[::-1], image_size=32), images[::-1])


def test_frames_are_resized_before_they_are_pooled(tmp_path):
    clips = {"small": random_clip(0, (3, 20, 28)), "large": random_clip(1, (3, 90, 60))}
    for name, clip in clips.items():
        write_clip(tmp_path / "sad" / "s1" / name, clip)
    table = load_dataset("folder", tmp_path)
    images = active_images(table, image_size=30)
    for name, mode in (("small", cv2.INTER_LINEAR), ("large", cv2.INTER_AREA)):
        small = [cv2.resize(frame, (30, 30), interpolation=mode) for frame in clips[name]]
        expected = stretched(against_the_onset(np.stack(small).astype(int)))
        image = images[table["clip"].tolist().index(name)]
        assert np.abs(image - expected).max() <= 1


def test_onset_and_offset_choose_the_frames(tmp_path):
    clip = random_clip(0, (9, 16, 16))
    write_clip(tmp_path / "a", clip)
    (tmp_path / "clips.csv").write_text("path,subject,emotion,onset,offset\na,1,sad,3,6\n")
    table = load_dataset("folder", tmp_path / "clips.csv")
    expected = stretched(against_the_onset(clip[2:6].astype(int)))
    assert np.abs(active_images(table, image_size=16)[0] - expected).max() <= 1


def test_crop_face_cuts_to_the_face_or_names_the_clip(tmp_path):
    (tmp_path / "clips.csv").write_text(
        f"path,subject,emotion,onset,offset\n{carphone_path()},1,others,1,12\n"
    )
    table = load_dataset("folder", carphone_path().parent, annotations=tmp_path / "clips.csv")
    cropped = active_images(table, image_size=64, crop_face=True)
    assert cropped.shape == (1, 64, 64)
    assert not np.array_equal(cropped, active_images(table, image_size=64))

    write_clip(tmp_path / "noise", random_clip(0, (3, 64, 64)))
    (tmp_path / "clips.csv").write_text("path,subject,emotion\nnoise,1,others\n")
    with pytest.raises(InputError, match=r"no face found in 3 sampled frames.*noise"):
        active_images(load_dataset("folder", tmp_path / "clips.csv"), crop_face=True)


@pytest.mark.parametrize("numbers", [(1, 12), (None, 20), (70, None), (None, None)])
def test_the_face_box_is_that_of_the_whole_clip(tmp_path, numbers):
    path = str(carphone_path())
    onset, offset = ("" if number is None else number for number in numbers)
    (tmp_path / "clips.csv").write_text(
        f"path,subject,emotion,onset,offset\n{path},1,others,{onset},{offset}\n"
    )
    table = load_dataset("folder", carphone_path().parent, annotations=tmp_path / "clips.csv")
    images = active_images(table, image_size=64, crop_face=True)
    clip = read_clip([path], *numbers)
    clip = faces.crop(clip, faces.stable_box(clip[faces.sample_indices(len(clip))]))
    mode = cv2.INTER_AREA if clip.shape[1] >= 64 else cv2.INTER_LINEAR
    clip = np.stack([cv2.resize(frame, (64, 64), interpolation=mode) for frame in clip])
    want = active_image(torch.from_numpy(clip), normalize="minmax").round().numpy()
    np.testing.assert_array_equal(images[0], want)


def test_the_face_is_sampled_evenly_where_frames_are_missing(tmp_path, monkeypatch):
    clip = random_clip(0, (40, 8, 8))
    clip[:, 0, 0] = np.arange(40)
    folder = tmp_path / "a"
    folder.mkdir()
    for number in set(range(40)) - {5, 6, 7}:
        assert cv2.imwrite(str(folder / f"{number}.png"), clip[number])
    (tmp_path / "clips.csv").write_text("path,subject,emotion,onset,offset\na,1,sad,2,30\n")
    seen = []

    def stable_box(frames, *, margin):
        seen.extend(int(frame[0, 0]) for frame in frames)
        return faces.Box(0, 0, 8)

    monkeypatch.setattr(faces, "stable_box", stable_box)
    active_images(load_dataset("folder", tmp_path / "clips.csv"), crop_face=True)
    left = [number for number in range(2, 31) if number not in (5, 6, 7)]
    assert seen == [left[index] for index in faces.sample_indices(len(left))]


def write_video(path, frames):
    size = (48, 64)
    noise = random_clip(0, (50, *size, 3))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, size[::-1])
    for index in range(frames):
        writer.write(noise[index % len(noise)])
    writer.release()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_memory_does_not_depend_on_the_length_of_a_video(tmp_path, method):
    peaks = []
    for frames in (3000, 100, 3000):  # the first one warms up
        write_video(tmp_path / f"{frames}.avi", frames)
        (tmp_path / "clips.csv").write_text(f"path,subject,emotion\n{frames}.avi,1,sad\n")
        table = load_dataset("folder", tmp_path / "clips.csv")
        tracemalloc.start()
        images = active_images(table, image_size=32, method=method)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert images.max() == 255
    assert abs(peaks[2] - peaks[1]) < 4 * 48 * 64 * 3  # a few frames more or less in flight
    # Python keeps up to 2,000 freed tuples of a size for the next ones: two sizes of some 56 bytes.
    assert peaks[0] - peaks[1] < 2 * 2000 * 56


def test_image_size_below_one_is_refused(tmp_path):
    write_clip(tmp_path / "sad" / "s1" / "a", random_clip(0, (3, 8, 8)))
    with pytest.raises(InputError, match=r"image_size must be in 1\.\.4096, got 0"):
        active_images(load_dataset("folder", tmp_path), image_size=0)
