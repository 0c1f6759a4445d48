"""Estimates a clip's apex: of the frames that show the same face, the one least like the first."""

from array import array
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips import faces
from originet.clips.still import Image

# A frame is blank if the grey levels, averaged over blocks, have a standard deviation below this.
_BLANK = 2.0

# A frame shows something else if it differs from the first by more than this share of the first
# frame's contrast, and by more than this multiple of the lower quartile of the differences. A
# steady drift reaches a multiple of four.
_GROSS_CONTRAST = 0.25
_GROSS_TIMES = 5.0

# A frame without the face of the first differs by at least this multiple of the others' median.
_FACELESS_TIMES = 2.0


def thumbnail(frame: Image) -> NDArray[np.float32]:
    """Shrinks a frame to 32 x 32 grey pixels, each the mean of a block."""
    small = cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else small
    return np.asarray(grey, np.float32)


def is_blank(small: NDArray[np.float32]) -> bool:
    """Returns whether a frame, shrunk by `thumbnail`, shows nothing, like a black frame."""
    return float(small.std()) < _BLANK


class ApexFinder:
    """Estimates the apex of a clip whose frames arrive one by one.

    If a clip shows one face throughout, its apex is the frame that differs most from the first. But
    a black frame, a cut or a head that leaves the picture differs more. So three kinds of frames
    are excluded: blank ones, ones that no longer show the first frame's face, and ones that differ
    grossly. Their neighbours are excluded too, as far as the difference rises towards them, since
    there the head is already leaving.
    """

    def __init__(self) -> None:
        self._first: Image | None = None
        self._contrast = 0.0
        self._differences = array("d")
        self._blank = array("b")
        self._seen = array("b")
        self._home: faces.Box | None = None
        self._last: faces.Box | None = None

    def see(self, frame: Image) -> float:
        """Takes the next frame and returns its difference from the first.

        Args:
            frame: [H, W] or [H, W, 3] uint8.

        Returns:
            The mean absolute difference; -1 for a blank frame.
        """
        blank = is_blank(thumbnail(frame))
        if self._first is None and not blank:
            self._first = frame
            self._contrast = float(frame.std())
            self._home = self._last = faces.find_face(frame)
        difference = 0.0
        if self._first is not None:
            difference = cv2.norm(frame, self._first, cv2.NORM_L1) / frame.size
        self._differences.append(difference)
        self._blank.append(blank)
        self._seen.append(not blank and self._shows_face(frame))
        return -1.0 if blank else difference

    def _shows_face(self, frame: Image) -> bool:
        """Returns whether a frame shows the face near its first place; tracks it as it moves."""
        if self._home is None:
            return True
        found = faces.find_face(frame, self._last)
        if found is None or not _near(found, self._home):
            return False
        self._last = found
        return True

    def apex(self) -> int:
        """Returns the index of the apex; 0 if all frames are blank."""
        differences = np.array(self._differences)
        blank = np.array(self._blank, bool)
        candidates = ~self._passed_over(differences, blank)
        if not (differences[candidates] > 0).any():  # nothing to choose by: exclude only blanks
            candidates = ~blank
        return int(np.where(candidates, differences, -1.0).argmax())

    def _passed_over(
        self, differences: NDArray[np.float64], blank: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        seen = np.array(self._seen, bool)
        if not seen.any():
            return blank
        quarter, middle = np.quantile(differences[~blank], 0.25), np.median(differences[seen])
        gross = np.maximum(_GROSS_CONTRAST * self._contrast, _GROSS_TIMES * quarter)
        out = (differences > gross) | (~seen & (differences > _FACELESS_TIMES * middle))
        ordinary = differences[~(out | blank)]
        foot = _FACELESS_TIMES * float(np.median(ordinary)) if ordinary.size else 0.0
        return _with_slopes(out, blank, differences, foot)


def _near(box: faces.Box, home: faces.Box) -> bool:
    """Returns whether two boxes may be one head that moved a little."""
    moved = max(
        abs(box.x + box.size / 2 - home.x - home.size / 2),
        abs(box.y + box.size / 2 - home.y - home.size / 2),
    )
    return moved < home.size / 2 and 0.5 < box.size / home.size < 2


def _with_slopes(
    out: NDArray[np.bool_], blank: NDArray[np.bool_], differences: NDArray[np.float64], foot: float
) -> NDArray[np.bool_]:
    """Extends runs of excluded frames over the slopes beside them, down to their foot.

    Blank frames appear and vanish at once, or fade. Beside them, only frames above the foot are
    excluded.
    """
    wide = out | blank
    for step in (1, -1):
        places = range(len(out))[::step]
        for before, place in pairwise(places):
            falls = differences[place] < differences[before] and not blank[before]
            if wide[before] and differences[before] > foot:
                wide[place] |= falls or differences[place] > foot
    return wide
