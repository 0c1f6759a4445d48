"""The frames of a video or of a folder of frames, from any frame on, each with its time."""

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from originet.clips.frames import clip_frames, frame_number, is_video, iter_frames
from originet.clips.read_ahead import read_ahead
from originet.clips.still import Image
from originet.clips.video import frame_times, iter_video, video_info
from originet.spotting.intervals import Interval
from originet.system.errors import InputError

_SAMPLE = 2.0  # seconds at the start of a video, from which its rate is taken


@dataclass(frozen=True)
class Frame:
    """A frame of a video."""

    index: int
    """From 0."""
    pixels: Image
    """[H, W] uint8."""
    seconds: float
    """After the first frame."""


class Source:
    """A video, or a folder of frames.

    Args:
        path: The file or folder.
        fps: Frames per second, of a folder, or of a video with wrong times.

    Raises:
        InputError: If there is no such video, or a folder has no rate.
    """

    def __init__(self, path: str | Path, fps: float | None = None) -> None:
        self.path = Path(path)
        self._frames = clip_frames(path)
        self._given = fps
        if fps is not None and not 0 < fps < 10_000:
            raise InputError(f"--fps must be a number above 0, got {fps}")
        if is_video(self._frames):
            self.fps = _rate(self.path) if fps is None else fps
            self.length = video_info(path).length
        elif fps is None:
            raise InputError(f"{path} is a folder of frames, which have no times: give --fps")
        else:
            self.fps, self.length = fps, len(self._frames)

    def number(self, index: int) -> int:
        """Returns the number of a frame: from 1 in a video; in a folder, that of the file."""
        return index + 1 if is_video(self._frames) else frame_number(self._frames[index])

    def numbered(self, interval: Interval) -> Interval:
        """Returns an interval whose frames were counted from 1 with the source's numbers."""
        first, best, last = (
            self.number(each - 1) for each in (interval.onset, interval.apex, interval.offset)
        )
        return dataclasses.replace(interval, onset=first, apex=best, offset=last)

    def frames(self, start: int = 0) -> Generator[Frame, None, None]:
        """Yields the frames; a thread reads ahead.

        Args:
            start: Index of the first one.

        Raises:
            InputError: If a frame cannot be read, or a video ends before its end.
        """
        return read_ahead(self._read(start))

    def _read(self, start: int) -> Generator[Frame, None, None]:
        if is_video(self._frames):
            timed = (item for _, item in iter_video(self._frames[0], start + 1, None, color=False))
            for index, (pixels, seconds) in enumerate(timed, start):
                if seconds is None or self._given is not None:
                    seconds = index / self.fps
                yield Frame(index, pixels, seconds)
            return
        names = self._frames[start:]
        for index, pixels in enumerate(iter_frames(names), start):
            yield Frame(index, pixels, index / self.fps)


def _rate(path: Path) -> float:
    """Returns a video's rate by the times of its first frames, or as it says."""
    stated = video_info(path).fps
    try:
        times = frame_times(path, _SAMPLE)
    except InputError:
        times = []
    if len(times) > 1 and times[-1] > times[0]:
        return (len(times) - 1) / (times[-1] - times[0])
    if stated is None:
        raise InputError(f"{path} has no usable time stamps: give --fps")
    return stated
