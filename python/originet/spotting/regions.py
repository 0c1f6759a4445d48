"""Regions of an aligned face, and the grid of cells on which movement is measured."""

import numpy as np
from numpy.typing import NDArray

from originet.clips.registration import rigidity

SIDE = 128
"""Pixels of the aligned face: the unit of all movements."""
CELLS = 16
"""Cells along each side of the grid."""

# Left and right as in the picture. Each box: left, top, right, bottom, in the face's unit square.
_BOXES = {
    "brow_left": (0.14, 0.15, 0.47, 0.30),
    "brow_right": (0.53, 0.15, 0.86, 0.30),
    "lid_left": (0.19, 0.30, 0.45, 0.42),
    "lid_right": (0.55, 0.30, 0.81, 0.42),
    "nose": (0.36, 0.44, 0.64, 0.63),
    "mouth_left": (0.22, 0.64, 0.50, 0.84),
    "mouth_right": (0.50, 0.64, 0.78, 0.84),
    "chin": (0.34, 0.84, 0.66, 0.98),
}
REGIONS = tuple(_BOXES)
PARTS = (
    tuple(index for index, name in enumerate(REGIONS) if name.startswith(("brow", "lid"))),
    (REGIONS.index("nose"),),
    tuple(index for index, name in enumerate(REGIONS) if name.startswith(("mouth", "chin"))),
)
"""Regions that move together, as indices: a mouth that talks must not hide a brow."""
LIDS = (REGIONS.index("lid_left"), REGIONS.index("lid_right"))


def _shares() -> NDArray[np.float64]:
    edges = np.arange(CELLS + 1) / CELLS

    def covered(low: float, high: float) -> NDArray[np.float64]:
        inside = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        return np.asarray(np.clip(inside, 0, None) * CELLS)

    return np.array(
        [
            np.outer(covered(top, bottom), covered(left, right))
            for left, top, right, bottom in _BOXES.values()
        ]
    )


def _cell_middles() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    middle = (np.arange(CELLS) + 0.5) / CELLS
    x, y = np.meshgrid(middle, middle)
    return x, y


SHARES = _shares()
"""[R, CELLS, CELLS]: how much of each cell belongs to each region, 0..1."""
CELL_X, CELL_Y = _cell_middles()
"""[CELLS, CELLS]: middles of the cells in the unit square."""
RIGID = np.asarray(rigidity(CELL_X, CELL_Y), np.float64)
"""[CELLS, CELLS]: how rigid the face is there, 0..1."""
