"""Spots the movements of all faces in a video of any length, in memory that does not grow.

A long video is worked on in stretches, each with a tracker of its own that starts a little earlier
and ends a little later, so that it knows what is usual by then and sees movements end. A stretch
therefore depends on its own frames only: if a run breaks off, the next can begin with the stretch
that was not finished, and comes to the same result.
"""

import dataclasses
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from originet.clips.faces import Box
from originet.clips.tracking import FaceTracker
from originet.deploy.model import Model
from originet.spotting.face import Spotted
from originet.spotting.identities import Identities
from originet.spotting.intervals import Interval
from originet.spotting.recognise import recognised
from originet.spotting.scene import Row, Scene, Step
from originet.spotting.settings import Settings
from originet.spotting.source import Frame, Source
from originet.spotting.trackers import BACKENDS, open_tracker
from originet.system.opencv import one_thread, silence

STRETCH = 120.0
"""Seconds of a stretch."""
_EARLIER = 10.0  # seconds by which a stretch's tracker starts before it
_LATER = 1.0  # seconds by which it ends after it, besides the longest movement


@dataclass
class Found:
    """What is known by some frame of the video."""

    rows: list[Row]
    spotted: list[Spotted]
    finished: int | None = None
    """How many stretches are finished, if one just was."""
    places: dict[int, Box] | None = None
    """Where faces were last seen at the end of that stretch."""


@dataclass
class _Stretch:
    number: int
    scene: Scene
    places: dict[int, Box] | None = None


class Spotter:
    """Spots movements frame by frame.

    Args:
        tracker: Makes a tracker for a stretch.
        settings: What to look for.
        fps: Frames per second.
        stretch: Seconds of a stretch; None never ends the first one, as for a camera.
        finished: How many stretches an earlier run has finished.
        places: Where it last saw faces.
    """

    def __init__(
        self,
        tracker: Callable[[], FaceTracker],
        settings: Settings,
        fps: float,
        *,
        stretch: float | None = STRETCH,
        finished: int = 0,
        places: dict[int, Box] | None = None,
    ) -> None:
        self._open, self._settings, self._fps = tracker, settings, fps
        self._length = None if stretch is None else max(1, round(stretch * fps))
        self._earlier = round(min(_EARLIER, stretch or _EARLIER) * fps)
        self._later = round((_LATER + settings.longest) * fps)
        self._identities = Identities(places)
        self._next = finished
        self._stretches: list[_Stretch] = []

    @property
    def length(self) -> int | None:
        """Frames of a stretch."""
        return self._length

    @property
    def start(self) -> int:
        """The index of the first frame that `push` has to be given."""
        return self._begin(self._next)

    def _begin(self, stretch: int) -> int:
        return max(0, (self._length or 0) * stretch - self._earlier)

    def push(self, frame: Frame) -> Found:
        """Takes the next frame."""
        while not self._stretches or (self._length and frame.index == self._begin(self._next)):
            self._stretches.append(_Stretch(self._next, self._new_scene()))
            self._next += 1
        found = Found([], [])
        for stretch in list(self._stretches):
            step = stretch.scene.push(frame.pixels, frame.index, frame.seconds)
            if self._holds(stretch, frame.index):
                self._identities.see(stretch.number, step.faces)
                stretch.places = dict(self._identities.places)
            self._take(found, stretch, step)
            if self._length and frame.index + 1 >= self._end(stretch) + self._later:
                self._stretches.remove(stretch)
                found.finished, found.places = stretch.number + 1, stretch.places
        return found

    def finish(self) -> Found:
        """Returns what is left when the video has ended."""
        found = Found([], [])
        for stretch in self._stretches:
            self._take(found, stretch, stretch.scene.finish())
        return found

    def _take(self, found: Found, stretch: _Stretch, step: Step) -> None:
        """Adds what a step of a stretch has brought."""
        found.rows += self._named_rows(stretch, step.rows)
        for spotted in step.spotted:
            if self._holds(stretch, spotted.interval.apex - 1):
                found.spotted.append(self._named(stretch, spotted))

    def _new_scene(self) -> Scene:
        return Scene(self._open(), self._settings, self._fps)

    def _end(self, stretch: _Stretch) -> int:
        assert self._length is not None
        return self._length * (stretch.number + 1)

    def _holds(self, stretch: _Stretch, index: int) -> bool:
        """Whether a frame belongs to a stretch, not to what its tracker sees before and after."""
        return self._length is None or index // self._length == stretch.number

    def _named_rows(self, stretch: _Stretch, rows: list[Row]) -> list[Row]:
        kept = [row for row in rows if self._holds(stretch, row.index)]
        for row in kept:
            if row.face is not None:
                row.face = self._identities.name(stretch.number, row.face)
        return kept

    def _named(self, stretch: _Stretch, spotted: Spotted) -> Spotted:
        name = self._identities.name(stretch.number, spotted.interval.face)
        return spotted._replace(interval=dataclasses.replace(spotted.interval, face=name))


def spot(
    video: str | Path,
    model: Model | None = None,
    *,
    face: str = BACKENDS[0],
    fps: float | None = None,
    settings: Settings | None = None,
) -> list[Interval]:
    """Finds the brief movements of faces in a video of any length.

    Args:
        video: A video, or a folder of numbered frames.
        model: Recognises the expression in each movement; see `originet.load_model`.
        face: How faces are followed: "viola-jones" or "landmarks".
        fps: Frames per second, for folders and for videos whose times are wrong.
        settings: What counts as a movement.

    Returns:
        The movements, by onset; those with a note are blinks and turns of the head.

    Raises:
        InputError: If the video cannot be read, or ends before its end.

    Example:
        >>> for movement in originet.spot("interview.mp4"):
        ...     print(movement.onset_seconds, movement.kind, movement.regions, movement.note)
    """
    source = Source(video, fps)
    spotter = Spotter(lambda: open_tracker(face), settings or Settings(), source.fps)
    found: list[Interval] = []
    for step in spot_frames(spotter, source.frames()):
        found += [source.numbered(recognised(each, model, source.fps)) for each in step.spotted]
    return sorted(found, key=lambda each: (each.onset, each.face))


def spot_frames(spotter: Spotter, frames: Iterable[Frame]) -> Generator[Found, None, None]:
    """Gives frames to a spotter, and yields what it finds, at the end the rest."""
    # Threads within so small pictures only wait for each other.
    with silence, one_thread, threadpool_limits(1):
        for frame in frames:
            yield spotter.push(frame)
        yield spotter.finish()
