"""The One Euro filter: smooth while a signal rests, quick while it moves.

Reference: Casiez, Roussel and Vogel, 1 Euro filter: a simple speed-based low-pass filter for noisy
input in interactive systems, CHI 2012.
"""

import math

import numpy as np
from numpy.typing import NDArray

_SPEED_CUTOFF = 1.0  # Hz, of the filter of the speed; the paper's


class OneEuro:
    """Filters points that arrive frame by frame, at any times.

    Args:
        cutoff: of the low-pass filter while a point rests, in Hz.
        quicken: Hz that are added for each unit a second at which it moves.
    """

    def __init__(self, cutoff: float, quicken: float) -> None:
        self._cutoff, self._quicken = cutoff, quicken
        self._state: tuple[float, NDArray, NDArray, NDArray] | None = None

    def see(self, points: NDArray[np.complex128], seconds: float) -> NDArray[np.complex128]:
        """Takes the points [K] of the next frame, as complex numbers; returns them smoothed."""
        if self._state is None:
            self._state = seconds, points, points, np.zeros_like(points)
            return points
        before, last, smooth, speed = self._state
        step = seconds - before
        if step <= 0:  # two frames of one time say nothing of speeds
            return smooth
        speed = speed + share(_SPEED_CUTOFF, step) * ((points - last) / step - speed)
        moved = share(self._cutoff + self._quicken * np.abs(speed), step)
        smooth = smooth + moved * (points - smooth)
        self._state = seconds, points, smooth, speed
        return smooth


def share(cutoff: float | NDArray[np.float64], step: float) -> float | NDArray[np.float64]:
    """Returns how much a low-pass filter takes of a new value.

    Args:
        cutoff: its cut-off frequency in Hz.
        step: the time since the value before, in seconds.
    """
    turns = 2 * math.pi * cutoff * step
    return turns / (1 + turns)
