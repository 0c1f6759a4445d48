"""Follows faces by Viola and Jones' detector and by registration in between.

The detector searches a small copy of the frame now and then. In between, and more precisely than it
could, each face is registered to a picture of itself (`originet.clips.registration`), which takes
out shifts, turns and scales of the head. The two agree on where a face is, and the detector alone
says that there is one.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.faces import Box, detect_faces, two_eyes
from originet.clips.registration import Reference, scaled, shrunk
from originet.clips.still import Image
from originet.clips.tracking import EYES, TrackedFace

# Where the eyes are in a box of the detector, if they are not found: shares of its size.
_USUAL_EYES = ((0.31, 0.39), (0.69, 0.39))


@dataclass(frozen=True)
class Pace:
    """Times of the tracker, in seconds."""

    search: float = 0.5
    """Between two searches while all faces are followed."""
    hurried: float = 0.1
    """The same while a face was just found or lost: a face counts once it was found twice."""
    unseen: float = 3.0
    """A face is lost when the detector has not confirmed it for so long."""
    blurred: float = 0.3
    """A face is lost when it has not looked like itself for so long."""
    memory: float = 2.0
    """Over which the picture of a face follows it."""


_ALIKE = 0.6  # correlation with its own picture, below which a face is not itself
_FACE_SIDE = 110.0  # pixels of a face's unit square, to which larger ones are shrunk
_SEARCH_SIDE = 180  # pixels of the shorter side of the frame that is searched
_MOST = 8  # faces followed at a time


@dataclass
class _Followed:
    """A face and its history."""

    identity: int
    reference: Reference
    warp: NDArray[np.float64]
    likeness: float
    confirmed: float
    itself: float


@dataclass
class _Lost:
    identity: int
    box: Box


class CascadeTracker:
    """A `originet.clips.tracking.FaceTracker` that needs no model but OpenCV's cascades.

    Args:
        pace: When it searches, and when it gives up.

    Raises:
        FileNotFoundError: If this OpenCV has no cascade; from `follow`.
    """

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._faces: list[_Followed] = []
        self._lost: list[_Lost] = []
        self._pending: list[Box] = []
        self._next = 0
        self._search_at = -np.inf

    def follow(self, frame: Image, seconds: float) -> list[TrackedFace]:
        """Finds the faces of the next frame; see `originet.clips.tracking.FaceTracker`."""
        grey = frame
        if frame.ndim == 3:
            grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        for face in self._faces:
            self._register(face, grey, seconds)
        if seconds >= self._search_at:
            self._search(grey, seconds)
        self._drop(seconds)
        found = [
            TrackedFace(face.identity, max(face.likeness, 0.0), _box(face.warp), face.warp)
            for face in self._faces
            if face.likeness >= _ALIKE
        ]
        return sorted(found, key=lambda each: each.identity)

    def _register(self, face: _Followed, grey: Image, seconds: float) -> None:
        small, warp, scale = shrunk(grey, face.warp, _FACE_SIDE)
        fit = face.reference.fit(small, warp)
        face.likeness = fit.likeness
        if fit.likeness >= _ALIKE:
            step = seconds - face.itself
            face.warp, face.itself = scaled(fit.warp, 1 / scale), seconds
            face.reference.follow(fit.face, min(max(step, 0.0) / self._pace.memory, 0.5))

    def _search(self, grey: Image, seconds: float) -> None:
        scale = max(1.0, min(grey.shape) / _SEARCH_SIDE)
        small = cv2.resize(grey, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
        found = detect_faces(np.asarray(small, np.uint8))
        boxes = [Box(*(round(scale * side) for side in box)) for box in found]
        new = []
        for box in boxes:
            known = [face for face in self._faces if same_place(_box(face.warp), box)]
            for face in known:
                face.confirmed = seconds
            if known:
                continue
            if any(same_place(before, box) for before in self._pending):
                self._begin(grey, box, seconds)
            else:
                new.append(box)
        self._pending = new
        hurried = bool(new) or not self._faces
        self._search_at = seconds + (self._pace.hurried if hurried else self._pace.search)

    def _begin(self, grey: Image, box: Box, seconds: float) -> None:
        if len(self._faces) >= _MOST:
            return
        warp = _first_warp(grey, box)
        found = [lost for lost in self._lost if same_place(lost.box, box)]
        if found:
            identity = found[-1].identity
            self._lost.remove(found[-1])
        else:
            identity, self._next = self._next, self._next + 1
        reference = Reference(*shrunk(grey, warp, _FACE_SIDE)[:2])
        self._faces.append(_Followed(identity, reference, warp, 1.0, seconds, seconds))

    def _drop(self, seconds: float) -> None:
        pace = self._pace
        for face in list(self._faces):
            if (
                seconds - face.confirmed > pace.unseen
                or seconds - face.itself > pace.blurred
                or any(
                    other.identity < face.identity and same_place(_box(other.warp), _box(face.warp))
                    for other in self._faces
                )
            ):
                self._faces.remove(face)
                self._lost = [*self._lost, _Lost(face.identity, _box(face.warp))][-4 * _MOST :]


def _first_warp(grey: Image, box: Box) -> NDArray[np.float64]:
    """Returns the warp of a face that was just detected: from its eyes, if they are found."""
    usual = ((box.x + x * box.size, box.y + y * box.size) for x, y in _USUAL_EYES)
    left, right = (np.array(eye) for eye in two_eyes(grey, box) or usual)
    goal_left, goal_right = (np.array(eye) for eye in EYES)
    # As complex numbers, a similarity is a product and a sum.
    ratio = complex(*(goal_right - goal_left)) / complex(*(right - left))
    shift = complex(*goal_left) - ratio * complex(*left)
    return np.array([[ratio.real, -ratio.imag, shift.real], [ratio.imag, ratio.real, shift.imag]])


def _box(warp: NDArray[np.float64]) -> Box:
    """Returns the square around an aligned face's own square, in the frame."""
    back = np.linalg.inv(warp[:, :2])
    x, y = back @ (np.array([0.5, 0.5]) - warp[:, 2])
    size = 1 / np.sqrt(abs(np.linalg.det(warp[:, :2])))
    return Box(round(x - size / 2), round(y - size / 2), round(size))


def same_place(one: Box, other: Box) -> bool:
    """Returns whether two boxes are likely those of one face."""
    apart = max(
        abs(one.x + one.size / 2 - other.x - other.size / 2),
        abs(one.y + one.size / 2 - other.y - other.size / 2),
    )
    larger, smaller = max(one.size, other.size), min(one.size, other.size)
    return apart < 0.4 * larger and larger < 1.8 * smaller
