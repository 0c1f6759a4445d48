"""Tells a brief movement from whatever else the face does, by the course that it takes.

A micro-movement rises, falls, and leaves the face as it was, all within half a second. What a face
does besides (it speaks, it smiles, it turns) is as large and often as fast, but over a second or so
it either drifts or goes on. So the course of a movement around its peak is explained twice: by a
drift alone, and by a drift with one bump of a micro-movement's length. The share of what the drift
leaves over that the bump explains says how much of the movement is brief. It needs no threshold in
pixels, and no other region's movement enters into it. If a step or a longer movement explains more
than any bump does, it is none.

The lengths of the rise are from Yan, Wu, Liang, Chen and Fu, "How fast are the leaked facial
expressions: the duration of micro-expressions", Journal of Nonverbal Behavior 37, 2013; the fall is
taken to be alike.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet.spotting.settings import Settings

Float = NDArray[np.float64]

_AROUND = 0.4  # seconds on either side of the peak
_RISE = (0.065, 0.3)  # seconds, also of the fall
_LASTING = (0.5, 0.7, 1.0)  # seconds of the rises and falls of what is no micro-movement
_OUTSIDE = 2  # frames at each end of the course that the bump leaves free: they hold the drift
_DRIFT = 3  # coefficients: the drift is a parabola
_RATE = 30.0  # places per second: bumps are not tried more densely than this
_LEFT = 0.35  # of a bump's length that a drift must not explain


class Course(NamedTuple):
    """A brief movement, its frames counted from the middle of what was looked at."""

    onset: int
    apex: int
    offset: int
    share: float
    """Of what a drift does not explain, how much the movement does: 0..1."""
    bump: Float
    """[T], what a drift leaves of the movement's course, with norm 1."""


class Courses:
    """The courses that a micro-movement may take.

    Args:
        settings: How long it lasts, and how far its apex may be from the peak of its energy.
        fps: Frames per second.
    """

    def __init__(self, settings: Settings, fps: float) -> None:
        self.around = round(_AROUND * fps)
        """Frames on either side of a peak that are looked at."""
        frames = np.arange(-self.around, self.around + 1)
        drift = np.stack([(frames / max(self.around, 1)) ** power for power in range(_DRIFT)])
        self._drift = np.linalg.qr(drift.T)[0]
        self._spans: list[tuple[int, int, int]] = []
        bumps: list[Float] = []
        step = max(1, round(fps / _RATE))
        aside = round(settings.guard * fps) // step * step
        slopes = range(max(1, round(_RISE[0] * fps)), round(_RISE[1] * fps) + 1, step)
        reach = self.around - _OUTSIDE
        for apex in range(-aside, aside + 1, step):
            for rise in slopes:
                for fall in slopes:
                    seconds = (rise + fall) / fps
                    inside = apex - rise >= -reach and apex + fall <= reach
                    if not (inside and settings.shortest <= seconds <= settings.micro + 1e-6):
                        continue
                    bump = _eased((frames - apex + rise) / rise, (apex + fall - frames) / fall)
                    left = self._without_drift(bump)
                    if np.linalg.norm(left) > _LEFT * np.linalg.norm(bump):
                        self._spans.append((apex - rise, apex, apex + fall))
                        bumps.append(left)
        self._bumps = _of_norm_1(bumps, len(frames))
        others = [
            _eased((frames - middle) / rise + 0.5)
            for middle in range(-reach, reach + 1, step)
            for rise in slopes
        ] + [
            _eased((frames - apex) / (rise * fps) + 1, (apex - frames) / (fall * fps) + 1)
            for apex in range(-reach, reach + 1, step)
            for rise in _LASTING
            for fall in _LASTING
        ]
        self._others = _of_norm_1([self._without_drift(each) for each in others], len(frames))

    def _without_drift(self, course: Float) -> Float:
        return np.asarray(course - self._drift @ (self._drift.T @ course))

    def fit(self, profile: Float, noise: float = 0.0) -> Course | None:
        """Finds the brief movement that explains most of a course.

        Args:
            profile: [2 * around + 1], how far a movement has gone, in any unit.
            noise: Squares, in that unit, that are to be explained besides those of the profile.

        Returns:
            The movement; None if nothing in the course rises and falls, or it takes longer.
        """
        if not self._spans:
            return None
        left = self._without_drift(profile)
        heights = self._bumps @ left
        best = int(np.argmax(heights))
        if heights[best] <= np.abs(self._others @ left).max():
            return None
        share = float(heights[best] ** 2 / (left @ left + noise))
        return Course(*self._spans[best], share, self._bumps[best])


def _eased(*times: Float) -> Float:
    """Returns smooth rises from 0 to 1 while the least of all times does."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(np.minimum.reduce(times), 0, 1)))


def _of_norm_1(rows: list[Float], length: int) -> Float:
    """Returns those rows that are not 0, scaled."""
    kept = [row / norm for row in rows if (norm := np.linalg.norm(row)) > 1e-6]
    return np.array(kept).reshape(len(kept), length)
