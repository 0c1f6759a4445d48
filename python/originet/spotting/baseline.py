"""What is usual: the median and the spread of the last seconds, without what stands out of them."""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

_RATE = 30.0  # per second: more samples are not kept, as they would tell no more
_RENEWED = 0.2  # seconds between two computations
_SPREAD = 1.4826  # of the median absolute deviation, to estimate a standard deviation


class Baseline:
    """A running median and spread, which know nothing of the future.

    Args:
        seconds: How far back they reach.
        ground: The least spread.
    """

    def __init__(self, seconds: float, ground: float) -> None:
        self._seconds, self._ground = seconds, ground
        self._rows: list[tuple[float, Float]] = []
        self._middle: Float | None = None
        self._spread: Float | None = None
        self._renewed = -np.inf

    def excess(self, seconds: float, values: Float) -> Float:
        """Takes the next values, and says how far they stand out.

        Args:
            seconds: Their time, ascending.
            values: [N].

        Returns:
            [N], in spreads above the median.
        """
        if not self._rows or seconds - self._rows[-1][0] >= 0.9 / _RATE:
            self._rows.append((seconds, values))
        if self._middle is None or seconds - self._renewed >= _RENEWED:
            self._rows = [row for row in self._rows if seconds - row[0] <= self._seconds]
            kept = np.array([row for _, row in self._rows])
            self._middle = np.median(kept, axis=0)
            self._spread = _SPREAD * np.median(np.abs(kept - self._middle), axis=0)
            self._renewed = seconds
        assert self._spread is not None
        return np.asarray((values - self._middle) / (self._spread + self._ground))
