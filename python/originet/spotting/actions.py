"""How far the actions of a face have gone in a movement, measured against what is usual for it.

A micro-movement is the work of a few muscles, so it moves the face in one of a few ways: the action
units of Ekman and Friesen's Facial Action Coding System, alone, on one side, or those together that
an emotion combines. Each is a field of displacements. What the face in a video would show of it
depends on its texture, so the field is sent through the same measurement as the video is. The
result is a matched filter: cells count by how much of the action they show, and less the more they
move anyway. So a mouth that talks does not hide a brow, and a brow that rises is not lost among
cells that only tremble.

Opening and closing the jaw is no action here, as speech does it all the time.

References: Ekman, Friesen and Hager, Facial Action Coding System, 2002; Turin, An introduction to
matched filters, IRE Transactions on Information Theory 6, 1960.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet.clips.displacement import displacement
from originet.clips.tracking import EYES
from originet.spotting.movement import Float, Slopes, movement
from originet.spotting.regions import CELLS, REGIONS, SHARES, SIDE


class _Pull(NamedTuple):
    """A bump of displacement in the unit square of an aligned face; y points down."""

    x: float
    y: float
    radius: float
    right: float
    down: float

    @property
    def mirrored(self) -> "_Pull":
        return self._replace(x=1 - self.x, right=-self.right)

    def times(self, factor: float) -> "_Pull":
        return self._replace(right=factor * self.right, down=factor * self.down)


def _both(*pulls: _Pull) -> list[_Pull]:
    return [*pulls, *(pull.mirrored for pull in pulls)]


_EYE, _EYES_DOWN = EYES[0]
# Those of the left half of the picture; the face is symmetric.
_BROW = _Pull(_EYE, 0.24, 0.08, 0, -1)
_INNER_BROW = _Pull(0.43, 0.24, 0.06, 0, -1)
_OUTER_BROW = _Pull(0.24, 0.24, 0.065, 0, -1)
_FROWN = _Pull(0.40, 0.26, 0.07, 0.7, 0.7)
_LID = _Pull(_EYE, _EYES_DOWN - 0.02, 0.045, 0, -1)
_CHEEK = _Pull(0.30, 0.54, 0.085, 0, -1)
_NOSE = _Pull(0.44, 0.54, 0.055, 0, -1)
_LIP = _Pull(0.42, 0.67, 0.06, 0, -1)
_CORNER_UP = _Pull(0.36, 0.735, 0.07, -0.5, -0.85)
_CORNER_ASIDE = _Pull(0.36, 0.745, 0.07, -1, 0)
_CORNER_DOWN = _Pull(0.36, 0.76, 0.07, 0, 1)
_LIPS_PRESSED = [_Pull(0.5, 0.695, 0.075, 0, 1), _Pull(0.5, 0.79, 0.075, 0, -1)]
_CHIN = _Pull(0.5, 0.88, 0.08, 0, -1)
_JAW = _Pull(0.5, 0.82, 0.09, 0, 1)

# The signs do not matter: a filter finds the opposite movement as well.
_ACTIONS: dict[str, list[_Pull]] = {
    "AU1": _both(_INNER_BROW),
    "AU2": _both(_OUTER_BROW),
    "AU2, left": [_OUTER_BROW],
    "AU2, right": [_OUTER_BROW.mirrored],
    "AU1+2": _both(_BROW),
    "AU1+2, left": [_BROW],
    "AU1+2, right": [_BROW.mirrored],
    "AU1+2+5": _both(_BROW, _LID.times(0.6)),
    "AU1+2+5+26": [*_both(_BROW, _LID.times(0.6)), _JAW.times(0.5)],
    "AU4": _both(_FROWN),
    "AU4+9": _both(_FROWN, _NOSE.times(0.8)),
    "AU6": _both(_CHEEK),
    "AU6+12": _both(_CORNER_UP, _CHEEK.times(0.5)),
    "AU9": _both(_NOSE),
    "AU10": _both(_LIP),
    "AU12": _both(_CORNER_UP),
    "AU12, left": [_CORNER_UP],
    "AU12, right": [_CORNER_UP.mirrored],
    "AU14": _both(_CORNER_ASIDE),
    "AU14, left": [_CORNER_ASIDE],
    "AU14, right": [_CORNER_ASIDE.mirrored],
    "AU15": _both(_CORNER_DOWN),
    "AU15, left": [_CORNER_DOWN],
    "AU15, right": [_CORNER_DOWN.mirrored],
    "AU17": [_CHIN],
    "AU24": _LIPS_PRESSED,
}
_UPPER_LID = _Pull(_EYE, _EYES_DOWN - 0.01, 0.05, 0, 1)
_LOWER_LID = _Pull(_EYE, _EYES_DOWN + 0.035, 0.05, 0, -0.6)
_BLINKS = {
    "AU45": _both(_UPPER_LID),
    "AU45+7": _both(_UPPER_LID, _LOWER_LID),
}

NAMES = (*_ACTIONS, *_BLINKS)
"""Of the filters, in their order."""
ACTIONS = slice(len(_ACTIONS))
"""Which of them are actions."""
BLINKS = slice(len(_ACTIONS), len(NAMES))
"""Which of them are blinks."""

_SEEN = (SHARES.sum(axis=0) > 0.15).ravel()  # elsewhere are hair, neck and background
_TINY = 1e-9  # of the power of a filter on a plain picture, which shows no action
_REACH = 0.4  # of its strongest region's movement: what moves less is no part of an action
_RENEWED = 0.4  # seconds between two computations
_RECENT = 0.3  # seconds: what is as recent may be part of the movement to be found
_RATE = 30.0  # per second: more samples are not kept, as they would tell no more


def _field(pulls: list[_Pull]) -> NDArray[np.float32]:
    rows, columns = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    field = displacement(pulls, columns, rows)
    return np.asarray(field / np.linalg.norm(field, axis=0).max(), np.float32)


_FIELDS = np.stack([_field(pulls) for pulls in (_ACTIONS | _BLINKS).values()])


def _regions(field: NDArray[np.float32]) -> tuple[int, ...]:
    cell = SIDE // CELLS
    squared = (field**2).sum(axis=0).reshape(CELLS, cell, CELLS, cell).mean(axis=(1, 3))
    moved = np.sqrt((SHARES * squared).sum(axis=(1, 2)) / SHARES.sum(axis=(1, 2)))
    order = sorted(range(len(REGIONS)), key=lambda region: -moved[region])
    return tuple(region for region in order if moved[region] >= _REACH * moved.max())


REGIONS_OF = tuple(_regions(field) for field in _FIELDS)
"""The regions that each action moves, strongest first, as indices."""


class Filters(NamedTuple):
    """The filters of all actions and blinks, for one face at one time."""

    weights: Float
    """[A, 2 * CELLS**2]: their products with a movement are amplitudes, but for `power`."""
    power: Float
    """[A]: the product of an action of one pixel with its own filter."""

    def products(self, moved: Float) -> Float:
        """Returns the filters' products with movements.

        Args:
            moved: [..., 2, CELLS, CELLS], pixels.

        Returns:
            [..., A], signed.
        """
        return np.asarray(moved.reshape(*moved.shape[:-3], -1) @ self.weights.T)


class Usual:
    """What the parts of a face usually do, and filters that find what they do besides.

    Args:
        seconds: How far back the usual movement is taken from.
        ground: The least usual movement of a cell, in pixels.
    """

    def __init__(self, seconds: float, ground: float) -> None:
        self._seconds, self._ground = seconds, ground
        self._rows: list[tuple[float, Float]] = []
        self._filters: Filters | None = None
        self._renewed = -np.inf

    def filters(
        self, seconds: float, moved: Float, face: NDArray[np.float32], slopes: Slopes
    ) -> Filters:
        """Takes the next movement, and returns filters that know all before it.

        Args:
            seconds: Its time, ascending.
            moved: [2, CELLS, CELLS], pixels.
            face: [SIDE, SIDE] grey levels.
            slopes: Of the face.
        """
        if self._filters is None or seconds - self._renewed >= _RENEWED:
            self._filters, self._renewed = self._made(seconds, face, slopes), seconds
        if not self._rows or seconds - self._rows[-1][0] >= 0.9 / _RATE:
            self._rows.append((seconds, moved.ravel()))
        return self._filters

    def _made(self, seconds: float, face: NDArray[np.float32], slopes: Slopes) -> Filters:
        self._rows = [row for row in self._rows if seconds - row[0] <= self._seconds]
        squared = [row**2 for when, row in self._rows if seconds - when >= _RECENT]
        down, across = np.gradient(face)
        changes = -(across * _FIELDS[:, 0] + down * _FIELDS[:, 1])
        shown = (movement(changes, slopes).reshape(-1, 2, CELLS**2) * _SEEN).reshape(len(NAMES), -1)
        usual = np.mean(squared, axis=0) if squared else 0.0
        weights = shown / (usual + self._ground**2)
        return Filters(weights, (weights * shown).sum(axis=1) + _TINY)
