"""Scores of spotted intervals, and of their classes, by the rules of the MEGC challenges.

A spotted interval is right if it overlaps a true one by IoU >= 0.5, counted in frames with both
ends included; each is matched once. F1 counts over all videos together. The spot-then-recognise
score STRS is that F1 times the F1 of the classes, which is the harmonic mean of macro precision and
macro recall over the matched intervals.

Reference: Liong, See and Chan, "Spot-then-recognize: A micro-expression analysis network for
seamless evaluation of long videos", Signal Processing: Image Communication 110, 2023. Their program
differs from these rules in ways that raise or lower a score; `compatible` repeats it.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet.system.errors import InputError

IOU = 0.5
"""The overlap from which a spotted interval is right."""


@dataclass(frozen=True)
class Interval:
    """A movement of a face in a video, spotted or annotated."""

    subject: str
    video: str
    """Its name; subjects may have videos of the same name."""
    onset: int
    """Number of the first frame."""
    offset: int
    """Number of the last frame, inclusive."""
    label: str = ""
    """Its class; "" if there is none."""
    kind: str = ""
    """"micro", "macro", or "" if that is not known."""
    score: float | None = None
    """How sure the spotter is; higher is surer."""

    @property
    def place(self) -> tuple[str, str]:
        """Subject and video."""
        return self.subject, self.video


class Spotting(NamedTuple):
    """How many intervals were found, over all videos together."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """TP / (TP + FP), 0 if nothing was spotted."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), 0 if there was nothing to spot."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), 0 if that is 0 / 0."""
        hits = 2 * self.true_positives
        return _share(hits, hits + self.false_positives + self.false_negatives)


class Analysis(NamedTuple):
    """How well the classes of matched intervals were recognised; each in 0..1.

    The means are over the classes of all true intervals. A class of which none was spotted has 0.
    """

    precision: float
    recall: float
    f1: float
    """Harmonic mean of the two."""
    uf1: float
    """Mean of the classes' F1."""
    uar: float
    """Mean of the classes' recall; when `compatible`, of their precision."""


class Score(NamedTuple):
    """The scores of one prediction."""

    spotting: Spotting
    analysis: Analysis | None
    """None if the intervals have no classes."""

    @property
    def strs(self) -> float | None:
        """The spot-then-recognise score: both F1 multiplied."""
        return None if self.analysis is None else self.spotting.f1 * self.analysis.f1


def score(
    predicted: Sequence[Interval],
    true: Sequence[Interval],
    *,
    min_iou: float = IOU,
    compatible: bool = False,
) -> Score:
    """Scores spotted intervals against true ones.

    Args:
        predicted: The spotted intervals. Those in videos without true intervals are false alarms.
        true: The true intervals. Those of videos in which nothing was spotted are missed.
        min_iou: The overlap from which a spotted interval is right, above 0, at most 1.
        compatible: Repeats the public program of the reference: subjects without predictions and
            videos without true intervals do not count, one spotted interval may match several true
            ones, UAR is the mean precision, a class counts nothing if all matched intervals are
            called it and are it, and the F1 of the classes is NaN if none was recognised.

    Returns:
        The scores. There are no scores of classes unless each interval has a class.

    Raises:
        InputError: If there are no true intervals, or `min_iou` is out of range.
    """
    if not true:
        raise InputError("there are no true intervals to score against")
    if not 0 < min_iou <= 1:
        raise InputError(f"the IoU must be above 0 and at most 1, got {min_iou:g}")
    if compatible:
        subjects = {each.subject for each in predicted}
        true = [each for each in true if each.subject in subjects]
        places = {each.place for each in true}
        predicted = [each for each in predicted if each.place in places]
    spotted, there = _by_place(predicted), _by_place(true)
    pairs: list[tuple[Interval, Interval]] = []
    false_positives = 0
    for place, intervals in spotted.items():
        match = _match_in_order if compatible else _match
        found = match(_overlaps(intervals, there.get(place, ())), min_iou)
        pairs += [(intervals[one], there[place][other]) for one, other in found]
        false_positives += len(intervals) - len({one for one, _ in found})
    spotting = Spotting(len(pairs), false_positives, len(true) - len(pairs))
    labelled = bool(predicted) and all(each.label for each in (*predicted, *true))
    classes = sorted({each.label for each in true})
    analysis = _analyse(pairs, classes, compatible) if labelled else None
    return Score(spotting, analysis)


def thresholds(
    predicted: Sequence[Interval], true: Sequence[Interval], *, min_iou: float = IOU
) -> dict[str, float]:
    """Chooses for each subject the lowest score that counts, on the other subjects only.

    It is the score at which the F1 of all other subjects' videos is best; of equals the highest.

    Args:
        predicted: The spotted intervals, each with a score.
        true: The true intervals.
        min_iou: See `score`.

    Returns:
        By subject of either, the threshold: intervals of that subject with at least this score
        count.

    Raises:
        InputError: If an interval has no score, or there are fewer than two subjects.
    """
    for each in predicted:
        if each.score is None:
            raise InputError(
                f"the interval {each.onset} to {each.offset} of {each.video} has no score, from "
                "which a threshold could be chosen"
            )
    subjects = sorted({each.subject for each in (*predicted, *true)})
    if len(subjects) < 2:
        raise InputError(
            "thresholds are chosen on other subjects, so at least 2 are needed, got "
            f"{len(subjects)}"
        )
    steps = np.unique([_score(each) for each in predicted])  # ascending
    of_subject = Counter(each.subject for each in true)
    none = np.zeros(len(steps), np.int64)
    hits, alarms = ({subject: none.copy() for subject in subjects} for _ in range(2))
    there = _by_place(true)
    for place, intervals in _by_place(predicted).items():
        for low, count, found in _by_threshold(intervals, there.get(place, ()), min_iou):
            end = int(np.searchsorted(steps, low, side="right"))
            hits[place[0]][:end] += found
            alarms[place[0]][:end] += count
    all_hits, all_alarms = (sum(each.values(), start=none) for each in (hits, alarms))
    chosen = {}
    for subject in subjects:
        right = all_hits - hits[subject]
        whole = (all_alarms - alarms[subject]) + (len(true) - of_subject[subject])
        f1 = 2 * right / np.maximum(whole, 1)
        chosen[subject] = float(steps[f1 == f1.max()][-1]) if f1.any() else math.inf
    return chosen


def above(predicted: Iterable[Interval], lowest: Mapping[str, float]) -> list[Interval]:
    """Keeps the intervals whose score reaches their subject's threshold, see `thresholds`."""
    return [each for each in predicted if _score(each) >= lowest[each.subject]]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _score(interval: Interval) -> float:
    assert interval.score is not None
    return interval.score


def _by_place(intervals: Iterable[Interval]) -> dict[tuple[str, str], list[Interval]]:
    places: dict[tuple[str, str], list[Interval]] = defaultdict(list)
    for each in intervals:
        places[each.place].append(each)
    return dict(places)


def _overlaps(predicted: Sequence[Interval], true: Sequence[Interval]) -> NDArray[np.float64]:
    """Computes the IoU of each pair [P, T], in frames with both ends included."""
    starts, ends, other_starts, other_ends = (
        np.array([getattr(each, name) for each in intervals], np.float64)
        for intervals in (predicted, true)
        for name in ("onset", "offset")
    )
    common = np.minimum.outer(ends, other_ends) - np.maximum.outer(starts, other_starts) + 1
    whole = np.add.outer(ends - starts + 1, other_ends - other_starts + 1) - common
    return np.where(common > 0, common / whole, 0.0)


def _match(overlap: NDArray[np.float64], min_iou: float) -> list[tuple[int, int]]:
    """Matches each interval at most once: as many as possible, then with the largest overlaps."""
    from scipy.optimize import linear_sum_assignment

    # One more match outweighs all overlaps, which add up to less than this.
    enough = min(overlap.shape) + 1
    worth = np.where(overlap >= min_iou, overlap + enough, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if worth[row, column] > 0]


def _match_in_order(overlap: NDArray[np.float64], min_iou: float) -> list[tuple[int, int]]:
    """Matches each predicted interval to all that it overlaps and that none before it has."""
    found: list[tuple[int, int]] = []
    taken: set[int] = set()
    for row, column in np.argwhere(overlap >= min_iou).tolist():
        if column not in taken:
            taken.add(column)
            found.append((row, column))
    return found


def _by_threshold(
    predicted: Sequence[Interval], true: Sequence[Interval], min_iou: float
) -> list[tuple[float, int, int]]:
    """Counts a video's spotted intervals and matches, at each of its scores from the highest.

    Returns:
        Scores, and how many more intervals and matches there are than at the score before. The
        number of matches never falls: more intervals leave as many to match.
    """
    ordered = sorted(predicted, key=_score, reverse=True)
    overlap = _overlaps(ordered, true)
    steps = []
    count = hits = 0
    for low, alike in itertools.groupby(ordered, key=_score):
        more = len([*alike])
        found = len(_match(overlap[: count + more], min_iou))
        steps.append((low, more, found - hits))
        count, hits = count + more, found
    return steps


def _analyse(
    pairs: Sequence[tuple[Interval, Interval]], classes: Sequence[str], compatible: bool
) -> Analysis:
    precisions, recalls, f1s = [], [], []
    for name in classes:
        called = [one.label == name for one, _ in pairs]
        meant = [other.label == name for _, other in pairs]
        hits = sum(a and b for a, b in zip(called, meant, strict=True))
        alarms, misses = sum(called) - hits, sum(meant) - hits
        if compatible and len({*called, *meant}) < 2:  # its 2 x 2 table is then 1 x 1
            hits = alarms = misses = 0
        precisions.append(_share(hits, hits + alarms))
        recalls.append(_share(hits, hits + misses))
        f1s.append(_share(2 * hits, 2 * hits + alarms + misses))
    precision, recall = float(np.mean(precisions)), float(np.mean(recalls))
    f1 = _share(2 * precision * recall, precision + recall)
    if compatible and not precision + recall:
        f1 = math.nan
    return Analysis(precision, recall, f1, float(np.mean(f1s)), precision if compatible else recall)
