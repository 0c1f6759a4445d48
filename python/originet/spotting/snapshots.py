"""Small pictures for the page, kept on disk while a video is being spotted."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from originet.clips.still import Image
from originet.spotting.face import Spotted
from originet.spotting.intervals import Interval
from originet.spotting.source import Frame
from originet.system.files import write_atomically
from originet_ext import ActiveImageAccumulator

FOLDER = ".pictures"
"""Name of their folder, which is removed when the page is written."""
MOST = 240
"""Frames of a video that a page shows, besides those of movements."""

_WIDTH = 320  # pixels
_SHORTEST = 0.2  # seconds between two frames
_UNKNOWN = 2.0  # the same if the video's length is not known
_QUALITY = 70
_FRAME = "frame"  # how the names of frames begin that belong to no movement


class Snapshots:
    """Keeps a frame now and then, and the frames and faces of movements.

    Args:
        folder: Where they are kept.
        seconds: Length of the video, if known.
        memory: How many frames back a movement may begin.
    """

    def __init__(self, folder: Path, seconds: float | None, memory: int) -> None:
        self._folder = folder
        self._step = _UNKNOWN if seconds is None else max(_SHORTEST, seconds / MOST)
        self._recent: deque[tuple[int, float, Image]] = deque(maxlen=memory)
        self._shown = -1

    def see(self, frame: Frame) -> None:
        """Takes the next frame."""
        height, width = frame.pixels.shape
        scale = min(1.0, _WIDTH / width)
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        small = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA)
        self._recent.append((frame.index, frame.seconds, np.asarray(small, np.uint8)))
        place = int(frame.seconds / self._step)
        if place != self._shown:
            self._shown = place
            self._write(frame.index, frame.seconds, self._recent[-1][2], _FRAME)

    def keep(self, spotted: Spotted) -> None:
        """Keeps the first, the strongest and the last frame of a movement, and its faces."""
        interval = spotted.interval
        wanted = {interval.onset - 1, interval.apex - 1, interval.offset - 1}
        for index, seconds, small in self._recent:
            if index in wanted:
                self._write(index, seconds, small, _name(interval))
        images = ActiveImageAccumulator(normalize="minmax")
        for face in spotted.faces:
            images.update(face)
        shown = [spotted.faces[0], spotted.faces[spotted.apex], spotted.faces[-1]]
        strip = np.hstack([*shown, images.result().round().astype(np.uint8)])
        self._jpeg(_name(interval), strip)

    def frames(self, shown: Iterable[Interval]) -> list[tuple[int, float, bytes]]:
        """Returns the frames now and then, and those of some movements.

        Args:
            shown: The movements.

        Returns:
            Index, seconds and JPEG of each, in order.
        """
        names = {_FRAME, *map(_name, shown)}
        found = {}
        for path in self._folder.glob("*.jpg"):
            of, index, milliseconds = path.stem.rsplit("-", 2)
            if of in names:
                found[int(index)] = int(milliseconds) / 1000, path
        return [(index, when, path.read_bytes()) for index, (when, path) in sorted(found.items())]

    def faces(self, interval: Interval) -> bytes | None:
        """Returns the JPEG of a movement's faces: onset, apex, offset and active image in a row."""
        path = self._folder / f"{_name(interval)}.jpg"
        return path.read_bytes() if path.exists() else None

    def _write(self, index: int, seconds: float, pixels: Image, of: str) -> None:
        self._jpeg(f"{of}-{index}-{round(1000 * seconds)}", pixels)

    def _jpeg(self, name: str, pixels: Image) -> None:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        write_atomically(self._folder / f"{name}.jpg", data.tobytes())


def _name(interval: Interval) -> str:
    return f"face-{interval.face}-{round(1000 * interval.apex_seconds)}"
