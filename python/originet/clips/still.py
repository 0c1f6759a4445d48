"""Reads single pictures, and checks each one's header before decoding it."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.picture_size import picture_size
from originet.system.errors import InputError
from originet.system.files import read_file
from originet.system.limits import check_frame, max_pixels
from originet.system.memory import check_memory
from originet.system.opencv import silence

Image = NDArray[np.uint8]

# The bytes that a file begins with, and those that a complete file contains. Checking for them
# first keeps the messages of libpng and libjpeg about truncated files off stderr.
_END_MARKS = {b"\x89PNG": b"IEND\xae\x42\x60\x82", b"\xff\xd8\xff": b"\xff\xd9"}

# Largest file: bytes per pixel, enough for four channels of 16 bits, plus a constant. Decoding
# takes no more memory: 2 bytes per pixel in grey, 6 in colour, 4 more for a progressive JPEG.
_PIXEL_BYTES = 8
_OTHER_BYTES = 2**24

# A progressive JPEG is refined scan by scan, about ten times. Each scan visits all pixels, so a
# small file with thousands of scans would take hours. The marker of a scan also occurs by chance in
# the videos that phones append to pictures: once in 2^16 bytes.
_MOST_SCANS = 200
_SCAN_BYTES = 2**14
# Pixels times bytes: below this, all the scans that fit into the file take only seconds.
_SOON_SCANNED = 2**37


def read_image(path: str | Path, *, color: bool = False) -> Image:
    """Reads one image file into [H, W] uint8, or [H, W, 3] uint8 (blue, green, red) with `color`.

    Raises:
        InputError: if the file is missing, empty, truncated or not a JPEG, PNG, BMP, GIF or WebP
            image, has more pixels than the limit (see `originet.system.limits`) or needs more
            memory than is available.
    """
    data = read_file(path, most=_PIXEL_BYTES * max_pixels() + _OTHER_BYTES)
    if not data:
        raise InputError(f"empty file (0 bytes): {path}")
    for start, end in _END_MARKS.items():
        # Search from the end, where a complete file has the mark: from the start, the search would
        # take a tenth of the decoding time.
        if data.startswith(start) and data.rfind(end) < 0:
            raise InputError(f"truncated image: {path}")
    size = picture_size(data)
    if size is None:
        raise InputError(f"unreadable image: {path}")
    check_frame(path, *size)
    check_memory(f"{path}: decoding {size[0]}x{size[1]}", _PIXEL_BYTES * size[0] * size[1])
    encoded = np.frombuffer(data, np.uint8)
    if data.startswith(b"\xff\xd8") and size[0] * size[1] * len(data) > _SOON_SCANNED:
        most = _MOST_SCANS + len(data) // _SCAN_BYTES
        if np.count_nonzero(encoded[np.flatnonzero(encoded[:-1] == 0xFF) + 1] == 0xDA) > most:
            raise InputError(f"unreadable image, a JPEG of more than {most} scans: {path}")
    try:
        with silence:
            # imdecode returns None for every damaged file. imread would fill the missing part of a
            # truncated JPEG with grey.
            image = cv2.imdecode(encoded, cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"unreadable image: {path}")
    check_frame(path, image.shape[1], image.shape[0])
    return np.asarray(image, np.uint8)
