"""Clips become active images: read, crop, resize, pool."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from originet import imaging
from originet.datasets.table import ClipTable
from originet.errors import InputError


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
        clip = imaging.open_clip(
            frames,
            start=_optional(onset),
            end=_optional(offset),
            crop_face=crop_face,
            size=image_size,
        )
        _, pooled, _ = imaging.active_images(clip, [method], "minmax")
        images[index] = pooled[method].round()
        if progress is not None:
            progress(index + 1, len(table))
    return images


def _optional(number: object) -> int | None:
    return int(number) if isinstance(number, int | np.integer) else None
