"""Reads clips: numbered image files, or one video file.

A clip is named by a tuple of paths: its image files in frame order, or one video. The number of a
frame is the last integer in the stem of its file (`reg_EP01_5-113.jpg` is frame 113); the frames of
a video count from 1.
"""

import math
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.errors import InputError
from originet.opencv import silence
from originet.read_ahead import read_ahead as read_ahead
from originet.words import counted

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".bmp", ".png")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov")

Image = NDArray[np.uint8]

# FFmpeg reports a broken file on stderr as well; OpenCV reads this variable when it opens its first
# video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# The bytes a file begins with, and those it must hold somewhere if it is whole. Looking for them
# first keeps the complaints of libpng and libjpeg about a truncated file off stderr.
_END_MARKS = {b"\x89PNG": b"IEND\xae\x42\x60\x82", b"\xff\xd8\xff": b"\xff\xd9"}

# A container's frame count is an estimate; a video that ends before this share of it was cut off.
_WHOLE_SHARE = 0.9


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
    """Tells whether a file or folder is none of the user's: hidden, or left by an archiver."""
    return path.name.startswith((".", "__"))


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
        if path.suffix.lower() not in IMAGE_SUFFIXES or is_junk(path) or not path.is_file():
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
    return (str(path),)


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
    shape: tuple[int, ...] | None = None
    for name, image in images:
        shape = shape or image.shape
        if image.shape != shape:
            raise InputError(
                f"frame size changes at {name}: {_size(image.shape)} after {_size(shape)}"
            )
        yield image


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
            size changes inside the clip, or if onset and offset are reversed or outside the clip.
    """
    return np.stack(list(iter_frames(frames, onset, offset, color=color)))


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
    return VideoInfo(fps if 0 < fps < math.inf else None, int(length) if length >= 1 else None)


def read_frames_at(path: str | Path, numbers: Sequence[int]) -> Iterator[Image]:
    """Yields some frames of a video, in grey, by seeking to them.

    In a video whose time stamps are irregular a frame near the one asked for may come; one that
    cannot be reached is left out.

    Args:
        path: the video file.
        numbers: numbers of frames, from 1.

    Raises:
        InputError: if the file is missing, empty or no video.
    """
    with _opened(path) as capture:
        for number in numbers:
            capture.set(cv2.CAP_PROP_POS_FRAMES, number - 1)
            ok, image = capture.read()
            if ok:
                yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _iter_images(
    frames: Sequence[str], color: bool, known: Mapping[str, Image]
) -> Iterator[tuple[str, Image]]:
    for path in frames:
        image = known.get(path)
        yield path, read_image(path, color=color) if image is None else image


def read_image(path: str | Path, *, color: bool = False) -> Image:
    """Reads one image file into [H, W] uint8, or [H, W, 3] uint8 (blue, green, red) with `color`.

    Raises:
        InputError: if the file is missing, empty, truncated or no image.
    """
    with named_errors(path):
        if not Path(path).is_file():
            raise InputError(f"no such file: {path}")
        with open(path, "rb") as file:
            data = file.read()
    if not data:
        raise InputError(f"empty file (0 bytes): {path}")
    for start, end in _END_MARKS.items():
        # From behind, where a whole file has it: from the front it would take a tenth of the time
        # that decoding does.
        if data.startswith(start) and data.rfind(end) < 0:
            raise InputError(f"truncated image: {path}")
    try:
        with silence:
            # imdecode gives None for every damaged file; imread fills the rest of a truncated JPEG
            # with grey.
            image = cv2.imdecode(
                np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE
            )
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"unreadable image: {path}")
    return np.asarray(image, np.uint8)


def _iter_video(
    path: str, onset: int | None, offset: int | None, color: bool
) -> Iterator[tuple[str, Image]]:
    with _opened(path) as capture:
        low = 1 if onset is None else onset
        if low < 1:
            raise InputError(f"onset {low} is outside {path}: the frames of a video count from 1")
        count = 0
        while offset is None or count < offset:
            ok, image = capture.read() if count + 1 >= low else (capture.grab(), None)
            if not ok:
                break
            count += 1
            if image is not None:
                grey = image if color else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                yield f"frame {count} of {path}", np.asarray(grey, np.uint8)
        if count == 0:
            raise InputError(f"video without frames: {path}")
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if offset is None and count < _WHOLE_SHARE * announced:
            raise InputError(f"truncated video: {path} ends after {count} of {announced} frames")
        for name, value in (("onset", low), ("offset", offset)):
            if value is not None and value > count:
                raise InputError(
                    f"{name} {value} is outside {path}, which has {counted(count, 'frame')}"
                )


@contextmanager
def _opened(path: str | Path) -> Iterator[cv2.VideoCapture]:
    _check_file(path)
    with silence:
        # Left to choose, OpenCV would also try image sequences and readers that write to stderr.
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise InputError(f"not a readable video (or a truncated one): {path}")
        yield capture
    finally:
        capture.release()


def _check_file(path: str | Path) -> None:
    with named_errors(path):
        if not Path(path).is_file():
            raise InputError(f"no such file: {path}")
        with open(path, "rb") as file:
            if not file.read(1):
                raise InputError(f"empty file (0 bytes): {path}")


@contextmanager
def named_errors(path: str | Path) -> Iterator[None]:
    """Turns what the system says of a path, such as a missing permission, into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
