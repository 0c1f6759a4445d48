"""Augmentation of the training images: rotations and histogram equalisation.

Reference: Verma et al., arXiv:2005.07991, section IV: active images are "rotated between
[-45, 45] degree with an increment of 15 and enhanced by performing histogram equalization".
Nothing here looks at more than one image, so augmenting cannot carry information between clips.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.errors import InputError

ROTATIONS = (-45, -30, -15, 0, 15, 30, 45)


def rotate(image: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    """Rotates an image about its centre.

    Args:
        image: [S, S] uint8.
        angle: Degrees, counter-clockwise; 0 returns an exact copy.

    Returns:
        [S, S] uint8, sampled linearly. Corners which the image does not cover take its median: in
        an active image that is the grey of "no motion", so the rotation draws no edges of its own
        (mirroring would invent motion, black would be the strongest motion there is).
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


def augment(
    images: NDArray[np.uint8],
    rotations: Sequence[float] = ROTATIONS,
    equalize: bool = True,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Makes the augmented copies of every image.

    The copies of an image are its rotations and, with `equalize`, the same rotations of the
    histogram-equalised image. They stand next to each other, in the order of `rotations`.

    Args:
        images: [N, S, S] uint8.
        rotations: Angles in degrees, counter-clockwise; (0,) for no rotation.
        equalize: Add the equalised copies. The plain ones stay, so that an image which was not
            equalised, as at test time, is nothing new to the network.

    Returns:
        The copies, [M, S, S] uint8 with M = N * len(rotations) * (2 if equalize else 1), and for
        each of them the index of its source image, [M] int64.

    Raises:
        InputError: If `images` is not [N, S, S] uint8 or `rotations` is empty.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise InputError(f"images must be [N, S, S] uint8, got {images.shape} {images.dtype}")
    if len(rotations) == 0:
        raise InputError("rotations must name at least one angle; (0,) means no rotation")
    copies = len(rotations) * (2 if equalize else 1)
    out = np.empty((len(images) * copies, *images.shape[1:]), dtype=np.uint8)
    position = 0
    for image in images:
        sources = [image, cv2.equalizeHist(image)] if equalize else [image]
        for source in sources:
            for angle in rotations:
                out[position] = rotate(source.astype(np.uint8, copy=False), angle)
                position += 1
    return out, np.repeat(np.arange(len(images), dtype=np.int64), copies)
