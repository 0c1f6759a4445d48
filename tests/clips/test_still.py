"""Single pictures: whole ones, damaged ones, and JPEGs of very many scans."""

import cv2
import numpy as np
import pytest
from clips import random_frames

from originet.clips import still
from originet.clips.frames import read_clip
from originet.clips.still import read_image
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
