"""Clips become active images: read, crop, resize, pool."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from originet import faces, video
from originet.datasets.table import ClipTable
from originet.errors import InputError
from originet_ext import ActiveImageAccumulator


def active_images(
    table: ClipTable,
    *,
    method: str = "paper",
    image_size: int = 128,
    crop_face: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """Makes the active image of every clip; a few frames are in memory at a time.

    Frames are read in grey and resized before they are pooled, so that one pixel of motion means
    the same share of the face in every clip.

    Args:
        table: the clips.
        method: the reading of the active image, one of `originet_ext.METHODS`.
        image_size: height and width of the result, in pixels.
        crop_face: cuts each clip to its face first (one box a clip).
        progress: called as progress(done, total) after each clip.

    Returns:
        [N, image_size, image_size] uint8, each image stretched to 0..255, in the table's order.

    Raises:
        InputError: if a clip cannot be read or, with `crop_face`, shows no face; the message names
            it.
    """
    if image_size < 1:
        raise InputError(f"image_size must be at least 1, got {image_size}")
    images = np.empty((len(table), image_size, image_size), np.uint8)
    spans = table[["frames", "onset", "offset"]].itertuples(index=False, name=None)
    for index, (frames, onset, offset) in enumerate(spans):
        span = frames, _optional(onset), _optional(offset)
        box = _face_box(*span) if crop_face else None
        accumulator = ActiveImageAccumulator(method, "minmax")
        for frame in _read(*span):
            face = frame if box is None else faces.crop(frame[None], box)[0]
            accumulator.update(_resize(face, image_size))
        images[index] = accumulator.result().round()
        if progress is not None:
            progress(index + 1, len(table))
    return images


def _optional(number: object) -> int | None:
    return int(number) if isinstance(number, int | np.integer) else None


def _read(
    frames: Sequence[str], onset: int | None, offset: int | None
) -> Iterator[NDArray[np.uint8]]:
    return video.read_ahead(video.iter_frames(frames, onset, offset))


def _face_box(frames: Sequence[str], onset: int | None, offset: int | None) -> faces.Box:
    """Looks for the face in frames spread over the clip, which is read for it from end to end."""
    last: int | None = len(frames)
    if offset is not None:
        last = offset
    elif video.is_video(frames):
        last = video.video_info(frames[0]).length
    expected = max(1, (last or 1) - (1 if onset is None else onset) + 1)
    while True:
        wanted = faces.sample_indices(expected)
        samples, length = [], 0
        for length, frame in enumerate(_read(frames, onset, offset), start=1):
            if length - 1 in wanted:
                samples.append(frame)
        if length == expected:
            break
        expected = length  # a number is missing, or a video miscounts its frames: read it again
    try:
        return faces.stable_box(samples)
    except InputError as error:
        raise InputError(f"{error}: {frames[0]}") from error


def _resize(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resizes a frame [H, W] to `size` in height and width."""
    if frame.shape == (size, size):
        return frame
    # Area averaging is for shrinking; enlarging with it repeats pixels.
    shrinks = min(frame.shape) >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (size, size), interpolation=interpolation), np.uint8)
