"""Reads clips: numbered image files, or one video file.

A clip is given as a tuple of paths: its image files in frame order, or one video. The number of a
frame is the last integer in the stem of its file (`reg_EP01_5-113.jpg` is frame 113); the frames of
a video count from 1. Each frame of a video has a time stamp, in seconds after the first, so the
frame rate need not be constant.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from originet.clips.still import Image, read_image
from originet.clips.video import Timed, iter_video
from originet.system.errors import InputError
from originet.system.files import check_regular, named_errors
from originet.system.memory import check_memory
from originet.system.words import counted

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".bmp", ".png")

# Memory is checked each time the kept frames have grown by this many bytes.
_STEP = 2**27


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
    """Returns whether a file or folder is not the user's own: hidden, or left by a program."""
    return path.name.startswith((".", "__")) or path.name.lower() in ("thumbs.db", "desktop.ini")


def list_frames(folder: str | Path) -> tuple[str, ...]:
    """Lists the image files of a folder, sorted by frame number; other files are ignored.

    Returns:
        The paths; empty if the folder holds no image.

    Raises:
        InputError: if an image has no number, two have the same, or the folder is unreadable.
    """
    images: dict[int, Path] = {}
    with named_errors(folder):
        paths = sorted(Path(folder).iterdir())
    for path in paths:
        # Keep pipes and broken links: reading them as frames then reports them.
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


def iter_frames(
    frames: Sequence[str] | str | Path,
    onset: int | None = None,
    offset: int | None = None,
    *,
    color: bool = False,
    known: Mapping[str, Image] | None = None,
) -> Generator[Image, None, None]:
    """Yields the frames of a clip one by one; arguments and errors are those of `read_clip`.

    `known` maps image files to frames that were read before; they are not read again.
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
    """Yields the frames of a clip like `iter_frames`, each with its time."""
    if isinstance(frames, str | Path):
        frames = clip_frames(frames)
    if not frames:
        raise InputError("a clip needs at least one frame, got none")
    if onset is not None and offset is not None and onset > offset:
        raise InputError(f"onset {onset} is after offset {offset} in {frames[0]}")
    if is_video(frames):
        images = iter_video(frames[0], onset, offset, color)
    else:
        images = _iter_images(select_frames(frames, onset, offset), color, known or {})
    return of_one_size(images)


def of_one_size(images: Iterator[tuple[str, Timed]]) -> Generator[Timed, None, None]:
    """Yields the frames of (name, frame) pairs; raises InputError if the frame size changes."""
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
        frames: image files in frame order, or one video file (a single path goes through
            `clip_frames`).
        onset: number of the first frame to read; None means the clip's first.
        offset: number of the last frame to read, inclusive; None means the clip's last.
        color: reads three channels in OpenCV's order (blue, green, red) instead of grey.

    Returns:
        [T, H, W] uint8, or [T, H, W, 3] uint8 with `color`.

    Raises:
        InputError: if a file is missing, empty, truncated or unreadable, if the frame size changes
            within the clip, if onset and offset are reversed or outside the clip, or if it does not
            fit into memory. The message names the file.
    """
    name = frames if isinstance(frames, str | Path) else frames[0] if frames else ""
    return np.stack(keep(iter_frames(frames, onset, offset, color=color), name, copies=2))


def keep(frames: Iterable[Image], name: object, *, copies: int = 1) -> list[Image]:
    """Collects frames in a list, as long as they fit into memory.

    Args:
        frames: the frames, of one size.
        name: name of their clip, for errors.
        copies: how many copies of each frame will be in memory, including later results.

    Raises:
        InputError: if they do not fit.
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
    """Selects the image files with onset <= number <= offset.

    Raises:
        InputError: if onset or offset is out of range, or no frame lies between them.
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
    # Area averaging suits shrinking; when enlarging, it repeats pixels.
    shrinks = min(frame.shape[:2]) >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (size, size), interpolation=interpolation), np.uint8)


def is_video(frames: Sequence[str]) -> bool:
    """Returns whether a clip's frames, as returned by `clip_frames`, are one video."""
    return len(frames) == 1 and Path(frames[0]).suffix.lower() not in IMAGE_SUFFIXES


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _iter_images(
    frames: Sequence[str], color: bool, known: Mapping[str, Image]
) -> Iterator[tuple[str, Timed]]:
    for path in frames:
        image = known.get(path)
        yield path, Timed(read_image(path, color=color) if image is None else image, None)
