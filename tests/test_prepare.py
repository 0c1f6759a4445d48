import cv2
import numpy as np
import pytest

from originet.datasets import load_dataset
from originet.errors import InputError
from originet.prepare import active_images
from originet.synth import carphone_path


def write_clip(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        assert cv2.imwrite(str(folder / f"{number}.png"), frame)


def random_clip(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


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
        frames = clip.astype(int)
        expected = stretched(frames[-1] + frames[-2] - 2 * frames[0])
        assert np.abs(image - expected).max() <= 1  # a tie may round either way in float32
    np.testing.assert_array_equal(active_images(table.iloc[::-1], image_size=32), images[::-1])


def test_frames_are_resized_before_they_are_pooled(tmp_path):
    clips = {"small": random_clip(0, (3, 20, 28)), "large": random_clip(1, (3, 90, 60))}
    for name, clip in clips.items():
        write_clip(tmp_path / "sad" / "s1" / name, clip)
    table = load_dataset("folder", tmp_path)
    images = active_images(table, image_size=30)
    for name, mode in (("small", cv2.INTER_LINEAR), ("large", cv2.INTER_AREA)):
        small = [
            cv2.resize(frame, (30, 30), interpolation=mode).astype(int) for frame in clips[name]
        ]
        expected = stretched(small[2] + small[1] - 2 * small[0])
        image = images[table["clip"].tolist().index(name)]
        assert np.abs(image - expected).max() <= 1


def test_onset_and_offset_choose_the_frames(tmp_path):
    clip = random_clip(0, (9, 16, 16))
    write_clip(tmp_path / "a", clip)
    (tmp_path / "clips.csv").write_text("path,subject,emotion,onset,offset\na,1,sad,3,6\n")
    table = load_dataset("folder", tmp_path / "clips.csv")
    frames = clip.astype(int)
    expected = stretched(frames[5] + frames[4] - 2 * frames[2])
    assert np.abs(active_images(table, image_size=16)[0] - expected).max() <= 1


def test_crop_face_cuts_to_the_face_or_names_the_clip(tmp_path):
    (tmp_path / "clips.csv").write_text(
        f"path,subject,emotion,onset,offset\n{carphone_path()},1,others,1,12\n"
    )
    table = load_dataset("folder", tmp_path / "clips.csv")
    cropped = active_images(table, image_size=64, crop_face=True)
    assert cropped.shape == (1, 64, 64)
    assert not np.array_equal(cropped, active_images(table, image_size=64))

    write_clip(tmp_path / "noise", random_clip(0, (3, 64, 64)))
    (tmp_path / "clips.csv").write_text("path,subject,emotion\nnoise,1,others\n")
    with pytest.raises(InputError, match=r"no face found in 3 sampled frames.*noise"):
        active_images(load_dataset("folder", tmp_path / "clips.csv"), crop_face=True)


def test_image_size_below_one_is_refused(tmp_path):
    write_clip(tmp_path / "sad" / "s1" / "a", random_clip(0, (3, 8, 8)))
    with pytest.raises(InputError, match="image_size must be at least 1, got 0"):
        active_images(load_dataset("folder", tmp_path), image_size=0)
