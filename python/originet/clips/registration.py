"""Registers a face to a reference picture of itself, to a fraction of a pixel.

The search moves the frame under the reference until what differs cannot be explained by a shift, a
turn or a scale of the whole face, nor by light (Lucas and Kanade's search, with the gradients taken
from the reference, as Baker and Matthews proposed). Pixels count by how rigid their part of the
face is, and less the worse they fit, so that an expression stays in the picture: only the head's
movement is taken out.

Reference: Baker and Matthews, Lucas-Kanade 20 years on: a unifying framework, IJCV 56, 2004.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.still import Image

Float = NDArray[np.float32]

_LEVELS = (32, 64)  # pixels of the aligned face, coarse to fine
_STEPS = (3, 3)  # of the search, at each level
_STILL = 0.01  # pixels: a step that moves no corner further is the last
_FIT = 12.0  # grey levels: a pixel that differs by this much counts half, one by more less


class Fit(NamedTuple):
    """How a frame was registered."""

    warp: NDArray[np.float64]
    """[2, 3], from the frame's pixels to the aligned face's unit square."""
    likeness: float
    """Correlation of the aligned face and the reference, -1..1, over the rigid parts."""
    face: Float
    """[64, 64] grey levels, the aligned face."""


class Reference:
    """A picture of a face, which follows slow changes of it.

    Args:
        frame: [H, W] uint8, the first frame.
        warp: [2, 3], where the face is in it.
    """

    def __init__(self, frame: Image, warp: NDArray[np.float64]) -> None:
        self._face = _cut(frame, warp, _LEVELS[-1])

    def fit(self, frame: Image, warp: NDArray[np.float64]) -> Fit:
        """Finds the face in a frame.

        Args:
            frame: [H, W] uint8.
            warp: [2, 3], where it was in the frame before.
        """
        for size, steps in zip(_LEVELS, _STEPS, strict=True):
            reference = self._face
            if size != _LEVELS[-1]:
                small = cv2.resize(self._face, (size, size), interpolation=cv2.INTER_AREA)
                reference = np.asarray(small, np.float32)
            warp = _search(frame, warp, reference, _GRIDS[size], steps)
        face = _cut(frame, warp, _LEVELS[-1])
        return Fit(warp, _GRIDS[_LEVELS[-1]].correlation(face, self._face), face)

    def follow(self, face: Float, share: float) -> None:
        """Takes over a share, 0..1, of an aligned face, as `fit` returns it."""
        cv2.accumulateWeighted(face, self._face, share)


def shrunk(
    frame: Image, warp: NDArray[np.float64], side: float
) -> tuple[Image, NDArray[np.float64], float]:
    """Shrinks a frame in which a face is larger than needed, so that its pixels are averaged.

    Args:
        frame: [H, W] uint8.
        warp: [2, 3], where the face is.
        side: Pixels to each side of the face's unit square that are needed.

    Returns:
        The frame, the warp for it, and by what its sides were multiplied: 1 / 2, 1 / 3, ... or 1.
    """
    times = int(1 / np.sqrt(abs(np.linalg.det(warp[:, :2]))) // side)
    if times < 2 or min(frame.shape) < times:
        return frame, warp, 1.0
    height, width = (length // times for length in frame.shape)
    whole = frame[: height * times, : width * times]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), scaled(warp, 1 / times), 1 / times


def scaled(warp: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Returns a warp, [2, 3], for a frame whose sides were multiplied by `scale`."""
    return np.column_stack([warp[:, :2] / scale, warp[:, 2]])


class _Grid:
    """The pixels of an aligned face that take part at one level."""

    def __init__(self, size: int) -> None:
        self.size = size
        middle = (np.arange(size) + 0.5) / size
        x, y = (axis.ravel() for axis in np.meshgrid(middle, middle))
        weights = rigidity(x, y)
        self.index = np.flatnonzero(weights > 0.02)
        self.weights = weights[self.index].astype(np.float32)
        self.x, self.y = (axis[self.index].astype(np.float32) for axis in (x, y))

    def correlation(self, one: Float, other: Float) -> float:
        """Returns the correlation of two pictures [size, size], -1..1; 0 if one is uniform."""
        a, b = (face.ravel()[self.index] for face in (one, other))
        a, b = (pixels - np.average(pixels, weights=self.weights) for pixels in (a, b))
        spread = np.sqrt((self.weights * a * a).sum() * (self.weights * b * b).sum())
        return float((self.weights * a * b).sum() / spread) if spread > 0 else 0.0


def rigidity(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.floating]:
    """Returns how rigid the face is at points of the aligned face's unit square, 0..1.

    The bridge of the nose, the temples and the cheekbones move with the skull. Brows, lids,
    nostrils, mouth and jaw do not.
    """

    def spot(at_x: float, at_y: float, wide: float, high: float) -> NDArray[np.floating]:
        return np.exp(-(((x - at_x) / wide) ** 2 + ((y - at_y) / high) ** 2) / 2)

    oval = np.clip(1.5 - ((x - 0.5) / 0.42) ** 2 - ((y - 0.44) / 0.42) ** 2, 0, 1)
    loose = 0.7 * spot(0.3, 0.24, 0.11, 0.05) + 0.7 * spot(0.7, 0.24, 0.11, 0.05)
    loose = loose + 0.6 * spot(0.32, 0.34, 0.06, 0.035) + 0.6 * spot(0.68, 0.34, 0.06, 0.035)
    loose = loose + 1.2 * spot(0.5, 0.8, 0.22, 0.12)
    return np.asarray(oval * np.clip(1 - loose, 0.0, 1))


_GRIDS = {size: _Grid(size) for size in _LEVELS}


def _search(
    frame: Image, warp: NDArray[np.float64], reference: Float, grid: _Grid, steps: int
) -> NDArray[np.float64]:
    size = grid.size
    x, y, index = grid.x - 0.5, grid.y - 0.5, grid.index
    down, across = np.gradient(reference)
    along_x, along_y = size * across.ravel()[index], size * down.ravel()[index]
    kept = reference.ravel()[index]
    # How the picture changes with the scale, the turn, the two shifts, the contrast and the light.
    slopes = np.stack(
        [along_x * x + along_y * y, along_y * x - along_x * y, along_x, along_y, kept - kept.mean()]
    )
    slopes = np.concatenate([slopes, np.ones((1, len(index)), np.float32)])
    light = 0.0
    for _ in range(steps):
        error = _cut(frame, warp, size).ravel()[index] - kept
        weights = grid.weights / (1 + ((error - light) / _FIT) ** 2)
        weighted = slopes * weights
        normal = (weighted @ slopes.T).astype(np.float64)
        normal[np.diag_indices(6)] += 1e-3 * np.trace(normal[2:4, 2:4]) / 2 + 1e-6
        scale, turn, right, below, _, light = np.linalg.solve(
            normal, (weighted @ error).astype(np.float64)
        )
        step = np.array([[1 + scale, -turn], [turn, 1 + scale]])
        centre = np.array([0.5, 0.5])
        shift = np.array([right, below]) + centre - step @ centre
        warp = np.column_stack([step @ warp[:, :2], step @ warp[:, 2] + shift])
        if size * (abs(scale) + abs(turn) + abs(right) + abs(below)) < _STILL:
            break
    return warp


def _cut(frame: Image, warp: NDArray[np.float64], size: int) -> Float:
    """Cuts the aligned face out of a frame: [size, size] grey levels."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    to_face = size * (warp @ half) - np.array([[0, 0, 0.5], [0, 0, 0.5]])
    cut = cv2.warpAffine(
        frame, to_face, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.GaussianBlur(cut, (0, 0), 0.9), np.float32)
