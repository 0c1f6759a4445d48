"""Animated pictures that Pillow can decode and OpenCV's FFmpeg cannot."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from originet.system.errors import InputError
from originet.system.files import check_regular
from originet.system.memory import check_memory
from originet.system.opencv import Meanwhile

SUFFIXES = (".avif", ".webp")

# Formats allowed in such a file, whatever its name: some of Pillow's formats start other programs.
_FORMATS = ("WEBP", "AVIF", "GIF", "PNG")

# What Pillow raises for broken files of these formats.
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, RuntimeError)


def _set_pillow_limit(pixels: int | None) -> None:
    PillowImage.MAX_IMAGE_PIXELS = pixels


# Pillow has a limit of its own and also warns on stderr. Here `originet.system.limits` applies.
_no_pillow_limit = Meanwhile(lambda: PillowImage.MAX_IMAGE_PIXELS, _set_pillow_limit, None)


class Animation:
    """The frames of an animated picture, with the interface of `cv2.VideoCapture`.

    Args:
        path: the file.

    Raises:
        InputError: if the file holds a single picture.
    """

    def __init__(self, path: str | Path) -> None:
        # Pillow reads the whole file, and its decoder copies it.
        check_memory(f"{path}: reading the file", 2 * check_regular(path))
        self._picture: PillowImage.Image | None
        try:
            with _no_pillow_limit:
                self._picture = PillowImage.open(path, formats=_FORMATS)
                self._length = int(getattr(self._picture, "n_frames", 1))
        except _BROKEN:
            self._picture, self._length = None, 0
        if self._length == 1:
            self.release()
            raise InputError(f"{path} is a single image: give a video or a folder of frames")
        self._next = 0

    def isOpened(self) -> bool:
        """Returns whether the file could be opened."""
        return self._picture is not None

    def grab(self) -> bool:
        """Decodes the next frame."""
        if self._picture is None or self._next >= self._length:
            return False
        try:
            with _no_pillow_limit:
                self._picture.seek(self._next)
                self._picture.load()
        except _BROKEN:
            return False
        self._next += 1
        return True

    def retrieve(self) -> tuple[bool, Any]:
        """Returns the decoded frame, [H, W, 3] uint8 (blue, green, red)."""
        assert self._picture is not None
        return True, np.ascontiguousarray(np.asarray(self._picture.convert("RGB"))[..., ::-1])

    def read(self) -> tuple[bool, Any]:
        """Decodes the next frame and returns it."""
        return self.retrieve() if self.grab() else (False, None)

    def get(self, key: int) -> float:
        """Returns one of OpenCV's properties: size, count or time stamp; the rate varies, so 0."""
        if self._picture is not None and key == cv2.CAP_PROP_FRAME_WIDTH:
            return float(self._picture.width)
        if self._picture is not None and key == cv2.CAP_PROP_FRAME_HEIGHT:
            return float(self._picture.height)
        if key == cv2.CAP_PROP_FRAME_COUNT:
            return float(self._length)
        if key == cv2.CAP_PROP_POS_MSEC and self._picture is not None:
            return float(self._picture.info.get("timestamp", 0))
        return 0.0

    def set(self, key: int, value: float) -> bool:
        """Chooses the frame to decode next."""
        if key == cv2.CAP_PROP_POS_FRAMES:
            self._next = int(value)
        return key == cv2.CAP_PROP_POS_FRAMES

    def release(self) -> None:
        """Closes the file."""
        if self._picture is not None:
            self._picture.close()
            self._picture = None
