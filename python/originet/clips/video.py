"""Decodes video files, with the time at which each frame is shown.

The frames of a video count from 1. Each has a time stamp, in seconds after the first, so the frame
rate need not be constant.
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

# What OpenCV's FFmpeg opens, common formats first, and what `originet.clips.animation` opens. In a
# folder, these extensions identify videos, in lower or upper case. A file that is given by itself,
# or listed in a CSV file, counts as a video unless it is an image.
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".webm", ".mkv", ".gif", ".webp", ".m4v", ".mpg", ".mpeg", ".wmv"),
    *(".flv", ".ogv", ".3gp", ".ts", ".mts", ".m2ts", ".3g2", ".264", ".265", ".apng", ".asf"),
    *(".avif", ".divx", ".f4v", ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2v", ".mjpeg"),
    *(".mjpg", ".mxf", ".nut", ".ogm", ".qt", ".rm", ".vob", ".y4m"),
)
_Capture = cv2.VideoCapture | animation.Animation

# Stops FFmpeg from also reporting broken files on stderr. OpenCV reads this variable when it opens
# its first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# Bytes per pixel: the decoder's reference frames, and the frames read ahead.
_PIXEL_BYTES = 32

# FFmpeg would open whatever such a file names, even a pipe.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat")

# A container's frame count is an estimate, often its duration times a mean rate. A video is
# truncated if it ends before this share of both its frames and its duration.
_WHOLE_SHARE = 0.9

# Some containers round times to milliseconds: 0.067 s stands for 1/15 s.
_STAMP_ERROR = 0.0005 + 1e-9  # seconds


class Timed(NamedTuple):
    """A frame and when it is shown.

    Attributes:
        pixels: [H, W] or [H, W, 3] (blue, green, red) uint8.
        seconds: time after the first frame of the video; None if unknown, as for image files.
    """

    pixels: Image
    seconds: float | None


class VideoInfo(NamedTuple):
    """What a video file states about itself, possibly wrongly; None where it states nothing.

    Attributes:
        fps: frames per second.
        length: number of frames.
    """

    fps: float | None
    length: int | None


def video_info(path: str | Path) -> VideoInfo:
    """Reads what a video file states about itself.

    Raises:
        InputError: if the file is missing, empty or not a video.
    """
    with _opened(path) as capture:
        fps, length = (capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
    return VideoInfo(
        fps if 0 < fps < math.inf else None, int(length) if 1 <= length < math.inf else None
    )


def frame_times(path: str | Path, until: float) -> list[float]:
    """Reads the time stamps of a video's frames.

    Decodes the video up to `until`, since some containers store time stamps in another order than
    frames.

    Args:
        path: the video file.
        until: seconds after the first frame.

    Returns:
        Seconds after the first frame, ascending, for all frames up to `until` and the next one, if
        any.

    Raises:
        InputError: if the file is missing, empty or not a video, or has no time stamps.
    """
    times: list[float] = []
    with _opened(path) as capture:
        clock = Clock(capture)
        while (not times or times[-1] <= until + _STAMP_ERROR) and capture.grab():
            seconds = clock.read()
            if seconds is None:
                raise InputError(f"{path} has no usable time stamps: give the fps")
            times.append(seconds)
    if not times:
        raise InputError(f"video without frames: {path}")
    return times


def first_at(times: Sequence[float], seconds: float) -> int:
    """Returns the index of the first frame at or after a time: `len(times)` if there is none."""
    return bisect.bisect_left(times, seconds - _STAMP_ERROR)


def last_at(times: Sequence[float], seconds: float) -> int:
    """Returns the index of the last frame at or before a time: -1 if there is none."""
    return bisect.bisect_right(times, seconds + _STAMP_ERROR) - 1


def read_frames_at(path: str | Path, numbers: Sequence[int]) -> Iterator[Image]:
    """Yields some frames of a video in grey, by seeking to them if that is exact.

    If the video has a variable frame rate or cannot be sought in, its frames are read in order.

    Args:
        path: the video file.
        numbers: frame numbers, from 1; numbers past the end are ignored.

    Raises:
        InputError: if the file is missing, empty or not a video.
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
    """Reads one frame of a video; None unless its time stamp confirms that it is the right one."""
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
        InputError: if the file is missing, empty, truncated or not a video, or if onset or offset
            is outside it. The message names the file.
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
    """Computes the time of each frame of a video, in seconds after the first.

    OpenCV reports a missing time stamp as 0. Such a frame follows the one before at the file's
    frame rate.
    """

    def __init__(self, capture: _Capture) -> None:
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self._gap = 1 / fps if 0 < fps < math.inf else None
        self._first: float | None = None
        self._now = 0.0
        self._count = 0

    def read(self) -> float | None:
        """Returns the time of the frame that was just grabbed; None if unknown."""
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
        """Returns whether the video ends long before the announced frames would, at its rate."""
        if self._gap is None or self._count < 2:
            return True
        end = self._now * self._count / (self._count - 1)  # including the last frame's duration
        return end < _WHOLE_SHARE * announced * self._gap


@contextmanager
def _opened(path: str | Path) -> Iterator[_Capture]:
    _check_file(path)
    capture: _Capture
    if Path(path).suffix.lower() in animation.SUFFIXES:
        capture = animation.Animation(path)
    else:
        with silence:
            # Without CAP_FFMPEG, OpenCV would also try image sequences and readers that write to
            # stderr. FFmpeg would treat a relative path such as "tcp:host:80" as a connection.
            capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise InputError(f"not a readable video (or a truncated one): {path}")
        check_capture(capture, path)
        yield capture
    finally:
        capture.release()


def check_capture(capture: _Capture, name: object) -> None:
    """Refuses a source whose frames exceed the limits, before the first one is read.

    Raises:
        InputError: if they do; the message names the source and the size of its frames.
    """
    width, height = _frame_size(capture)
    check_frame(name, width, height)
    check_memory(f"{name}: decoding {width}x{height}", _PIXEL_BYTES * width * height)


def _frame_size(capture: _Capture) -> tuple[int, int]:
    """Returns the width and the height that a source announces for its frames."""
    width, height = map(capture.get, (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return int(width), int(height)


def _check_file(path: str | Path) -> None:
    """Checks, without a decoder, that a file exists and is safe to pass to one."""
    with open_regular(path) as file:
        head = file.read(64)
    if not head:
        raise InputError(f"empty file (0 bytes): {path}")
    if head.startswith(_PLAYLISTS):
        raise InputError(f"{path} is a list of other files, not a video")
    if (size := picture_size(head)) is not None:
        check_frame(path, *size)
