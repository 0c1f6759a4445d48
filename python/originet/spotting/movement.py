"""How far each cell of an aligned face moved, from the difference of two pictures of it.

Within a cell, and a little around it, all pixels are taken to move alike, so that the picture
changes by its gradient times the movement: a small least-squares problem (Lucas and Kanade). What
the rigid cells share, a shift, turn, scale or shear, is the head's, and is subtracted.

Reference: Lucas and Kanade, An iterative image registration technique, IJCAI 1981.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.spotting.regions import CELL_X, CELL_Y, CELLS, RIGID, SHARES, SIDE

Float = NDArray[np.float64]

# Squared grey levels per pixel: below such a mean squared gradient a movement is not measurable,
# and is taken for smaller than it is.
_PLAIN = 12.0
_LOCAL = 10.0  # pixels, standard deviation: changes of light are smoother than this
_SHARED = 0.8  # cells, standard deviation: how far around a cell pixels count
_ROUNDS = 3  # of the fit to the head's movement
_TINY = 1e-9  # of the weights of a plain picture, which does not move
_OUTLIER = 0.15  # pixels: a rigid cell that is off by so much counts half, one by more less


class Slopes(NamedTuple):
    """What is known about a picture before it moves."""

    across: NDArray[np.float32]
    down: NDArray[np.float32]
    """[SIDE, SIDE] grey levels per pixel."""
    inverse: tuple[Float, Float, Float]
    """[CELLS, CELLS] each: the inverse of the normal matrix, its elements xx, xy and yy."""
    texture: Float
    """[CELLS, CELLS], 0..1: how well a movement can be measured there."""


def slopes_of(face: NDArray[np.float32]) -> Slopes:
    """Prepares a picture of a face, [SIDE, SIDE] grey levels."""
    smooth = cv2.GaussianBlur(face, (0, 0), 1.2)
    across = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8), np.float32)
    down = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8), np.float32)
    xx, xy, yy = _pooled(across * across), _pooled(across * down), _pooled(down * down)
    texture = (xx + yy) / (xx + yy + 2 * _PLAIN)
    xx, yy = xx + _PLAIN, yy + _PLAIN
    area = xx * yy - xy * xy
    return Slopes(across, down, (yy / area, -xy / area, xx / area), texture)


def movement(change: NDArray[np.float32], slopes: Slopes) -> Float:
    """Measures movement.

    Args:
        change: [SIDE, SIDE] or [T, SIDE, SIDE], moved pictures minus the picture, grey levels.
        slopes: Of the picture.

    Returns:
        [2, CELLS, CELLS] or [T, 2, CELLS, CELLS], (x, y) in pixels, the head's movement subtracted.
    """
    change = change - _light(change)
    x, y = _pooled(slopes.across * change), _pooled(slopes.down * change)
    xx, xy, yy = slopes.inverse
    moved = -np.stack([xx * x + xy * y, xy * x + yy * y], axis=-3)
    return moved - _of_head(moved, slopes.texture)


def _light(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns what is smooth in a change, at a quarter of the size: it has no detail to lose."""
    small = _SMOOTH @ change @ _SMOOTH.T
    return np.asarray(_ENLARGE @ small @ _ENLARGE.T)


def _blur(size: int, spread: float) -> NDArray[np.float32]:
    """Returns the matrix that blurs along a column of pixels."""
    kernel = cv2.getGaussianKernel(2 * round(4 * spread) + 1, spread)
    return np.asarray(cv2.sepFilter2D(np.eye(size, dtype=np.float32), -1, np.ones(1), kernel))


def _resize(size: int, to: int, how: int) -> NDArray[np.float32]:
    """Returns the matrix that resizes a column of pixels."""
    return np.asarray(cv2.resize(np.eye(size, dtype=np.float32), (size, to), interpolation=how))


# Products with small matrices: many pictures are one call.
_SMOOTH = _blur(SIDE // 4, _LOCAL / 4) @ _resize(SIDE, SIDE // 4, cv2.INTER_AREA)
_ENLARGE = _resize(SIDE // 4, SIDE, cv2.INTER_LINEAR)
_POOLING = _blur(CELLS, _SHARED) @ _resize(SIDE, CELLS, cv2.INTER_AREA)

_BASIS = np.stack([np.ones(CELLS**2), (CELL_X - 0.5).ravel(), (CELL_Y - 0.4).ravel()])
_PAIRS = (_BASIS[:, None] * _BASIS).reshape(9, -1)  # products of two, for the normal matrix
_RIDGE = 1e-3 * np.eye(3)


def _of_head(moved: Float, texture: Float) -> Float:
    """Fits an affine movement to the rigid cells, robustly; returns it for all cells."""
    flat = moved.reshape(-1, 2, CELLS**2)
    sure = (RIGID * texture).ravel()
    weights = np.broadcast_to(sure, (len(flat), CELLS**2))
    for _ in range(_ROUNDS):
        normal = (weights @ _PAIRS.T).reshape(-1, 3, 3) + _RIDGE
        target = (weights[:, None] * flat) @ _BASIS.T
        fitted = np.linalg.solve(normal, target.swapaxes(1, 2)).swapaxes(1, 2) @ _BASIS
        squared = ((flat - fitted) ** 2).sum(axis=1)
        weights = sure / (1 + squared / _OUTLIER**2)
    return fitted.reshape(moved.shape)


def energies(moved: Float, texture: Float) -> Float:
    """Returns the root mean square movement by region, and that of the rigid parts.

    Args:
        moved: [2, CELLS, CELLS], pixels.
        texture: [CELLS, CELLS], the weights.

    Returns:
        [R + 1], pixels; the last is of the rigid parts.
    """
    squared = (moved**2).sum(axis=0) * texture
    weights = (_POOL * texture).sum(axis=(1, 2))
    return np.asarray(np.sqrt((_POOL * squared).sum(axis=(1, 2)) / np.maximum(weights, _TINY)))


_POOL = np.concatenate([SHARES, (RIGID * (SHARES.sum(axis=0) < 0.3))[None]]) + 1e-6


def _pooled(pixels: NDArray[np.float32]) -> Float:
    """Averages pixels [..., SIDE, SIDE] by cell, and a little beyond it."""
    return np.asarray(_POOLING @ pixels @ _POOLING.T, np.float64)
