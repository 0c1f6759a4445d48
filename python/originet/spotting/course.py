"""Tells a brief movement from whatever else the face does, by the course that it takes.

A micro-movement rises, falls, and leaves the face as it was, all within half a second. What a face
does besides (it speaks, it smiles, it turns) is as large and often as fast, but over a second or so
it either drifts or goes on. So the course of a movement around its peak is explained twice: by a
drift alone, and by a drift with one bump of a micro-movement's length. The share of what the drift
leaves over that the bump explains says how much of the movement is brief. It needs no threshold in
pixels, and no other region's movement enters into it. If a step explains more than any bump does,
the face has not gone back.

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
        spans, bumps = [], []
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
                    up, down = (frames - apex + rise) / rise, (apex + fall - frames) / fall
                    bump = 0.5 - 0.5 * np.cos(np.pi * np.clip(np.minimum(up, down), 0, 1))
                    left = bump - self._drift @ (self._drift.T @ bump)
                    if np.linalg.norm(left) > _LEFT * np.linalg.norm(bump):
                        spans.append((apex - rise, apex, apex + fall))
                        bumps.append(left / np.linalg.norm(left))
        # Steps as fast as a movement rises, at any time.
        middles = np.arange(-reach, reach + 1, step)[:, None, None]
        rises = np.array(slopes)[None, :, None]
        shapes = 0.5 - 0.5 * np.cos(np.pi * np.clip((frames - middles) / rises + 0.5, 0, 1))
        steps = shapes.reshape(-1, len(frames)) @ (
            np.eye(len(frames)) - self._drift @ self._drift.T
        )
        self._steps = steps / np.linalg.norm(steps, axis=1, keepdims=True)
        self._spans = spans
        self._bumps = np.array(bumps).reshape(len(bumps), len(frames))

    def fit(self, profile: Float, noise: float = 0.0) -> Course | None:
        """Finds the brief movement that explains most of a course.

        Args:
            profile: [2 * around + 1], how far a movement has gone, in any unit.
            noise: Squares, in that unit, that are to be explained besides those of the profile.

        Returns:
            The movement; None if nothing in the course rises and falls, or it rather stays there.
        """
        if not self._spans:
            return None
        left = profile - self._drift @ (self._drift.T @ profile)
        heights = self._bumps @ left
        best = int(np.argmax(heights))
        if heights[best] <= np.abs(self._steps @ left).max():
            return None
        share = float(heights[best] ** 2 / (left @ left + noise))
        return Course(*self._spans[best], share, self._bumps[best])
