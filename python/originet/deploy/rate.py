"""Clips at another rate than a model's training clips.

How much an active image shows of a movement depends on how many frames it takes, for most methods:
"rank" weights each frame by its place, "absolute" adds up the noise of every frame. So a clip is
brought to the rate of the training clips before it is summed: for each moment of that rate, the
frame nearest in time. Frames are repeated or left out, never mixed.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SAME = 0.05
"""Rates that differ by no more than this share count as equal: 29.97 and 30 frames per second."""

_TIE = 1e-6  # seconds: moments as near to one frame as to the next, but for rounding, take the next

_LATE = 0.1  # of a step: so far after the last frame, which rounded times may put too early


def differ(one: float | None, other: float | None) -> bool:
    """Returns whether two rates are known and differ."""
    return one is not None and other is not None and abs(one - other) > SAME * other


def at_rate(frames: Iterable[tuple[T, float | None]], fps: float) -> Iterator[T]:
    """Picks frames at a rate.

    Args:
        frames: Frames with their times in seconds, ascending. If the first two have no times, every
            frame is taken.
        fps: The rate, in frames per second.

    Yields:
        For each k from 0, the frame nearest to k / fps seconds after the first, as long as that is
        not after the last.
    """
    ordered = iter(frames)
    first = next(ordered, None)
    if first is None:
        return
    held, start = first
    shown, before = 0, start
    for pixels, seconds in ordered:
        if start is None or before is None or seconds is None:
            yield held
        else:
            while start + shown / fps < (before + seconds) / 2 - _TIE:
                yield held
                shown += 1
        held, before = pixels, seconds
    if start is None or before is None:
        yield held
        return
    while start + (shown - _LATE) / fps <= before + _TIE:
        yield held
        shown += 1
