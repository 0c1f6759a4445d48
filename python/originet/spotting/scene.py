"""Follows all faces of a stretch of video, and spots the movements of each by itself."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet.clips.faces import Box
from originet.clips.registration import shrunk
from originet.clips.still import Image
from originet.clips.tracking import FaceTracker, TrackedFace, aligned
from originet.spotting.actions import Usual
from originet.spotting.baseline import Baseline
from originet.spotting.face import FaceSpotter, Spotted
from originet.spotting.movement import Float
from originet.spotting.regions import SIDE
from originet.spotting.settings import Settings


@dataclass
class Row:
    """What is known of a face in a frame, or that the frame has none."""

    index: int
    """Of the frame in the video, from 0."""
    seconds: float
    face: int | None = None
    """Its identity; None if there is no face."""
    confidence: float = 0.0
    box: Box | None = None
    energies: Float | None = None
    """[R + 1], pixels of a 128-pixel face; None next to the start and end of a stretch in which the
    face is followed."""


class Step(NamedTuple):
    """What one more frame has brought."""

    faces: list[TrackedFace]
    rows: list[Row]
    """Complete rows of earlier frames, in order."""
    spotted: list[Spotted]


@dataclass
class _Person:
    baseline: Baseline
    usual: Usual
    spotter: FaceSpotter | None = None
    rows: dict[int, Row] = field(default_factory=dict)  # by index, those without energies

    def finish(self) -> list[Spotted]:
        """Ends a stretch in which the face was followed; returns what is left of it."""
        spotted = self.spotter.finish() if self.spotter else []
        self.spotter = None
        self.rows.clear()
        return spotted


class Scene:
    """A stretch of video; the faces' identities are those of its own tracker.

    Args:
        tracker: A new one.
        settings: What to look for.
        fps: Frames per second.
    """

    def __init__(self, tracker: FaceTracker, settings: Settings, fps: float) -> None:
        self._tracker, self._settings, self._fps = tracker, settings, fps
        self._people: dict[int, _Person] = {}
        self._waiting: deque[Row] = deque()
        self._delay = FaceSpotter.delay(settings, fps)

    def push(self, pixels: Image, index: int, seconds: float) -> Step:
        """Takes the next frame.

        Args:
            pixels: [H, W] uint8.
            index: Of the frame in the video, from 0.
            seconds: Its time.
        """
        faces = self._tracker.follow(pixels, seconds)
        spotted: list[Spotted] = []
        for face in faces:
            row = Row(index, seconds, face.identity, face.confidence, face.box)
            self._waiting.append(row)
            spotted += self._spot(pixels, face, row)
        if not faces:
            self._waiting.append(Row(index, seconds))
        here = {face.identity for face in faces}
        for identity, person in self._people.items():
            if identity not in here:  # what follows is another stretch
                spotted += person.finish()
        return Step(faces, self._done(index - self._delay), spotted)

    def finish(self) -> Step:
        """Returns what is left when the video has ended."""
        spotted = [each for person in self._people.values() for each in person.finish()]
        return Step([], self._done(None), spotted)

    def _spot(self, pixels: Image, face: TrackedFace, row: Row) -> list[Spotted]:
        settings = self._settings
        if face.identity not in self._people:
            baseline = Baseline(settings.baseline, settings.ground)
            usual = Usual(settings.usual, settings.ground)
            self._people[face.identity] = _Person(baseline, usual)
        person = self._people[face.identity]
        if person.spotter is None:
            person.spotter = FaceSpotter(
                face.identity, settings, self._fps, person.baseline, person.usual
            )
        person.rows[row.index] = row
        cut = face_of(pixels, face)
        energies, spotted = person.spotter.push(cut, row.index, row.seconds, _head(face.warp))
        if energies is not None:
            person.rows.pop(energies.index).energies = energies.values
        return spotted

    def _done(self, until: int | None) -> list[Row]:
        rows = []
        while self._waiting and (until is None or self._waiting[0].index <= until):
            rows.append(self._waiting.popleft())
        return rows


def face_of(pixels: Image, face: TrackedFace) -> Image:
    """Cuts an aligned face [SIDE, SIDE] out of a frame, averaging the pixels of a large one."""
    small, warp, _ = shrunk(pixels, face.warp, SIDE)
    return aligned(small, face._replace(warp=warp), SIDE)


def _head(warp: NDArray[np.float64]) -> Float:
    """Returns where a face's middle is in the frame, in pixels of a 128-pixel face."""
    middle = np.linalg.solve(warp[:, :2], np.array([0.5, 0.5]) - warp[:, 2])
    return np.asarray(middle * SIDE * np.sqrt(abs(np.linalg.det(warp[:, :2]))))
