"""Decodes video files, with the time at which each frame is shown.

The frames of a video count from 1. A time stamp says when a frame is shown, in seconds after the
first: the rate need not be constant.
"""

import bisect
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from originet.clips import animation
from originet.clips.picture_size import picture_size
from originet.clips.still import Image
from originet.system.errors import InputError
from originet.system.files import open_regular
from originet.system.limits import check_frame
from originet.system.memory import check_memory
from originet.system.opencv import silence
from originet.system.words import counted

# What OpenCV's FFmpeg opens, the usual ones first, and what `originet.clips.animation` does. In a
# folder these tell videos, in small or capitals; alone, or named in a CSV file, a video is any
# other file.
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".webm", ".mkv", ".gif", ".webp", ".m4v", ".mpg", ".mpeg", ".wmv"),
    *(".flv", ".ogv", ".3gp", ".ts", ".mts", ".m2ts", ".3g2", ".264", ".265", ".apng", ".asf"),
    *(".avif", ".divx", ".f4v", ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2v", ".mjpeg"),
    *(".mjpg", ".mxf", ".nut", ".ogm", ".qt", ".rm", ".vob", ".y4m"),
)
_Capture = cv2.VideoCapture | animation.Animation

# FFmpeg reports a broken file on stderr as well; OpenCV reads this variable when it opens its first
# video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# Bytes a pixel: the frames that a decoder keeps to refer to, and those that are read ahead.
_PIXEL_BYTES = 32

# FFmpeg would open whatever such a file names, a pipe among it.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat")

# A container's frame count is an estimate, often its duration times a mean rate; a video that ends
# before this share of both its frames and its time was cut off.
_WHOLE_SHARE = 0.9

# Some containers keep times to the millisecond: 0.067 s is the time 1/15 s.
_STAMP_ERROR = 0.0005 + 1e-9  # seconds


class Timed(NamedTuple):
    """A frame and when it is shown.

    Attributes:
        pixels: [H, W] or [H, W, 3] (blue, green, red) uint8.
        seconds: after the first frame of the video; None where nothing tells, as of image files.
    """

    pixels: Image
    seconds: float | None


class VideoInfo(NamedTuple):
    """What a video file says of itself, which reading it may prove wrong; None where it is silent.

    Attributes:
        fps: frames a second.
        length: number of frames.
    """

    fps: float | None
    length: int | None


def video_info(path: str | Path) -> VideoInfo:
    """Reads what a video file says of itself.

    Raises:
        InputError: if it is missing, empty or no video.
    """
    with _opened(path) as capture:
        fps, length = (capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
    return VideoInfo(
        fps if 0 < fps < math.inf else None, int(length) if 1 <= length < math.inf else None
    )


def frame_times(path: str | Path, until: float) -> list[float]:
    """Reads when the frames of a video are shown, by their time stamps.

    Decodes the video as far as that: some containers keep stamps in another order than frames.

    Args:
        path: the video file.
        until: seconds after the first frame.

    Returns:
        Seconds after the first frame, rising: of all frames until then and of the next, if any.

    Raises:
        InputError: if the file is missing, empty or no video, or does not tell its times.
    """
    times: list[float] = []
    with _opened(path) as capture:
        clock = Clock(capture)
        while (not times or times[-1] <= until + _STAMP_ERROR) and capture.grab():
            seconds = clock.read()
            if seconds is None:
                raise InputError(f"{path} does not tell when its frames are shown: give the fps")
            times.append(seconds)
    if not times:
        raise InputError(f"video without frames: {path}")
    return times


def first_at(times: Sequence[float], seconds: float) -> int:
    """Returns the index of the first frame shown at a time or later: `len(times)` if none is."""
    return bisect.bisect_left(times, seconds - _STAMP_ERROR)


def last_at(times: Sequence[float], seconds: float) -> int:
    """Returns the index of the last frame that is shown from a time or earlier: -1 if none is."""
    return bisect.bisect_right(times, seconds + _STAMP_ERROR) - 1


def read_frames_at(path: str | Path, numbers: Sequence[int]) -> Iterator[Image]:
    """Yields some frames of a video, in grey: by seeking to them, where that is exact.

    In a video whose rate varies, or that cannot be searched, the frames are read in order.

    Args:
        path: the video file.
        numbers: numbers of frames, from 1; those past the end are left out.

    Raises:
        InputError: if the file is missing, empty or no video.
    """
    with _opened(path) as capture:
        width, height = _frame_size(capture)
        what = f"{path}: keeping {counted(len(numbers), 'frame')} of {width}x{height}"
        check_memory(what, 3 * len(numbers) * width * height)
        found = [_seek(capture, number) for number in numbers]
    if any(image is None for image in found):
        found = _read_in_order(path, numbers)
    for image in found:
        if image is not None:
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def _seek(capture: _Capture, number: int) -> Image | None:
    """Reads one frame of a video; None unless its time stamp tells that it is that one."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    if not 0 < fps < math.inf:
        return None
    capture.set(cv2.CAP_PROP_POS_FRAMES, number - 1)
    ok, image = capture.read()
    late = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 - (number - 1) / fps
    return np.asarray(image, np.uint8) if ok and abs(late) < 0.5 / fps else None


def _read_in_order(path: str | Path, numbers: Sequence[int]) -> list[Image | None]:
    images: dict[int, Image] = {}
    with _opened(path) as capture:
        for number in range(1, max(numbers, default=0) + 1):
            if not capture.grab():
                break
            if number in numbers:
                images[number] = np.asarray(capture.retrieve()[1], np.uint8)
    return [images.get(number) for number in numbers]


def iter_video(
    path: str, onset: int | None, offset: int | None, color: bool
) -> Iterator[tuple[str, Timed]]:
    """Yields the frames of a video one by one, each with a name for errors.

    Args:
        path: the video file.
        onset: number of the first frame; None means 1.
        offset: number of the last frame, inclusive; None means the video's last.
        color: keeps three channels (blue, green, red).

    Raises:
        InputError: naming the file, if it is missing, empty, truncated or no video, or if onset or
            offset is outside it.
    """
    with _opened(path) as capture:
        low = 1 if onset is None else onset
        if low < 1:
            raise InputError(f"onset {low} is outside {path}: the frames of a video count from 1")
        count = 0
        clock = Clock(capture)
        while offset is None or count < offset:
            ok, image = capture.read() if count + 1 >= low else (capture.grab(), None)
            if not ok:
                break
            count += 1
            seconds = clock.read()
            if image is not None:
                grey = image if color else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                yield f"frame {count} of {path}", Timed(np.asarray(grey, np.uint8), seconds)
        if count == 0:
            raise InputError(f"video without frames: {path}")
        announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if offset is None and count < _WHOLE_SHARE * announced and clock.ends_early(announced):
            raise InputError(
                f"truncated video: {path} ends after {count} of {int(announced)} frames"
            )
        for name, value in (("onset", low), ("offset", offset)):
            if value is not None and value > count:
                raise InputError(
                    f"{name} {value} is outside {path}, which has {counted(count, 'frame')}"
                )


class Clock:
    """Tells when each frame of a video is shown, in seconds after the first.

    A frame without a time stamp of its own, which OpenCV gives as 0, follows the one before at the
    rate that the file tells.
    """

    def __init__(self, capture: _Capture) -> None:
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self._gap = 1 / fps if 0 < fps < math.inf else None
        self._first: float | None = None
        self._now = 0.0
        self._count = 0

    def read(self) -> float | None:
        """Returns the time of the frame that was just grabbed; None where nothing tells it."""
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._count += 1
        if self._first is None:
            self._first = stamp
        elif stamp - self._first > self._now:
            self._now = stamp - self._first
        elif self._gap is None:
            return None
        else:
            self._now += self._gap
        return self._now

    def ends_early(self, announced: float) -> bool:
        """Tells whether the frames end far before so many would, at the rate of the file."""
        if self._gap is None or self._count < 2:
            return True
        end = self._now * self._count / (self._count - 1)  # the last one is shown for a while
        return end < _WHOLE_SHARE * announced * self._gap


@contextmanager
def _opened(path: str | Path) -> Iterator[_Capture]:
    _check_file(path)
    capture: _Capture
    if Path(path).suffix.lower() in animation.SUFFIXES:
        capture = animation.Animation(path)
    else:
        with silence:
            # Left to choose, OpenCV would also try image sequences and readers that write to
            # stderr. FFmpeg would take a relative path such as "tcp:host:80" for a connection.
            capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise InputError(f"not a readable video (or a truncated one): {path}")
        check_capture(capture, path)
        yield capture
    finally:
        capture.release()


def check_capture(capture: _Capture, name: object) -> None:
    """Refuses a source that says, before its first frame, that frames exceed the limits.

    Raises:
        InputError: naming the source, and the size of its frames.
    """
    width, height = _frame_size(capture)
    check_frame(name, width, height)
    check_memory(f"{name}: decoding {width}x{height}", _PIXEL_BYTES * width * height)


def _frame_size(capture: _Capture) -> tuple[int, int]:
    """Returns the width and the height that a source gives its frames before the first is read."""
    width, height = map(capture.get, (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return int(width), int(height)


def _check_file(path: str | Path) -> None:
    """Checks, without a decoder, that a file is there and may be handed to one."""
    with open_regular(path) as file:
        head = file.read(64)
    if not head:
        raise InputError(f"empty file (0 bytes): {path}")
    if head.startswith(_PLAYLISTS):
        raise InputError(f"{path} is a list of other files, not a video")
    if (size := picture_size(head)) is not None:
        check_frame(path, *size)
