"""Spots the movements of one face, frame by frame, in memory that does not grow.

For each moment, the active image of the frames before it is compared with that of the frames after
it. A movement that comes and goes leaves opposite traces in the two; what drifts leaves the same.
Half their difference is the movement's own image, from which `originet.spotting.movement` reads how
far each part of the face has moved. Around a peak of that, the course of the movement is looked at
twice: whether it is a brief one (`originet.spotting.course`), and, if it stands out of the usual,
where a longer one begins and ends (`originet.spotting.intervals.span`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from originet.clips.still import Image
from originet.spotting.baseline import Baseline
from originet.spotting.course import Courses
from originet.spotting.intervals import Interval, Kind, Span, note, span, strongest
from originet.spotting.movement import Float, Slopes, energies, movement, slopes_of
from originet.spotting.regions import PARTS, REGIONS, SHARES, SIDE
from originet.spotting.settings import Settings
from originet_ext import sliding_active_images

_METHOD = "rank-simple"  # weights frames by their place: late minus early ones
_FEWEST = 3  # frames of a window
_NEAR = 2  # frames on either side, with a moment's own, of which its picture is made


@dataclass(frozen=True)
class Energies:
    """How a face moves at a frame."""

    index: int
    values: Float
    """[R + 1], pixels of a 128-pixel face; the last of the rigid parts."""


class Spotted(NamedTuple):
    """A movement, and the face during it."""

    interval: Interval
    faces: Image
    """[T, SIDE, SIDE] uint8, the aligned face from onset to offset."""
    apex: int
    """Index of the apex in them."""


@dataclass(frozen=True)
class _Moment:
    """What is known of a frame once the frames after it have been seen."""

    index: int
    seconds: float
    energies: Float
    excess: Float
    moved: Float
    texture: Float


@dataclass
class _Peak:
    """A moment that stands out, and how the face has moved in the frames around it."""

    moment: _Moment
    ground: NDArray[np.float32]
    slopes: Slopes
    moved: dict[int, Float]


@dataclass
class _Candidate:
    """A movement whose end has not been seen yet."""

    peak: _Peak
    regions: tuple[int, ...]
    first: int
    profile: list[float]


class _Brief(NamedTuple):
    """A brief movement that a better one may still replace."""

    spotted: Spotted
    share: float
    due: int
    """Index of the frame at which it is told."""


class FaceSpotter:
    """Spots movements of one face while it is followed without a gap.

    Args:
        face: Its identity.
        settings: What to look for.
        fps: Frames per second.
        baseline: What is usual for this face; it may outlive this object.
    """

    def __init__(self, face: int, settings: Settings, fps: float, baseline: Baseline) -> None:
        self._face, self._settings, self._baseline = face, settings, baseline
        self._window = self.delay(settings, fps) + 1
        self._guard = max(1, round(settings.guard * fps))
        self._back = self._window + max(self._window, round(settings.micro * fps))
        self._courses = Courses(settings, fps)
        # All of the longest movement, and the time before it is recognised as one.
        longest = round(settings.longest * fps) + 2 * (self._back + self._window + self._guard)
        self._ring = _Ring(longest + 2)
        self._stamps: dict[int, tuple[int, float, Float]] = {}  # place, seconds, head by index
        self._moments: list[_Moment] = []
        self._peaks: list[tuple[_Peak, tuple[int, ...]]] = []
        self._briefs: list[_Brief] = []
        self._candidates: list[_Candidate] = []
        self._found: list[Spotted] = []

    @staticmethod
    def delay(settings: Settings, fps: float) -> int:
        """After how many more frames the energies of a frame are known."""
        return max(_FEWEST, round(settings.window * fps)) - 1

    def push(
        self, face: Image, place: int, seconds: float, head: Float
    ) -> tuple[Energies | None, list[Spotted]]:
        """Takes the next frame.

        Args:
            face: [SIDE, SIDE] uint8, the aligned face.
            place: The frame's index in the video.
            seconds: Its time.
            head: [2], where the head is, in pixels of a 128-pixel face.

        Returns:
            The energies of an earlier frame, if they are known by now; and the movements whose end
            was found.
        """
        now = self._ring.push(face)
        self._stamps[now] = (place, seconds, head)
        self._see_brief(now)
        found = [*self._tell_brief(now), *self._go_on(now)]
        moment = self._look(now)
        if moment is None:
            return None, found
        self._moments = [*self._moments[-2 * self._guard :], moment]
        self._begin(now)
        self._forget()
        return Energies(self._stamps[moment.index][0], moment.energies), found

    def _look(self, now: int) -> _Moment | None:
        """Measures the movement at the frame in the middle of the last two windows."""
        window = self._window
        faces = self._ring.last(2 * window - 1)
        if faces is None:
            return None
        pair = sliding_active_images(torch.from_numpy(faces), window, window - 1, _METHOD)
        before, after = pair.numpy() / np.float32(2 * (window * window // 4))
        middle = window - 1
        near = min(_NEAR, middle)
        slopes = slopes_of(_mean(faces[middle - near : middle + near + 1]))
        moved = movement(before - after, slopes)
        values = energies(moved, slopes.texture)
        index = now - window + 1
        seconds = self._stamps[index][1]
        excess = self._baseline.excess(seconds, values)
        return _Moment(index, seconds, values, excess, moved, slopes.texture)

    def _begin(self, now: int) -> None:
        """Takes a closer look at a moment that stands out of those around it."""
        if len(self._moments) <= 2 * self._guard:
            return
        moment = self._moments[self._guard]
        peak: _Peak | None = None
        for part in PARTS:
            height = self._height(moment, part)
            if height > 0 and height >= max(self._height(each, part) for each in self._moments):
                peak = peak or self._peak(moment)
                self._peaks.append((peak, part))
                if height >= self._settings.threshold:
                    first = max(moment.index - self._back, self._ring.first)
                    self._candidates.append(self._candidate(peak, part, first, now))

    def _peak(self, moment: _Moment) -> _Peak:
        index, window = moment.index, self._window
        ends = [index - window + 1, index - window + 2, index + window - 2, index + window - 1]
        ground = _mean(np.stack([self._ring[end] for end in ends]))
        return _Peak(moment, ground, slopes_of(ground), {})

    def _candidate(self, peak: _Peak, part: tuple[int, ...], first: int, last: int) -> _Candidate:
        regions = strongest(peak.moment.excess, part, self._settings.notice)
        candidate = _Candidate(peak, regions, first, [])
        self._extend(candidate, last)
        return candidate

    def _extend(self, candidate: _Candidate, last: int) -> None:
        """Follows a candidate up to a frame: about 1 at its apex, else 0."""
        peak = candidate.peak
        wanted = range(candidate.first + len(candidate.profile), last + 1)
        new = [index for index in wanted if index not in peak.moved]
        if new:
            faces = np.stack([self._ring[index] for index in new])
            moved = movement(faces.astype(np.float32) - peak.ground, peak.slopes)
            peak.moved.update(zip(new, moved, strict=True))
        apex = peak.moment.moved
        cells = SHARES[list(candidate.regions)].sum(axis=0) * peak.moment.texture
        along = cells * apex / (cells * apex**2).sum()
        candidate.profile += [float((along * peak.moved[index]).sum()) for index in wanted]

    def _see_brief(self, now: int) -> None:
        """Looks at the course around peaks, once it is known."""
        around = self._courses.around
        while self._peaks and self._peaks[0][0].moment.index + around <= now:
            peak, part = self._peaks.pop(0)
            middle = peak.moment.index
            if middle - around < self._ring.first:
                continue
            candidate = self._candidate(peak, part, middle - around, middle + around)
            course = self._courses.fit(np.array(candidate.profile))
            if course is None or course.share < self._settings.brief:
                continue
            where = Span(*(middle + each for each in (course.onset, course.apex, course.offset)))
            spotted = self._spotted(candidate, where)
            if spotted is not None:
                self._briefs.append(_Brief(spotted, course.share, now + self._guard))

    def _tell_brief(self, now: int) -> list[Spotted]:
        """Returns brief movements that nothing better has replaced."""
        found = []
        for brief in [each for each in self._briefs if each.due <= now]:
            if any(brief is each for each in self._briefs):
                rivals = [each for each in self._briefs if _overlap(each.spotted, brief.spotted)]
                best = max(rivals, key=lambda each: each.share)
                if best is brief:
                    found += self._known(brief.spotted)
                lost = {id(each) for each in (rivals if best is brief else [brief])}
                self._briefs = [each for each in self._briefs if id(each) not in lost]
        return found

    def _height(self, moment: _Moment, part: tuple[int, ...]) -> float:
        """How far a part of the face stands out, in spreads; 0 if it is nothing to look at."""
        settings = self._settings
        out = [moment.excess[i] for i in part if moment.energies[i] >= settings.least]
        return max((float(each) for each in out if each >= settings.notice), default=0.0)

    def _go_on(self, now: int) -> list[Spotted]:
        found = []
        for candidate in list(self._candidates):
            if (now - candidate.first) % self._guard == 0:  # several frames at once take less
                self._extend(candidate, now)
                found += self._end(candidate, now)
        return found

    def _end(self, candidate: _Candidate, now: int) -> list[Spotted]:
        """Drops a candidate whose end was found, or that has none; returns what was found."""
        settings, moment = self._settings, candidate.peak.moment
        if now <= moment.index + self._courses.around + self._guard:
            return []  # it may be a brief one: `_see_brief` says so first
        shape = span(np.array(candidate.profile), moment.index - candidate.first)
        waited = self._stamps[now][1] - moment.seconds
        if shape is None:
            if waited > settings.longest or not self._rises(candidate):
                self._candidates.remove(candidate)
            return []
        self._candidates.remove(candidate)
        spotted = self._spotted(candidate, Span(*(candidate.first + index for index in shape)))
        if spotted is None or spotted.interval.kind == "micro":
            return []
        return self._known(spotted)

    def _spotted(self, candidate: _Candidate, where: Span) -> Spotted | None:
        """Describes a movement; None if it is too brief or too long."""
        settings, moment = self._settings, candidate.peak.moment
        onset, apex, offset = where
        (first, start, _), (top, best, _), (last, end, _) = (self._stamps[index] for index in where)
        if not settings.shortest <= end - start <= settings.longest:
            return None
        kind: Kind = "micro" if end - start <= settings.micro + 1e-6 else "macro"
        # The course of a brief one has no part of the head's drift.
        heads = np.array([self._stamps[index][2] for index in range(onset, offset + 1)])
        head = 0.0 if kind == "micro" else float(np.ptp(heads, axis=0).max())
        # What was followed is one part of the face; others may take part.
        everywhere = strongest(moment.excess, range(len(REGIONS)), settings.notice)
        found = Interval(
            face=self._face,
            onset=first + 1,
            apex=top + 1,
            offset=last + 1,
            onset_seconds=start,
            apex_seconds=best,
            offset_seconds=end,
            kind=kind,
            regions=tuple(REGIONS[index] for index in everywhere),
            score=float(moment.excess[everywhere[0]]),
            energy=float(max(moment.energies[index] for index in everywhere)),
            note=note(moment.energies, end - start, head),
        )
        faces = np.stack([self._ring[index] for index in range(onset, offset + 1)])
        return Spotted(found, faces, apex - onset)

    def _known(self, spotted: Spotted) -> list[Spotted]:
        """Adds a movement to those that were found, unless it is one of them."""
        if any(_overlap(spotted, known) for known in self._found):
            return []
        self._found = [*self._found[-8:], spotted]
        return [spotted]

    def _rises(self, candidate: _Candidate) -> bool:
        """Returns whether the movement began before its peak: otherwise it is no movement."""
        profile = np.array(candidate.profile)
        peak = candidate.peak.moment.index - candidate.first
        return bool(profile[peak] - profile[: peak + 1].min() > 0.4)

    def _forget(self) -> None:
        for index in [index for index in self._stamps if index < self._ring.first]:
            del self._stamps[index]


class _Ring:
    """The last faces, in memory that they share and that can be read in one piece."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._faces = np.empty((2 * size, SIDE, SIDE), np.uint8)
        self._end = 0  # in the memory
        self._count = 0

    @property
    def first(self) -> int:
        """The index of the oldest face."""
        return max(0, self._count - self._size)

    def push(self, face: Image) -> int:
        """Adds a face; returns its index."""
        if self._end == len(self._faces):
            self._faces[: self._size] = self._faces[-self._size :]
            self._end = self._size
        self._faces[self._end] = face
        self._end += 1
        self._count += 1
        return self._count - 1

    def last(self, number: int) -> Image | None:
        """The last faces [number, SIDE, SIDE]; None if there are fewer."""
        return self._faces[self._end - number : self._end] if self._count >= number else None

    def __getitem__(self, index: int) -> Image:
        return self._faces[self._end - self._count + index]


def _overlap(one: Spotted, other: Spotted) -> bool:
    first, second = one.interval, other.interval
    return first.onset < second.offset and second.onset < first.offset


def _mean(faces: Image) -> NDArray[np.float32]:
    return np.asarray(faces.mean(axis=0, dtype=np.float32))
