"""Reads single pictures, each checked from its header before it is decoded."""

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

# The bytes a file begins with, and those it must hold somewhere if it is whole. Looking for them
# first keeps the complaints of libpng and libjpeg about a truncated file off stderr.
_END_MARKS = {b"\x89PNG": b"IEND\xae\x42\x60\x82", b"\xff\xd8\xff": b"\xff\xd9"}

# What a file may have for each pixel, four channels of 16 bits, and besides. Decoding takes no
# more: 2 bytes a pixel in grey, 6 in colour, 4 more for a progressive JPEG.
_PIXEL_BYTES = 8
_OTHER_BYTES = 2**24

# A progressive JPEG gets better scan by scan, some ten in all; each goes over all pixels, so
# that a small file of thousands would take hours. The mark of one also stands anywhere in a video,
# which telephones append: once in 2^16 bytes.
_MOST_SCANS = 200
_SCAN_BYTES = 2**14
# Pixels times bytes: below it, as many scans as the file has room for take seconds.
_SOON_SCANNED = 2**37


def read_image(path: str | Path, *, color: bool = False) -> Image:
    """Reads one image file into [H, W] uint8, or [H, W, 3] uint8 (blue, green, red) with `color`.

    Raises:
        InputError: if the file is missing, empty, truncated or no JPEG, PNG, BMP, GIF or WebP
            image, has more pixels than the limit (see `originet.system.limits`) or takes more
            memory than there is.
    """
    data = read_file(path, most=_PIXEL_BYTES * max_pixels() + _OTHER_BYTES)
    if not data:
        raise InputError(f"empty file (0 bytes): {path}")
    for start, end in _END_MARKS.items():
        # From behind, where a whole file has it: from the front it would take a tenth of the time
        # that decoding does.
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
            # imdecode gives None for every damaged file; imread fills the rest of a truncated JPEG
            # with grey.
            image = cv2.imdecode(encoded, cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"unreadable image: {path}")
    check_frame(path, image.shape[1], image.shape[0])
    return np.asarray(image, np.uint8)
