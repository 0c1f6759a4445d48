"""Textures that move in known ways, computed from a formula at every place: no resampling."""

import numpy as np

WAVES = np.random.default_rng(3).uniform((5, 0, 0), (16, 2 * np.pi, 2 * np.pi), (40, 3))


def texture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Grey levels, uint8, of a sum of waves of 5 to 16 pixels at places in pixels."""
    length, direction, phase = WAVES.T[:, :, None, None]
    along = x * np.cos(direction) + y * np.sin(direction)
    waves = np.cos(2 * np.pi * along / length + phase).sum(axis=0)
    return (127.5 + 9 * waves).round().clip(0, 255).astype(np.uint8)


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (x, y) of the pixels of a square, [side, side] each, from its middle."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return x, y


def moved(side: int, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A texture, the same moved by an affine map [2, 3] about the middle, and the true flow."""
    x, y = grid(side)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    back = [row[0] * x + row[1] * y + row[2] for row in inverse[:2]]
    there = [row[0] * x + row[1] * y + row[2] for row in matrix]
    return texture(x, y), texture(*back), np.stack([there[0] - x, there[1] - y], axis=-1)


def turn(degrees: float) -> np.ndarray:
    """The matrix [2, 3] of a rotation, counter-clockwise as one sees it."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0]])


def shift(right: float, down: float) -> np.ndarray:
    """The matrix [2, 3] of a shift in pixels."""
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
