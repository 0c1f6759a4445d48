"""Fields of displacement made of bumps, as the muscles of a face move it."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def displacement(
    bumps: Iterable[Sequence[float]], x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Returns displacements [2, ...] (x, y) at points, in the unit of the bumps.

    Args:
        bumps: Each: x and y of its middle, radius (a standard deviation), and the displacement
            (x, y) in its middle.
        x: [...], where the points are.
        y: [...]
    """
    field = np.zeros((2, *x.shape))
    for at_x, at_y, radius, right, down in bumps:
        bump = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * radius**2))
        field += bump * np.array([right, down])[:, None, None]
    return field
