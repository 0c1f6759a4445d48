"""Augmentation of the training images: rotations and histogram equalisation.

Where a picture of a flow is turned, so are the vectors in it.

Reference: Verma et al., arXiv:2005.07991, section IV: active images are "rotated between
[-45, 45] degree with an increment of 15 and enhanced by performing histogram equalization".
Nothing here looks at more than one image, so augmenting cannot carry information between clips.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.system.channels import GREY, Channel, U, V
from originet.system.errors import InputError
from originet.training.config import ROTATIONS


def rotate(image: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    """Rotates an image about its centre.

    Args:
        image: [S, S] uint8.
        angle: Degrees, counter-clockwise; 0 returns an exact copy.

    Returns:
        [S, S] uint8, sampled linearly. Corners that the image does not cover are filled with its
        median. In an active image, that grey means "no motion", so the rotation adds no edges.
        Mirroring would invent motion, and black would be the strongest motion possible.
    """
    if angle == 0:
        return image.copy()
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    turned = cv2.warpAffine(
        image,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=float(np.median(image)),
    )
    return turned.astype(np.uint8, copy=False)


def warp_channels(
    image: NDArray[Any], matrix: NDArray[np.float64], channels: Sequence[Channel]
) -> NDArray[Any]:
    """Turns, mirrors or shifts an image of several channels, and the vectors in it.

    Args:
        image: [S, S, C] uint8 or float32.
        matrix: [2, 3], from a pixel's place (x, y) to its new one. Its first two columns, a
            rotation or a mirror, apply to vectors: a mirror of left and right changes the sign of
            u.
        channels: What the channels are [C].

    Returns:
        [S, S, C] of the same dtype, sampled linearly. Beyond the image there is no motion; other
        channels are filled with their median.
    """
    height, width, _ = image.shape
    planes = []
    for place, channel in enumerate(channels):
        plane = np.ascontiguousarray(image[..., place])
        if channel.kind in (U, V):
            first = place if channel.kind == U else place - 1
            row = matrix[0 if channel.kind == U else 1]
            plane = (row[0] * image[..., first] + row[1] * image[..., first + 1]).astype(np.float32)
            fill = 0.0
        else:
            fill = float(np.median(plane))
        planes.append(
            cv2.warpAffine(
                plane,
                matrix,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=fill,
            )
        )
    return np.stack(planes, axis=-1)


def augmented_views(
    images: NDArray[Any],
    rotations: Sequence[float] = ROTATIONS,
    equalize: bool = True,
    channels: Sequence[Channel] | None = None,
) -> NDArray[Any]:
    """Makes all views of every image: the original, then its augmented copies.

    The copies are the rotations and, with `equalize`, the same rotations of the histogram-equalised
    image, in the order of `rotations`. They do not depend on the fold, so a run makes them once.

    Args:
        images: [N, S, S] uint8; or [N, S, S, C] uint8 or float32, see `channels`.
        rotations: Angles in degrees, counter-clockwise; (0,) for no rotation.
        equalize: Add the equalised copies. The plain copies stay, so that the network also learns
            from images like those at test time, which are not equalised. Only grey channels are
            equalised; if there is none, there are no such copies.
        channels: What the channels are [C]; None for [N, S, S].

    Returns:
        [N, 1 + K, S, S] or [N, 1 + K, S, S, C] with K = len(rotations) * (2 if equalize else 1)
        copies, of the images' dtype.

    Raises:
        InputError: If `images` has another shape or dtype or `rotations` is empty.
    """
    if len(rotations) == 0:
        raise InputError("rotations must name at least one angle; use 0 for no rotation")
    if channels is not None and images.ndim == 4:
        return _channel_views(images, rotations, equalize, channels)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise InputError(f"images must be [N, S, S] uint8, got {list(images.shape)} {images.dtype}")
    copies = len(rotations) * (2 if equalize else 1)
    out = np.empty((len(images), 1 + copies, *images.shape[1:]), dtype=np.uint8)
    for image, views in zip(images, out, strict=True):
        views[0] = image
        sources = [image, cv2.equalizeHist(image)] if equalize else [image]
        turned = (rotate(source, angle) for source in sources for angle in rotations)
        for position, copy in enumerate(turned, start=1):
            views[position] = copy
    return out


def _channel_views(
    images: NDArray[Any],
    rotations: Sequence[float],
    equalize: bool,
    channels: Sequence[Channel],
) -> NDArray[Any]:
    """Makes the views of images of several channels, in the order of `augmented_views`."""
    greys = [place for place, channel in enumerate(channels) if channel.kind == GREY]
    equalize = equalize and bool(greys)
    copies = len(rotations) * (2 if equalize else 1)
    out = np.empty((len(images), 1 + copies, *images.shape[1:]), dtype=images.dtype)
    for image, views in zip(images, out, strict=True):
        views[0] = image
        sources = [image, _equalized(image, greys)] if equalize else [image]
        turned = (_turned(source, angle, channels) for source in sources for angle in rotations)
        for position, copy in enumerate(turned, start=1):
            views[position] = copy
    return out


def _turned(image: NDArray[Any], angle: float, channels: Sequence[Channel]) -> NDArray[Any]:
    """Rotates an image [S, S, C]; 0 degrees returns it as it is."""
    if angle == 0:
        return image
    height, width, _ = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return warp_channels(image, np.asarray(matrix, np.float64), channels)


def _equalized(image: NDArray[Any], greys: Sequence[int]) -> NDArray[Any]:
    equalized = image.copy()
    for place in greys:
        equalized[..., place] = cv2.equalizeHist(image[..., place].astype(np.uint8))
    return equalized
