"""Similarity transforms of the plane: shifts, rotations and scalings, fitted to points.

Points are complex numbers, x + iy, so a similarity is z -> a z + b.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.complex128]


class Similarity(NamedTuple):
    """The map z -> a z + b."""

    a: complex
    """Its modulus scales, its argument rotates."""
    b: complex
    """The shift."""

    def __call__(self, points: Points) -> Points:
        """Maps points."""
        return self.a * points + self.b

    def after(self, other: "Similarity") -> "Similarity":
        """Returns the map that applies another one first."""
        return Similarity(self.a * other.a, self.a * other.b + self.b)

    def inverse(self) -> "Similarity":
        """Returns the map back."""
        return Similarity(1 / self.a, -self.b / self.a)

    def part(self, share: float, centre: complex) -> "Similarity":
        """Returns a share of the map, from 0 for none: of its logarithm, and of what it shifts.

        Args:
            share: 0..1.
            centre: the point whose shift counts.
        """
        a = self.a**share
        return Similarity(a, centre + share * (self.a * centre + self.b - centre) - a * centre)

    def matrix(self) -> NDArray[np.float64]:
        """Returns [2, 3], which maps columns (x, y, 1)."""
        a, b = self.a, self.b
        return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def to_complex(points: NDArray[np.floating]) -> Points:
    """Returns points [..., 2] as complex numbers [...]."""
    return points[..., 0] + 1j * points[..., 1]


def to_real(points: Points) -> NDArray[np.float64]:
    """Returns complex numbers [...] as points [..., 2]."""
    return np.stack([points.real, points.imag], axis=-1)


def fit(points: Points, onto: Points, weights: NDArray[np.float64] | None = None) -> Similarity:
    """Fits the similarity that brings points nearest to others, by (weighted) least squares.

    Args:
        points: [K], at least two different ones.
        onto: [K].
        weights: [K], positive; None for equal ones.
    """
    weights = np.ones(len(points)) if weights is None else weights
    middle, target = (np.average(each, weights=weights) for each in (points, onto))
    spread = points - middle
    a = (weights * spread.conj()) @ (onto - target) / (weights @ np.abs(spread) ** 2)
    return Similarity(complex(a), complex(target - a * middle))


def fit_most(points: Points, onto: Points, noise: float) -> tuple[Similarity, float]:
    """Fits likewise, but lets points that disagree with most others count little.

    Args:
        points: [K], at least three.
        onto: [K].
        noise: distance that says nothing about a point.

    Returns:
        The similarity, and the median distance that it leaves.
    """
    found = fit(points, onto)
    for _ in range(3):
        left = np.abs(found(points) - onto)
        usual = max(float(np.median(left)), noise)
        found = fit(points, onto, 1 / (1 + (left / (2 * usual)) ** 2))
    return found, float(np.median(np.abs(found(points) - onto)))
