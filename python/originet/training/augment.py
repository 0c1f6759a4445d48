"""Augmentation of the training images: rotations and histogram equalisation.

Reference: Verma et al., arXiv:2005.07991, section IV: active images are "rotated between
[-45, 45] degree with an increment of 15 and enhanced by performing histogram equalization".
Nothing here looks at more than one image, so augmenting cannot carry information between clips.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

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


def augmented_views(
    images: NDArray[np.uint8],
    rotations: Sequence[float] = ROTATIONS,
    equalize: bool = True,
) -> NDArray[np.uint8]:
    """Makes all views of every image: the original, then its augmented copies.

    The copies are the rotations and, with `equalize`, the same rotations of the histogram-equalised
    image, in the order of `rotations`. They do not depend on the fold, so a run makes them once.

    Args:
        images: [N, S, S] uint8.
        rotations: Angles in degrees, counter-clockwise; (0,) for no rotation.
        equalize: Add the equalised copies. The plain copies stay, so that the network also learns
            from images like those at test time, which are not equalised.

    Returns:
        [N, 1 + K, S, S] uint8 with K = len(rotations) * (2 if equalize else 1) copies.

    Raises:
        InputError: If `images` is not [N, S, S] uint8 or `rotations` is empty.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise InputError(f"images must be [N, S, S] uint8, got {list(images.shape)} {images.dtype}")
    if len(rotations) == 0:
        raise InputError("rotations must name at least one angle; use 0 for no rotation")
    copies = len(rotations) * (2 if equalize else 1)
    out = np.empty((len(images), 1 + copies, *images.shape[1:]), dtype=np.uint8)
    for image, views in zip(images, out, strict=True):
        views[0] = image
        sources = [image, cv2.equalizeHist(image)] if equalize else [image]
        turned = (rotate(source, angle) for source in sources for angle in rotations)
        for position, copy in enumerate(turned, start=1):
            views[position] = copy
    return out
