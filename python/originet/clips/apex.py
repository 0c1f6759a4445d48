"""The apex of a clip, estimated: the frame least like the first among those that show its face."""

from array import array
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips import faces
from originet.clips.still import Image

# Below this standard deviation of its grey levels, averaged over blocks, a frame shows nothing.
_BLANK = 2.0

# A frame that differs from the first by more than this share of its contrast, and by more than so
# many times what a quarter of the frames stay below, shows something else. A steady drift reaches
# four times.
_GROSS_CONTRAST = 0.25
_GROSS_TIMES = 5.0

# One that shows no face, though the first does, differs at least so many times as much as others.
_FACELESS_TIMES = 2.0


def thumbnail(frame: Image) -> NDArray[np.float32]:
    """Shrinks a frame to 32 x 32 grey pixels, each the mean of a block."""
    small = cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else small
    return np.asarray(grey, np.float32)


def is_blank(small: NDArray[np.float32]) -> bool:
    """Tells whether a frame, shrunk by `thumbnail`, shows nothing, as a black one."""
    return float(small.std()) < _BLANK


class ApexFinder:
    """Estimates the apex of a clip whose frames come one after the other.

    The frame that differs most from the first is the apex of a clip that shows one face throughout.
    A black frame, a cut and a head that leaves the picture differ more. So frames are passed over
    that are blank, that no longer show the face of the first, or that differ from it grossly, and
    their neighbours as far as the difference rises towards them, while the head is leaving.
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
        """Takes the next frame, [H, W] or [H, W, 3] uint8; returns how it differs from the first.

        That is the mean absolute difference, and -1 for a blank frame.
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
        """Tells whether a frame shows the face near where the first does; as it may move, track."""
        if self._home is None:
            return True
        found = faces.find_face(frame, self._last)
        if found is None or not _near(found, self._home):
            return False
        self._last = found
        return True

    def apex(self) -> int:
        """Returns the index of the apex; where no frame but blank ones came, of the first."""
        differences = np.array(self._differences)
        blank = np.array(self._blank, bool)
        candidates = ~self._passed_over(differences, blank)
        if not (differences[candidates] > 0).any():  # then they say nothing: only blanks are out
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
    """Tells whether two boxes may be one head, which moved a little."""
    moved = max(
        abs(box.x + box.size / 2 - home.x - home.size / 2),
        abs(box.y + box.size / 2 - home.y - home.size / 2),
    )
    return moved < home.size / 2 and 0.5 < box.size / home.size < 2


def _with_slopes(
    out: NDArray[np.bool_], blank: NDArray[np.bool_], differences: NDArray[np.float64], foot: float
) -> NDArray[np.bool_]:
    """Widens runs of frames over the slopes beside them, down to their foot.

    Blank ones come and go from one frame to the next, or fade: there only what is above the foot.
    """
    wide = out | blank
    for step in (1, -1):
        places = range(len(out))[::step]
        for before, place in pairwise(places):
            falls = differences[place] < differences[before] and not blank[before]
            if wide[before] and differences[before] > foot:
                wide[place] |= falls or differences[place] > foot
    return wide
