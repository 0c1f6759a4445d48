"""Reads clips: numbered image files, or one video file.

A clip is named by a tuple of paths: its image files in frame order, or one video. The number of a
frame is the last integer in the stem of its file (`reg_EP01_5-113.jpg` is frame 113); the frames of
a video count from 1. When a frame of a video is shown is told by its time stamp, in seconds after
the first: its rate need not be constant.
"""

import bisect
import math
import os
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet import animation
from originet.picture_size import picture_size
from originet.read_ahead import read_ahead as read_ahead
from originet.still import read_image as read_image
from originet.system.errors import InputError
from originet.system.files import check_regular, open_regular
from originet.system.limits import check_frame
from originet.system.memory import check_memory
from originet.system.opencv import silence
from originet.system.words import counted

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".bmp", ".png")

# What OpenCV's FFmpeg opens, the usual ones first, and what `originet.animation` does. In a folder
# these tell videos, in small or capitals; alone, or named in a CSV file, a video is any other file.
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".webm", ".mkv", ".gif", ".webp", ".m4v", ".mpg", ".mpeg", ".wmv"),
    *(".flv", ".ogv", ".3gp", ".ts", ".mts", ".m2ts", ".3g2", ".264", ".265", ".apng", ".asf"),
    *(".avif", ".divx", ".f4v", ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2v", ".mjpeg"),
    *(".mjpg", ".mxf", ".nut", ".ogm", ".qt", ".rm", ".vob", ".y4m"),
)

Image = NDArray[np.uint8]
_Capture = cv2.VideoCapture | animation.Animation

# FFmpeg reports a broken file on stderr as well; OpenCV reads this variable when it opens its first
# video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# Bytes a pixel: the frames that a decoder keeps to refer to, and those that are read ahead.
_PIXEL_BYTES = 32

# Whether there is room for more frames is asked when they have grown by so many bytes.
_STEP = 2**27

# FFmpeg would open whatever such a file names, a pipe among it.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat")

# A container's frame count is an estimate, often its duration times a mean rate; a video that ends
# before this share of both its frames and its time was cut off.
_WHOLE_SHARE = 0.9

# Some containers keep times to the millisecond: 0.067 s is the time 1/15 s.
_STAMP_ERROR = 0.0005 + 1e-9  # seconds


def frame_number(path: str | Path) -> int:
    """Returns the number of a frame: the last integer in the stem of its file.

    Raises:
        InputError: if the stem holds no digit.
    """
    numbers = re.findall(r"[0-9]+", Path(path).stem)
    if not numbers:
        raise InputError(f"no frame number in the file name of {path}")
    return int(numbers[-1])


def is_junk(path: Path) -> bool:
    """Tells whether a file or folder is none of the user's: hidden, or left by a program."""
    return path.name.startswith((".", "__")) or path.name.lower() in ("thumbs.db", "desktop.ini")


def list_frames(folder: str | Path) -> tuple[str, ...]:
    """Lists the image files of a folder, sorted by frame number; other files are ignored.

    Returns:
        The paths; empty if the folder holds no image.

    Raises:
        InputError: if an image has no number, or two have the same, or the folder is unreadable.
    """
    images: dict[int, Path] = {}
    with named_errors(folder):
        paths = sorted(Path(folder).iterdir())
    for path in paths:
        # What is no folder is to be a frame: a pipe or a broken link is told of, not left out.
        if path.suffix.lower() not in IMAGE_SUFFIXES or is_junk(path) or path.is_dir():
            continue
        number = frame_number(path)
        if number in images:
            raise InputError(
                f"{path.parent}: {images[number].name} and {path.name} are both frame {number}"
            )
        images[number] = path
    return tuple(str(images[number]) for number in sorted(images))


def clip_frames(path: str | Path) -> tuple[str, ...]:
    """Turns a path given by the user into the frames of a clip.

    Args:
        path: a folder of numbered images, or a video file.

    Returns:
        The image files in frame order, or the one video file: what `read_clip` takes.

    Raises:
        InputError: if there is no such path, the folder holds no image, or the file is a single
            image.
    """
    path = Path(path)
    with named_errors(path):
        if not path.exists():
            raise InputError(f"no such file or folder: {path}")
    if path.is_dir():
        frames = list_frames(path)
        if not frames:
            raise InputError(f"no frames in {path}: looked for {', '.join(IMAGE_SUFFIXES)} files")
        return frames
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{path} is a single image: give a video or a folder of frames")
    check_regular(path)
    return (str(path),)


class Timed(NamedTuple):
    """A frame and when it is shown.

    Attributes:
        pixels: [H, W] or [H, W, 3] (blue, green, red) uint8.
        seconds: after the first frame of the video; None where nothing tells, as of image files.
    """

    pixels: Image
    seconds: float | None


def iter_frames(
    frames: Sequence[str] | str | Path,
    onset: int | None = None,
    offset: int | None = None,
    *,
    color: bool = False,
    known: Mapping[str, Image] | None = None,
) -> Generator[Image, None, None]:
    """Yields the frames of a clip one by one; arguments and errors are those of `read_clip`.

    Image files that are `known`, read before, are not read again.
    """
    with closing(iter_timed(frames, onset, offset, color=color, known=known)) as timed:
        for frame in timed:
            yield frame.pixels


def iter_timed(
    frames: Sequence[str] | str | Path,
    onset: int | None = None,
    offset: int | None = None,
    *,
    color: bool = False,
    known: Mapping[str, Image] | None = None,
) -> Generator[Timed, None, None]:
    """Yields the frames of a clip as `iter_frames` does, and when each is shown."""
    if isinstance(frames, str | Path):
        frames = clip_frames(frames)
    if not frames:
        raise InputError("a clip needs at least one frame, got none")
    if onset is not None and offset is not None and onset > offset:
        raise InputError(f"onset {onset} is after offset {offset} in {frames[0]}")
    if is_video(frames):
        images = _iter_video(frames[0], onset, offset, color)
    else:
        images = _iter_images(select_frames(frames, onset, offset), color, known or {})
    return of_one_size(images)


def of_one_size(images: Iterator[tuple[str, Timed]]) -> Generator[Timed, None, None]:
    """Passes frames on, each given with its name; raises InputError if their size changes."""
    shape: tuple[int, ...] | None = None
    for name, frame in images:
        shape = shape or frame.pixels.shape
        if frame.pixels.shape != shape:
            raise InputError(
                f"frame size changes at {name}: {_size(frame.pixels.shape)} after {_size(shape)}"
            )
        yield frame


def read_clip(
    frames: Sequence[str] | str | Path,
    onset: int | None = None,
    offset: int | None = None,
    *,
    color: bool = False,
) -> Image:
    """Reads a clip into memory.

    Args:
        frames: image files in frame order, or one video file (a path alone goes through
            `clip_frames`).
        onset: number of the first frame to read; None means the clip's first.
        offset: number of the last frame to read, inclusive; None means the clip's last.
        color: reads three channels in OpenCV's order (blue, green, red) in place of grey.

    Returns:
        [T, H, W] uint8, or [T, H, W, 3] uint8 with `color`.

    Raises:
        InputError: naming the file, if it is missing, empty, truncated or unreadable, if the frame
            size changes inside the clip, if onset and offset are reversed or outside the clip, or
            if there is no memory for it.
    """
    name = frames if isinstance(frames, str | Path) else frames[0] if frames else ""
    return np.stack(keep(iter_frames(frames, onset, offset, color=color), name, copies=2))


def keep(frames: Iterable[Image], name: object, *, copies: int = 1) -> list[Image]:
    """Keeps frames, as long as there is memory for them.

    Args:
        frames: the frames, of one size.
        name: what they are of, for errors.
        copies: how often each will be in memory, here and in what is made of them.

    Raises:
        InputError: if there is not.
    """
    kept: list[Image] = []
    asked = size = 0
    for frame in frames:
        kept.append(frame)
        size += frame.nbytes
        if size >= asked + _STEP:
            asked = size
            what = (
                f"{name}: keeping more than {counted(len(kept), 'frame')} of {_size(frame.shape)}"
            )
            check_memory(what, _STEP + (copies - 1) * size)
    return kept


def select_frames(frames: Sequence[str], onset: int | None, offset: int | None) -> Sequence[str]:
    """Keeps the image files with onset <= number <= offset.

    Raises:
        InputError: if onset or offset is outside the numbers, or none is between them.
    """
    if onset is None and offset is None:
        return frames
    numbers = [frame_number(path) for path in frames]
    first, last = min(numbers), max(numbers)
    for name, value in (("onset", onset), ("offset", offset)):
        if value is not None and not first <= value <= last:
            raise InputError(
                f"{name} {value} is outside frames {first} to {last} of {Path(frames[0]).parent}"
            )
    low = first if onset is None else onset
    high = last if offset is None else offset
    selected = [path for path, number in zip(frames, numbers, strict=True) if low <= number <= high]
    if not selected:
        raise InputError(f"no frame numbered {low} to {high} in {Path(frames[0]).parent}")
    return selected


def resize(frame: Image, size: int) -> Image:
    """Resizes a frame, [H, W] or [H, W, 3], to `size` pixels in height and width."""
    if frame.shape[:2] == (size, size):
        return frame
    # Area averaging is for shrinking; enlarging with it repeats pixels.
    shrinks = min(frame.shape[:2]) >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (size, size), interpolation=interpolation), np.uint8)


class VideoInfo(NamedTuple):
    """What a video file says of itself, which reading it may prove wrong; None where it is silent.

    Attributes:
        fps: frames a second.
        length: number of frames.
    """

    fps: float | None
    length: int | None


def is_video(frames: Sequence[str]) -> bool:
    """Tells whether the frames of a clip, as `clip_frames` gives them, are those of one video."""
    return len(frames) == 1 and Path(frames[0]).suffix.lower() not in IMAGE_SUFFIXES


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


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _iter_images(
    frames: Sequence[str], color: bool, known: Mapping[str, Image]
) -> Iterator[tuple[str, Timed]]:
    for path in frames:
        image = known.get(path)
        yield path, Timed(read_image(path, color=color) if image is None else image, None)


def _iter_video(
    path: str, onset: int | None, offset: int | None, color: bool
) -> Iterator[tuple[str, Timed]]:
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


@contextmanager
def named_errors(path: str | Path) -> Iterator[None]:
    """Turns what the system says of a path, such as a missing permission, into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
