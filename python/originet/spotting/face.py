"""Spots the movements of one face, frame by frame, in memory that does not grow.

For each moment, the active image of the frames before it is compared with that of the frames after
it. A movement that comes and goes leaves opposite traces in the two; what drifts leaves the same.
Half their difference is the movement's own image, from which `originet.spotting.movement` reads how
far each part of the face has moved. Two kinds of peaks are looked at more closely. Where an action
of the face is at its strongest (`originet.spotting.actions`), the course that it takes says whether
it is a brief movement (`originet.spotting.course`). Where a part of the face stands out of the
usual, a longer movement may begin and end (`originet.spotting.intervals.span`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from originet.clips.still import Image
from originet.spotting.actions import ACTIONS, BLINKS, REGIONS_OF, Filters, Usual
from originet.spotting.baseline import Baseline
from originet.spotting.course import Course, Courses
from originet.spotting.intervals import Interval, Kind, Span, note, span, strongest
from originet.spotting.movement import Float, Slopes, energies, movement, slopes_of
from originet.spotting.regions import LIDS, PARTS, REGIONS, SHARES, SIDE
from originet.spotting.settings import Settings
from originet_ext import sliding_active_images

_METHOD = "rank-simple"  # weights frames by their place: late minus early ones
_FEWEST = 3  # frames of a window
_NEAR = 2  # frames on either side, with a moment's own, of which its picture is made
_TREMBLE = 20.0  # of an action's usual energy, which its course holds besides the movement
_LIKE_BLINK = 1.5  # times better than an action a blink must explain a movement to be it


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
    filters: Filters
    actions: Float
    """[A], how far each action has gone, signed, in spreads above what is usual."""


@dataclass
class _Peak:
    """A moment that stands out, and how the face has moved in the frames around it."""

    moment: _Moment
    actions: Sequence[int]
    """Those that are at their strongest there."""
    parts: Sequence[tuple[int, ...]]
    """The parts of the face that are."""
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


@dataclass(frozen=True)
class _Brief:
    """A brief movement that a better one may still replace."""

    moment: _Moment
    where: Span
    regions: Sequence[int]
    score: float
    share: float
    due: int
    """Index of the frame at which it is told."""
    too_large: bool = False
    """Whether it is no micro-movement, and only explains better what another might be taken for."""
    blink: bool = False


class FaceSpotter:
    """Spots movements of one face while it is followed without a gap.

    Args:
        face: Its identity.
        settings: What to look for.
        fps: Frames per second.
        baseline: Which energies are usual for this face; it may outlive this object.
        usual: Which movements are; it may, too.
    """

    def __init__(
        self, face: int, settings: Settings, fps: float, baseline: Baseline, usual: Usual
    ) -> None:
        self._face, self._settings, self._baseline, self._usual = face, settings, baseline, usual
        self._window = self.delay(settings, fps) + 1
        self._guard = max(1, round(settings.guard * fps))
        self._patience = round(settings.patience * fps)
        self._back = self._window + max(self._window, round(settings.micro * fps))
        self._courses = Courses(settings, fps)
        # All of the longest movement, and the time before it is recognised as one.
        longest = round(settings.longest * fps) + 2 * (self._back + self._window + self._guard)
        self._ring = _Ring(longest + 2 * self._patience + 2)
        self._stamps: dict[int, tuple[int, float, Float]] = {}  # place, seconds, head by index
        self._moments: list[_Moment] = []
        self._peaks: list[_Peak] = []
        self._briefs: list[_Brief] = []
        self._candidates: list[_Candidate] = []
        self._found: list[tuple[Interval, bool]] = []  # and whether it was too large

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

    def finish(self) -> list[Spotted]:
        """Returns the brief movements that ended before the last frame, when there is no other."""
        return self._tell_brief(np.inf)

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
        face = _mean(faces[middle - near : middle + near + 1])
        slopes = slopes_of(face)
        moved = movement(before - after, slopes)
        values = energies(moved, slopes.texture)
        index = now - window + 1
        seconds = self._stamps[index][1]
        excess = self._baseline.excess(seconds, values)
        filters = self._usual.filters(seconds, moved, face, slopes)
        strengths = filters.products(moved) / np.sqrt(filters.power)
        return _Moment(index, seconds, values, excess, moved, slopes.texture, filters, strengths)

    def _begin(self, now: int) -> None:
        """Takes a closer look at a moment that stands out of those around it."""
        if len(self._moments) <= 2 * self._guard:
            return
        moment, settings = self._moments[self._guard], self._settings
        strengths = np.abs([each.actions for each in self._moments])[:, ACTIONS]
        here = strengths[self._guard]
        strong = np.flatnonzero((here >= settings.threshold) & (here == strengths.max(axis=0)))
        tall = [
            part
            for part in PARTS
            if self._height(moment, part)
            >= max(settings.threshold, *(self._height(each, part) for each in self._moments))
        ]
        if not len(strong) and not tall:
            return
        peak = self._peak(moment, strong.tolist(), tall)
        self._peaks.append(peak)
        first = max(moment.index - self._back, self._ring.first)
        self._candidates += [self._candidate(peak, part, first, now) for part in tall]

    def _peak(
        self, moment: _Moment, strong: Sequence[int], tall: Sequence[tuple[int, ...]]
    ) -> _Peak:
        index, window = moment.index, self._window
        ends = [index - window + 1, index - window + 2, index + window - 2, index + window - 1]
        ground = _mean(np.stack([self._ring[end] for end in ends]))
        return _Peak(moment, strong, tall, ground, slopes_of(ground), {})

    def _candidate(self, peak: _Peak, part: tuple[int, ...], first: int, last: int) -> _Candidate:
        regions = strongest(peak.moment.excess, part, self._settings.notice)
        candidate = _Candidate(peak, regions, first, [])
        self._extend(candidate, last)
        return candidate

    def _extend(self, candidate: _Candidate, last: int) -> None:
        """Follows a candidate up to a frame: about 1 at its apex, else 0."""
        peak = candidate.peak
        wanted = range(candidate.first + len(candidate.profile), last + 1)
        self._follow(peak, wanted)
        apex = peak.moment.moved
        cells = SHARES[list(candidate.regions)].sum(axis=0) * peak.moment.texture
        along = cells * apex / (cells * apex**2).sum()
        candidate.profile += [float((along * peak.moved[index]).sum()) for index in wanted]

    def _follow(self, peak: _Peak, wanted: Sequence[int]) -> None:
        """Measures the movement from a peak's ground to frames, unless it is known."""
        new = [index for index in wanted if index not in peak.moved]
        if new:
            faces = np.stack([self._ring[index] for index in new])
            moved = movement(faces.astype(np.float32) - peak.ground, peak.slopes)
            peak.moved.update(zip(new, moved, strict=True))

    def _see_brief(self, now: int) -> None:
        """Looks at the course around peaks, once it is known."""
        around = self._courses.around
        while self._peaks and self._peaks[0].moment.index + around <= now:
            peak = self._peaks.pop(0)
            middle = peak.moment.index
            if middle - around < self._ring.first:
                continue
            wanted = range(middle - around, middle + around + 1)
            self._follow(peak, wanted)
            products = peak.moment.filters.products(np.stack([peak.moved[i] for i in wanted]))
            found = [
                *(self._of_action(peak, products, action) for action in peak.actions),
                *(self._of_part(peak, part) for part in peak.parts),
            ]
            self._briefs += [brief for brief in found if brief is not None]

    def _of_action(self, peak: _Peak, products: Float, action: int) -> _Brief | None:
        """Returns the brief movement that an action makes around a peak, if it is one."""
        moment, power = peak.moment, peak.moment.filters.power
        strength = abs(moment.actions[action])
        pixels = strength / np.sqrt(power[action])
        if pixels < self._settings.smallest:
            return None
        profile = products[:, action] * np.sign(moment.actions[action])
        course = self._courses.fit(profile, noise=_TREMBLE * power[action])
        if course is None or course.share < self._settings.brief:
            return None
        strengths = np.abs(course.bump @ products) / np.sqrt(power)
        return self._brief(
            moment,
            course,
            REGIONS_OF[action],
            strength,
            too_large=pixels > self._settings.largest,
            blink=strengths[BLINKS].max() >= _LIKE_BLINK * strengths[action],
        )

    def _of_part(self, peak: _Peak, part: tuple[int, ...]) -> _Brief | None:
        """Returns the brief movement that a part of the face makes in whatever way, if it is one.

        Its course is looked at along the movement itself, so there is less to doubt it by.
        """
        middle, around = peak.moment.index, self._courses.around
        candidate = self._candidate(peak, part, middle - around, middle + around)
        course = self._courses.fit(np.array(candidate.profile))
        if course is None or course.share < self._settings.alone:
            return None
        regions = self._regions(peak.moment)
        return self._brief(peak.moment, course, regions, peak.moment.excess[regions[0]])

    def _brief(
        self, moment: _Moment, course: Course, regions: Sequence[int], score: float, **what: bool
    ) -> _Brief:
        where = Span(*(moment.index + each for each in (course.onset, course.apex, course.offset)))
        due = where.offset + self._patience
        return _Brief(moment, where, regions, score, course.share, due, **what)

    def _regions(self, moment: _Moment) -> tuple[int, ...]:
        """Returns the regions that take part in a movement, strongest first."""
        return strongest(moment.excess, range(len(REGIONS)), self._settings.notice)

    def _tell_brief(self, now: float) -> list[Spotted]:
        """Returns the brief movements that are due; of those at one time, the best."""
        found: list[Spotted] = []
        waiting: list[_Brief] = []
        for brief in sorted(self._briefs, key=lambda each: -each.share):
            rivalled = any(_overlap(brief.where, each.where) for each in waiting)
            if brief.due > now or rivalled:
                # A better one may lose to one that is better still, but not for ever.
                if now <= brief.due + self._patience:
                    waiting.append(brief)
                continue
            spotted = self._described(
                brief.moment,
                brief.where,
                brief.regions,
                score=brief.score,
                what="blink" if brief.blink else "",
            )
            found += self._known(spotted, too_large=brief.too_large)
        self._briefs = waiting
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
        where = Span(*(candidate.first + index for index in shape))
        regions = self._regions(moment)  # what was followed is only one part of the face
        spotted = self._described(moment, where, regions, score=moment.excess[regions[0]])
        brief = [each for each in self._briefs if not each.too_large]
        if any(_made_of(where, each.where) for each in brief):
            return []
        return [] if spotted is None or spotted.interval.kind == "micro" else self._known(spotted)

    def _described(
        self,
        moment: _Moment,
        where: Span,
        regions: Sequence[int],
        *,
        score: float,
        what: str = "",
    ) -> Spotted | None:
        """Describes a movement; None if it is too brief or too long."""
        settings = self._settings
        onset, apex, offset = where
        (first, start, _), (top, best, _), (last, end, _) = (self._stamps[index] for index in where)
        if not settings.shortest <= end - start <= settings.longest:
            return None
        kind: Kind = "micro" if end - start <= settings.micro + 1e-6 else "macro"
        # The course of a brief one has no part of the head's drift.
        heads = np.array([self._stamps[index][2] for index in range(onset, offset + 1)])
        head = 0.0 if kind == "micro" else float(np.ptp(heads, axis=0).max())
        said = what or note(moment.energies, end - start, head)
        regions = LIDS if said == "blink" else regions
        found = Interval(
            face=self._face,
            onset=first + 1,
            apex=top + 1,
            offset=last + 1,
            onset_seconds=start,
            apex_seconds=best,
            offset_seconds=end,
            kind=kind,
            regions=tuple(REGIONS[index] for index in regions),
            score=float(score),
            energy=float(max(moment.energies[index] for index in regions)),
            note=said,
        )
        faces = np.stack([self._ring[index] for index in range(onset, offset + 1)])
        return Spotted(found, faces, apex - onset)

    def _known(self, spotted: Spotted | None, *, too_large: bool = False) -> list[Spotted]:
        """Adds a movement to those that are known; returns it if it is to be listed, and new."""
        if spotted is None or any(_same(spotted.interval, *known) for known in self._found):
            return []
        self._found = [*self._found[-8:], (spotted.interval, too_large)]
        return [] if too_large else [spotted]

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


def _overlap(one: Span | Interval, other: Span | Interval) -> bool:
    return one.onset < other.offset and other.onset < one.offset


def _made_of(long: Span | Interval, brief: Span | Interval) -> bool:
    """Whether a long movement is only what is left of a brief one; it may have one within."""
    places = (long.onset, long.apex, long.offset)
    return any(brief.onset <= place <= brief.offset for place in places)


def _same(one: Interval, known: Interval, too_large: bool) -> bool:
    """Whether a movement is one that is known."""
    if one.kind == known.kind:
        return _overlap(one, known)
    return one.kind == "macro" and not too_large and _made_of(one, known)


def _mean(faces: Image) -> NDArray[np.float32]:
    return np.asarray(faces.mean(axis=0, dtype=np.float32))
