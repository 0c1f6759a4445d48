"""Faces followed through a video, frame by frame, each brought to one place and size.

What a video shows of a face is its expression and the movement of the head. To see the first alone,
every frame is warped so that the face's rigid points, the eyes above all, stay where they are: that
is an aligned face. Its coordinates are those of a unit square, x to the right and y down.
"""

from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.faces import Box
from originet.clips.still import Image

EYES = ((0.32, 0.34), (0.68, 0.34))
"""Centres of the eyes in an aligned face: left in the picture, then right. The mouth is then near
(0.5, 0.74), the chin near (0.5, 0.95)."""

_MOST_TIMES = 4  # that a cut is larger than its result, before it is shrunk


class TrackedFace(NamedTuple):
    """One face in one frame."""

    identity: int
    """From 0, in the order in which faces appeared; kept while the face is followed, and when it is
    found again where it was lost."""
    confidence: float
    """Of the detector, 0..1."""
    box: Box
    """Where it is in the frame."""
    warp: NDArray[np.float64]
    """[2, 3]: maps a point (x, y, 1) of the frame, in pixels from its corner, to the aligned face's
    unit square."""
    points: NDArray[np.float32] | None = None
    """[468, 2], landmarks (x, y) in pixels of the frame, smoothed in time; None if the tracker has
    none."""


class FaceTracker(Protocol):
    """Follows faces; every video needs a new one, as it remembers the frames before."""

    def follow(self, frame: Image, seconds: float) -> list[TrackedFace]:
        """Finds the faces of the next frame.

        Args:
            frame: [H, W] grey or [H, W, 3] (blue, green, red) uint8, of one size in a video.
            seconds: Its time, ascending.

        Returns:
            The faces, by identity; empty if there are none.
        """


def aligned(frame: Image, face: TrackedFace, size: int) -> Image:
    """Cuts a face out of a frame so that its eyes lie at `EYES`.

    Args:
        frame: [H, W] or [H, W, 3] uint8; beyond its edges, the edge pixels are repeated.
        face: The face.
        size: Height and width of the result, in pixels.

    Returns:
        [size, size] or [size, size, 3] uint8.
    """
    return warped(frame, face.warp, size)


def warped(frame: Image, warp: NDArray[np.float64], size: int) -> Image:
    """Cuts out of a frame what a warp, as of a `TrackedFace`, maps to the unit square.

    A larger cut is shrunk by the mean of its pixels, so that fine texture does not flicker as it
    moves.

    Args:
        frame: [H, W] or [H, W, 3] uint8; beyond its edges, the edge pixels are repeated.
        warp: [2, 3], a similarity.
        size: Height and width of the result, in pixels.

    Returns:
        [size, size] or [size, size, 3] uint8.
    """
    pixels = 1 / (size * np.hypot(*warp[:, 0]))  # of the frame, to one of the result
    times = int(np.clip(round(pixels), 1, _MOST_TIMES))
    # Pixel centres: the unit square's (0, 0) is the corner of the first pixel, not its centre.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = times * size * (warp @ half) - np.array([[0, 0, 0.5], [0, 0, 0.5]])
    cut = cv2.warpAffine(
        frame,
        matrix,
        (times * size, times * size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if times > 1:
        cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(cut, np.uint8)
