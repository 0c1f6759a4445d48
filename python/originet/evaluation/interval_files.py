"""CSV files of intervals: those that `originet spot` writes, and annotated ones."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from originet.datasets.bounds import DIGITS, quoted
from originet.datasets.csv_rows import Rows, read_rows
from originet.datasets.table import normalize_label
from originet.evaluation.spotting import Interval
from originet.system.errors import InputError

NAME = "intervals.csv"
"""The file of intervals in a folder that `originet spot` wrote."""

KINDS = {"micro": "micro", "me": "micro", "macro": "macro", "mae": "macro"}
"""How the field spells the two kinds of expressions."""

# Columns -> other spellings; `read_rows` ignores case, blanks and underscores.
_COLUMNS = {
    "video": ("vid", "filename"),
    "onset": ("predonset",),
    "offset": ("predoffset",),
    "subject": (),
    "label": ("emotion", "class"),
    "kind": ("type",),
    "score": (),
    "note": (),
}
_NEEDED = ("video", "onset", "offset")


class Truth(NamedTuple):
    """Annotated intervals."""

    intervals: list[Interval]
    videos: frozenset[tuple[str, str]]
    """Subject and name of every video, of those without intervals too."""


class Predicted(NamedTuple):
    """Spotted intervals."""

    intervals: list[Interval]
    others: Counter[str]
    """By note or kind, how many rows are no expressions, such as blinks."""
    unknown: frozenset[str]
    """Videos that the truth does not name."""


def read_truth(path: Path) -> Truth:
    """Reads annotated intervals.

    Args:
        path: A CSV file with the columns video, onset and offset (frame numbers, both included), of
            which the last two are empty in a row that names a video without intervals; and subject,
            label and kind if they are known.

    Raises:
        InputError: If it is not such a file; the message names the line.
    """
    rows = _read(path)
    intervals, videos = [], set()
    for where, cells in rows.good:
        video = _filled(where, cells, "video")
        subject = _filled(where, cells, "subject") if "subject" in rows.read else ""
        videos.add((subject, video))
        if not cells["onset"] and not cells["offset"]:
            continue
        kind = KINDS.get(cells["kind"].lower(), "")
        if cells["kind"] and not kind:
            raise InputError(f"{where}: kind must be micro or macro, got {quoted(cells['kind'])}")
        intervals.append(_interval(where, cells, subject, video, kind))
    return Truth(intervals, frozenset(videos))


def read_predicted(paths: Sequence[Path], truth: Truth) -> Predicted:
    """Reads spotted intervals.

    Args:
        paths: CSV files like those of `read_truth`, with a column score if it is known; or folders
            with such an `intervals.csv`. A file may have a header only. Rows with another kind than
            those of `KINDS`, or with a note, as `originet spot` gives one to blinks, are no
            expressions. A video has the name that it has in the truth, or is a path or file name of
            which that is the stem.
        truth: Gives the subject of each video where a file has none.

    Raises:
        InputError: If a file is not such a file, or a video's name belongs to several subjects of
            the truth.
    """
    by_name: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for subject, video in truth.videos:
        for name in {video, PurePath(video).stem}:
            by_name[name].add((subject, video))
    found = Predicted([], Counter(), frozenset())
    unknown = set()
    for path in _files(paths):
        rows = _read(path)
        for where, cells in rows.good:
            kind = cells["kind"].lower()
            if cells["note"] or (kind and kind not in KINDS):
                found.others[cells["note"] or kind] += 1
                continue
            given = _filled(where, cells, "subject") if "subject" in rows.read else None
            named = _filled(where, cells, "video")
            there = by_name.get(named) or by_name.get(PurePath(named).stem) or set()
            there = {place for place in there if given in (None, place[0])}
            if len(there) > 1:
                subjects = ", ".join(sorted(subject for subject, _ in there))
                raise InputError(
                    f"{where}: {quoted(named)} may be a video of {subjects}: add a column subject"
                )
            if not there:
                unknown.add(named)
            subject, video = next(iter(there), (given or "", named))
            found.intervals.append(_interval(where, cells, subject, video, KINDS.get(kind, "")))
    return found._replace(unknown=frozenset(unknown))


def _files(paths: Sequence[Path]) -> list[Path]:
    return [path / NAME if path.is_dir() else path for path in paths]


def _read(path: Path) -> Rows:
    rows = read_rows(path, (), _COLUMNS, may_be_empty=True)
    for name in _NEEDED:
        if name not in rows.read:
            raise InputError(f"{path} has no column {name}")
    for bad in rows.bad:
        raise InputError(f"{bad.where}: {bad.reason}")
    return rows


def _interval(where: str, cells: dict[str, str], subject: str, video: str, kind: str) -> Interval:
    onset, offset = (_frame(where, cells, name) for name in ("onset", "offset"))
    if offset < onset:
        raise InputError(f"{where}: offset {offset} is before onset {onset}")
    try:
        score = float(cells["score"]) if cells["score"] else None
    except ValueError:
        score = float("nan")
    if score is not None and not abs(score) < float("inf"):
        raise InputError(f"{where}: score must be a finite number, got {quoted(cells['score'])}")
    return Interval(subject, video, onset, offset, normalize_label(cells["label"]), kind, score)


def _filled(where: str, cells: dict[str, str], name: str) -> str:
    if not cells[name]:
        raise InputError(f"{where}: {name} is empty")
    return cells[name]


def _frame(where: str, cells: dict[str, str], name: str) -> int:
    text = cells[name]
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= DIGITS):
        raise InputError(f"{where}: {name} must be a frame number, got {quoted(text)}")
    return int(text)
