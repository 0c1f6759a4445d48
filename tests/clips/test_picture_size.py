"""Sizes of pictures, read from their headers."""

import io

import hostile
import pytest
from clips import random_frames
from PIL import Image

from originet.clips.picture_size import picture_size


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (hostile.png(7, 5), (7, 5)),
        (hostile.jpeg(7, 5), (7, 5)),
        (b"\xff\xd8\xff\xff\xff\xe0\0\x04ab\0\xff\0\xff\xd0" + hostile.jpeg(7, 5)[2:], (7, 5)),
        (hostile.bmp(7, -5), (7, 5)),
        (b"BM" + bytes(12) + b"\x0c\0\0\0\x07\0\x05\0", (7, 5)),
        (hostile.gif(7, 5), (7, 5)),
        (hostile.webp(7, 5), (7, 5)),
        (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (6 | 4 << 14).to_bytes(4, "little"), (7, 5)),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x06\0\0\x04\0\0", (7, 5)),
        (b"", None),
        (b"\xff\xd8", None),
        (b"\xff\xd8\xff\xda\xff\xc0\0\x11\x08\0\x05\0\x07", None),  # a scan before its frame
        (b"\x89PNG\r\n\x1a\n\0\0\0\0IDAT" + bytes(9), None),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(20), None),
    ],
)
def test_sizes_are_read_from_headers(data, size):
    assert picture_size(data) == size


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_sizes_are_those_that_are_decoded(kind):
    for height, width in ((1, 1), (24, 32), (33, 7)):
        buffer = io.BytesIO()
        Image.fromarray(random_frames(1, (height, width))[0]).save(buffer, kind)
        data = buffer.getvalue()
        assert picture_size(data) == (width, height)
        for length in range(min(len(data), 40)):
            assert picture_size(data[:length]) in ((width, height), None)
