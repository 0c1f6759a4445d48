"""From a movement's rise and fall to its onset, apex and offset, and to what it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet.spotting.regions import LIDS

Float = NDArray[np.float64]

# Shares of a movement's height.
_FOOT = 0.1  # below it, the face is at rest
_FALLEN = 0.6  # a movement that has not lost so much has not ended
_ANEW = 0.35  # a rise by so much is another movement
_SETTLED = 0.04  # by which a movement at rest may still fall from frame to frame

_BLINK_SECONDS = 0.6
_BLINK_TIMES = 1.5  # both lids move that much more than anything else
_TURN_SHARE = 0.8  # the rigid parts' energy, of that of the strongest region
_TURN_PIXELS = 8.0  # of the head, in a 128-pixel face

Kind = Literal["micro", "macro"]


@dataclass(frozen=True)
class Interval:
    """A movement of a face."""

    face: int
    onset: int
    """Number of its first frame, from 1, as are the others."""
    apex: int
    offset: int
    """Number of its last frame, inclusive."""
    onset_seconds: float
    apex_seconds: float
    offset_seconds: float
    kind: Kind
    regions: tuple[str, ...]
    """Where it is, strongest first; of `originet.spotting.regions.REGIONS`."""
    score: float
    """How far it stands out of what is usual, in that one's spread: a micro-movement by its action
    (`originet.spotting.actions`), others by the energy of their strongest region."""
    energy: float
    """Root mean square movement of its strongest region, in pixels of a 128-pixel face."""
    note: str = ""
    """"blink" or "head turn": what it is instead of an expression; else empty."""
    label: str = ""
    """A model's answer, if there is a model."""
    confidence: float | None = None


class Span(NamedTuple):
    """The first, the strongest and the last frame of a movement, as indices."""

    onset: int
    apex: int
    offset: int


def span(profile: Float, peak: int) -> Span | None:
    """Finds a movement in its course.

    Args:
        profile: [T], how far the movement has gone, in any unit; it need not begin or end at 0.
        peak: Index of a frame near its apex.

    Returns:
        Its span; None if it does not rise before the peak, or has not fallen after it.
    """
    left, right = _valley(profile[peak::-1]), _valley(profile[peak:])
    first, last = peak - left, peak + right
    rise, fall = profile[peak] - profile[first], profile[peak] - profile[last]
    height = max(rise, fall)
    if height <= 0 or min(rise, fall) < _FALLEN * height:
        return None
    if last == len(profile) - 1 and last > first:
        step = profile[last - 1] - profile[last]
        if step > _SETTLED * height:  # still falling
            return None
    ground = np.interp(np.arange(first, last + 1), [first, last], profile[[first, last]])
    above = profile[first : last + 1] - ground
    apex = int(np.argmax(above))
    low = np.flatnonzero(above <= _FOOT * above[apex])
    before, after = low[low < apex], low[low > apex]
    if not len(before) or not len(after):
        return None
    return Span(first + int(before[-1]), first + apex, first + int(after[0]))


def _valley(course: Float) -> int:
    """Returns the index of the lowest value before the course rises anew."""
    lowest, anew = 0, _ANEW * (course.max() - course.min())
    for index, value in enumerate(course):
        if value < course[lowest]:
            lowest = index
        elif value - course[lowest] > anew and course[lowest] < course[0]:
            break
    return lowest


def note(energies: Float, seconds: float, head: float) -> str:
    """Says what a movement is, if it is no expression.

    Args:
        energies: [R + 1] at its apex, the last of the rigid parts.
        seconds: How long it lasts.
        head: How far the head moved meanwhile, in pixels of a 128-pixel face.
    """
    *regions, rigid = energies
    lids = [regions[index] for index in LIDS]
    others = [value for index, value in enumerate(regions) if index not in LIDS]
    if seconds <= _BLINK_SECONDS and min(lids) > _BLINK_TIMES * max(others):
        return "blink"
    if rigid > _TURN_SHARE * max(regions) or head > _TURN_PIXELS:
        return "head turn"
    return ""


def strongest(excess: Float, part: Sequence[int], least: float) -> tuple[int, ...]:
    """Chooses the regions in which a movement is.

    Args:
        excess: [R] or more, in spreads above the baseline.
        part: The regions to choose from, as indices.
        least: The threshold, in spreads.

    Returns:
        Indices, the strongest region first.
    """
    most = max(excess[index] for index in part)
    least = max(least, 0.4 * most)
    return tuple(sorted((i for i in part if excess[i] >= least), key=lambda i: -excess[i]))
