"""Clips become active images: read, crop, resize, pool."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from originet import faces
from originet.datasets.table import ClipTable
from originet.errors import InputError
from originet.video import read_clip
from originet_ext import active_image


def active_images(
    table: ClipTable,
    *,
    method: str = "paper",
    image_size: int = 128,
    crop_face: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """Makes the active image of every clip; one clip is in memory at a time.

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
        clip = read_clip(frames, _optional(onset), _optional(offset))
        if crop_face:
            clip = _crop_face(clip, frames[0])
        pooled = active_image(
            torch.from_numpy(_resize(clip, image_size)), method=method, normalize="minmax"
        )
        images[index] = pooled.round().clamp(0, 255).to(torch.uint8).numpy()
        if progress is not None:
            progress(index + 1, len(table))
    return images


def _optional(number: object) -> int | None:
    return int(number) if isinstance(number, int | np.integer) else None


def _crop_face(clip: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    try:
        return faces.crop(clip, faces.stable_box(clip[faces.sample_indices(len(clip))]))
    except InputError as error:
        raise InputError(f"{error}: {name}") from error


def _resize(clip: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resizes every frame of [T, H, W] to `size`; the result is contiguous."""
    if clip.shape[1:] == (size, size):
        return np.ascontiguousarray(clip)
    # Area averaging is for shrinking; enlarging with it repeats pixels.
    shrinks = min(clip.shape[1:]) >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = [cv2.resize(frame, (size, size), interpolation=interpolation) for frame in clip]
    return np.asarray(resized, np.uint8)
