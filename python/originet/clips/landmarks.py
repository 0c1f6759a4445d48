"""Follows faces through a video by their landmarks: several at a time, each with an identity.

A face that is known is found again by its landmarks alone, near where it was; the whole frame is
searched now and then for others. A face gets lost when its landmarks no longer look like one: it
leaves the picture, or turns away. One that is found within `REMEMBERED` seconds, where a lost one
was (its centre within that face's size) and about as large (by at most half), is taken for it. It
is not recognised by what it looks like.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from originet.clips.face_models import Detection, Region, check_models, detect, mesh
from originet.clips.faces import fitted
from originet.clips.one_euro import share
from originet.clips.similarity import Similarity, to_complex, to_real
from originet.clips.steady import Steady, level_eyes
from originet.clips.still import Image
from originet.clips.tracking import TrackedFace

REMEMBERED = 5.0
"""Seconds for which a lost face keeps its identity."""

# Seconds between two searches of the whole frame: as long as all faces are followed, and while one
# is lost.
_SEARCH, _SEARCH_LOST = 0.5, 0.1

_PRESENT = 0.5  # of the mesh's probability that there is a face
_AROUND = 1.5  # side of the mesh's region, by the face's longer side; MediaPipe's
_SAME = 0.4  # intersection over union above which two faces are one
_LARGER = 1.5  # by which a face that is found again may have grown or shrunk
# Refinements of a face that will be followed: its first landmarks must not differ from the next
# ones because the network saw it in another region.
_ROUNDS = 5
_REGION_CUTOFF = 0.5  # Hz: a region that wavers makes the landmarks waver


class LandmarkTracker:
    """Follows faces by landmarks, as a `FaceTracker`; every video needs a new one.

    Raises:
        InputError: if the networks' files are missing; the message says how to install them.
    """

    def __init__(self) -> None:
        check_models()
        self._faces: list[_Followed] = []
        self._known = 0
        self._searched: float | None = None

    def follow(self, frame: Image, seconds: float) -> list[TrackedFace]:
        """Finds the faces of the next frame; see `FaceTracker.follow`."""
        lost = [face for face in self._faces if face.lost]
        there = [face for face in self._faces if not face.lost and face.see(frame, seconds)]
        there = _different(there)
        gone = [face for face in self._faces if not face.lost and face not in there]
        for face in gone:
            face.lose()
        lost = [face for face in (*lost, *gone) if seconds - face.seconds <= REMEMBERED]
        since = np.inf if self._searched is None else seconds - self._searched
        if gone or since >= (_SEARCH_LOST if lost else _SEARCH):
            self._searched = seconds
            there += self._search(frame, seconds, there, lost)
        self._faces = [*there, *(face for face in lost if face.lost)]
        return [face.told(frame) for face in sorted(there, key=lambda face: face.identity)]

    def _search(
        self, frame: Image, seconds: float, there: list["_Followed"], lost: list["_Followed"]
    ) -> list["_Followed"]:
        """Finds faces that are not followed yet: lost ones, or new ones."""
        found: list[_Followed] = []
        for points, presence in _find(frame, _ROUNDS, [face.extent for face in there]):
            extent = _Extent.of(points)
            near = [face for face in lost if face.lost and face.extent.is_near(extent)]
            if near:
                face = min(near, key=lambda face: abs(face.extent.centre - extent.centre))
            else:
                face = _Followed(self._known)
                self._known += 1
            face.take(frame, points, presence, seconds)
            found.append(face)
        return found


def find_points(frame: Image) -> list[tuple[NDArray[np.float64], float]]:
    """Finds the faces of a single frame, and their landmarks.

    Args:
        frame: [H, W] grey or [H, W, 3] (blue, green, red) uint8.

    Returns:
        For each face, the largest first: points [468, 2], (x, y) in pixels, and the probability
        that it is one.

    Raises:
        InputError: if the networks' files are missing.
    """
    return _find(frame, 1, [])


def _find(
    frame: Image, rounds: int, known: list["_Extent"]
) -> list[tuple[NDArray[np.float64], float]]:
    """Finds faces that are not where others are known to be.

    Args:
        frame: the frame.
        rounds: how often landmarks are refined: found in the region around those found before.
        known: where faces are.
    """
    found: list[tuple[NDArray[np.float64], float]] = []
    for detection in detect(frame):
        if any(extent.holds(detection) for extent in known):
            continue
        points, presence = mesh(frame, _region_of(detection))
        for _ in range(rounds):
            if presence >= _PRESENT:
                warp = level_eyes(to_complex(points))
                points, presence = mesh(frame, _region(warp, *_around(points, warp)))
        extent = _Extent.of(points)
        others = [*known, *(_Extent.of(other) for other, _ in found)]
        if presence >= _PRESENT and all(extent.overlap(other) <= _SAME for other in others):
            found.append((points, presence))
    return sorted(found, key=lambda face: -_Extent.of(face[0]).size)


def _region_of(detection: Detection) -> Region:
    x, y, width, height = detection.box
    across, down = detection.eyes[1] - detection.eyes[0]
    side = _AROUND * max(width, height)
    return Region(x + width / 2, y + height / 2, side, float(np.arctan2(down, across)))


def _around(points: NDArray[np.float64], warp: Similarity) -> tuple[complex, float]:
    """Returns the region that suits landmarks: its centre and its side, in the aligned face."""
    extent = _Extent.of(to_real(warp(to_complex(points))))
    return extent.centre, _AROUND * extent.size


def _region(warp: Similarity, centre: complex, side: float) -> Region:
    """Returns a region of the aligned face as one of the frame."""
    back = warp.inverse()
    place = back.a * centre + back.b
    return Region(place.real, place.imag, side * abs(back.a), float(np.angle(back.a)))


@dataclass(frozen=True)
class _Extent:
    """The upright box around landmarks."""

    low: complex
    high: complex

    @classmethod
    def of(cls, points: NDArray[np.float64]) -> "_Extent":
        low, high = points.min(axis=0), points.max(axis=0)
        return cls(complex(*low), complex(*high))

    @property
    def centre(self) -> complex:
        return (self.low + self.high) / 2

    @property
    def size(self) -> float:
        """Its longer side."""
        sides = self.high - self.low
        return max(sides.real, sides.imag)

    def holds(self, detection: Detection) -> bool:
        """Whether the middle of a detection lies within."""
        x, y, width, height = detection.box
        across = self.low.real <= x + width / 2 <= self.high.real
        return across and self.low.imag <= y + height / 2 <= self.high.imag

    def overlap(self, other: "_Extent") -> float:
        """Intersection over union."""
        width = min(self.high.real, other.high.real) - max(self.low.real, other.low.real)
        height = min(self.high.imag, other.high.imag) - max(self.low.imag, other.low.imag)
        common = max(0.0, width) * max(0.0, height)
        areas = [
            (each.high - each.low).real * (each.high - each.low).imag for each in (self, other)
        ]
        return common / (sum(areas) - common)

    def is_near(self, other: "_Extent") -> bool:
        """Whether another face may be this one, found again."""
        grown = other.size / self.size
        near = abs(other.centre - self.centre) <= self.size
        return near and 1 / _LARGER <= grown <= _LARGER


@dataclass(eq=False)
class _Followed:
    """One face, followed or lost."""

    identity: int
    lost: bool = False
    seconds: float = 0.0  # when it was seen last
    presence: float = 0.0
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    extent: _Extent = field(default_factory=lambda: _Extent(0, 1 + 1j))
    warp: Similarity = field(default_factory=lambda: Similarity(1, 0))
    # Centre and side of the mesh's region, in the aligned face.
    around: tuple[complex, float] = (0.5 + 0.5j, 1.0)
    steady: Steady = field(default_factory=Steady)

    def see(self, frame: Image, seconds: float) -> bool:
        """Looks for the face in the next frame, near where it was; returns whether it is there."""
        region = _region(self.warp, *self.around)
        height, width = frame.shape[:2]
        if not (0 <= region.x <= width and 0 <= region.y <= height):
            return False
        points, presence = mesh(frame, region)
        if presence < _PRESENT:
            return False
        self.take(frame, points, presence, seconds)
        return True

    def take(
        self, frame: Image, points: NDArray[np.float64], presence: float, seconds: float
    ) -> None:
        """Takes the face's landmarks in a frame."""
        first = self.lost or not len(self.points)
        step = seconds - self.seconds
        self.warp, self.points = self.steady.see(frame, points, seconds)
        self.extent = _Extent.of(self.points)
        centre, side = _around(points, self.warp)
        if not first:
            new = float(share(_REGION_CUTOFF, step))
            centre = self.around[0] + new * (centre - self.around[0])
            side = self.around[1] + new * (side - self.around[1])
        self.around = centre, side
        self.presence, self.seconds, self.lost = presence, seconds, False

    def lose(self) -> None:
        self.lost = True
        self.steady.restart()

    def told(self, frame: Image) -> TrackedFace:
        height, width = frame.shape[:2]
        centre, side = self.extent.centre, self.extent.size
        return TrackedFace(
            self.identity,
            self.presence,
            fitted(centre.real - side / 2, centre.imag - side / 2, side, (height, width)),
            self.warp.matrix(),
            self.points.astype(np.float32),
        )


def _different(faces: list[_Followed]) -> list[_Followed]:
    """Leaves the older of two that have come to follow one face."""
    kept: list[_Followed] = []
    for face in sorted(faces, key=lambda face: face.identity):
        if all(face.extent.overlap(other.extent) <= _SAME for other in kept):
            kept.append(face)
    return kept
