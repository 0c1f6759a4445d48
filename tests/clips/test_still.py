"""Single pictures: whole ones, damaged ones, and JPEGs of very many scans."""

import cv2
import numpy as np
import pytest
from clips import random_frames

from originet.clips import still
from originet.clips.frames import read_clip
from originet.clips.still import read_image
from originet.system import limits
from originet.system.errors import InputError


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path, monkeypatch):
    coding = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    data = cv2.imencode(".jpg", random_frames(1)[0], coding)[1].tobytes()
    path = tmp_path / "1.jpg"
    path.write_bytes(data)
    assert read_image(path).shape == (24, 32)
    scan = data[data.rindex(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + 300 * scan + data[-2:])
    assert read_image(path).shape == (24, 32)  # soon done, of so few pixels
    monkeypatch.setattr(still, "_SOON_SCANNED", 0)
    with pytest.raises(InputError, match=r"a JPEG of more than 20\d scans: .*1\.jpg$"):
        read_image(path)


def noise_image(path):
    """Writes an image that fills its file, so that half of the file is half of the picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    assert cv2.imwrite(str(path), pixels)


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp"])
def test_truncated_image_is_refused_without_noise(tmp_path, suffix, capfd):
    path = tmp_path / f"1.{suffix}"
    noise_image(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"image: .*1\.{suffix}"):
        read_clip([str(path)])
    assert capfd.readouterr() == ("", "")


def test_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "1.jpg").write_text("not a picture")
    with pytest.raises(InputError, match=r"unreadable image: .*1\.jpg"):
        read_clip([str(tmp_path / "1.jpg")])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_a_picture_is_read_in_grey_and_in_colour(tmp_path, suffix):
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[..., 1] = 200  # green
    path = tmp_path / f"1{suffix}"
    assert cv2.imwrite(str(path), pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])  # without loss
    np.testing.assert_array_equal(read_image(path, color=True), pixels, strict=True)
    grey = read_image(path)
    assert grey.shape == (5, 7) and np.unique(grey).tolist() == [117]  # 0.587 of 200


def test_a_picture_above_the_limit_is_refused(tmp_path):
    path = tmp_path / "1.png"
    assert cv2.imwrite(str(path), random_frames(1)[0])
    with limits.frames_up_to(24 * 32):
        assert read_image(path).shape == (24, 32)
    with limits.frames_up_to(24 * 32 - 1):
        with pytest.raises(InputError, match=r"1\.png: frames of 32x24 have 768 pixels"):
            read_image(path)
