"""Watches frames as they are read, for oddities that spoil the active image."""

from array import array

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips import faces
from originet.clips.apex import is_blank, thumbnail
from originet.clips.still import Image

# The frames on the two sides of a cut differ by more than this mean number of grey levels, by more
# than this multiple of the clip's median change, and are correlated less than this.
_CUT_LEVELS = 12.0
_CUT_TIMES = 4.0
_CUT_CORRELATION = 0.5

# An expression lasts 4 s at most, a micro-expression half a second.
_LONG_SECONDS = 60.0
_LONG_FRAMES = 12_000  # if times are unknown: a minute at the 200 frames/s of SAMM

_PEOPLE_SAMPLES = 8
_NAMED = 4  # frames that a warning names at most


class Watch:
    """Collects oddities of a clip's frames, for one line of warning each.

    Args:
        people: number of people in the picture, if known; None counts them.
    """

    def __init__(self, people: int | None = None) -> None:
        self._people = people
        self._samples: list[Image] = []
        self._step = 1
        self._count = 0
        self._seconds: tuple[float | None, float | None] = (None, None)
        self._last: NDArray[np.float32] | None = None
        self._changes = array("d")
        self._suspects: list[tuple[int, float]] = []
        self._blank: list[int] = []

    def see(self, number: int, pixels: Image, seconds: float | None) -> None:
        """Takes the next frame: its number, [H, W] or [H, W, 3] uint8, and its time in seconds."""
        self._sample(pixels)
        self._count += 1
        self._seconds = (self._seconds[0] if self._count > 1 else seconds, seconds)
        small = thumbnail(pixels)
        if is_blank(small):
            self._blank.append(number)
            return
        if self._last is not None:
            change = float(np.abs(small - self._last).mean())
            self._changes.append(change)
            if change > _CUT_LEVELS and _correlation(small, self._last) < _CUT_CORRELATION:
                self._suspects.append((number, change))
        self._last = small

    def _sample(self, pixels: Image) -> None:
        """Keeps a few evenly spaced frames, however many arrive."""
        if self._people is not None or self._count % self._step:
            return
        if len(self._samples) == _PEOPLE_SAMPLES:
            self._step *= 2
            del self._samples[1::2]
            if self._count % self._step:
                return
        self._samples.append(faces.for_counting(pixels))

    def warnings(self) -> list[str]:
        """Returns a line for each oddity; an empty list for an ordinary clip."""
        return [
            line
            for line in (self._of_length(), self._of_cuts(), self._of_blanks(), self._of_people())
            if line
        ]

    def _of_length(self) -> str:
        first, last = self._seconds
        if first is None or last is None:
            long, length = self._count > _LONG_FRAMES, f"has {self._count:,} frames"
        else:
            minutes, seconds = divmod(round(last - first), 60)
            long, length = last - first >= _LONG_SECONDS, f"lasts {minutes}:{seconds:02} minutes"
        if not long:
            return ""
        return f"{length}, but an active image sums up one expression: choose its frames"

    def _of_cuts(self) -> str:
        usual = float(np.median(self._changes)) if self._changes else 0.0
        cuts = [number for number, change in self._suspects if change > _CUT_TIMES * usual]
        if not cuts:
            return ""
        what = "a cut, at frame" if len(cuts) == 1 else f"{len(cuts)} cuts, at frames"
        return f"has {what} {_named(cuts)}: the active image mixes different scenes"

    def _of_blanks(self) -> str:
        if not self._blank:
            return ""
        what = "a blank frame" if len(self._blank) == 1 else f"{len(self._blank)} blank frames"
        verb = "counts" if len(self._blank) == 1 else "count"
        return f"has {what}, {_named(self._blank)}, which {verb} in the active image"

    def _of_people(self) -> str:
        people = faces.count_faces(self._samples) if self._people is None else self._people
        if people < 2:
            return ""
        return f"shows {people} faces: all are in the active image, --crop-face keeps the largest"


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(cv2.matchTemplate(first, second, cv2.TM_CCOEFF_NORMED)[0, 0])


def _named(numbers: list[int]) -> str:
    more = ", ..." if len(numbers) > _NAMED else ""
    return ", ".join(map(str, numbers[:_NAMED])) + more
