"""Finds the workbook below a folder that codes a data set.

One root often holds several data sets, and several copies of one workbook. A workbook belongs to a
set if its header has the set's columns and its clips are on disk. If several do, the one with the
most clips on disk is used; ties go to the preferred file name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from originet.datasets.coded.assemble import CodedClip
from originet.datasets.coded.frame_tree import FrameTree
from originet.datasets.coded.workbook import (
    SUFFIXES,
    Sheet,
    describe,
    find_workbooks,
    read_workbook,
    workbook_of,
)
from originet.datasets.survey import Omission
from originet.system.errors import InputError

# How many workbooks an error message describes.
_DESCRIBED = 6


@dataclass(frozen=True)
class Book:
    """The coded clips on a sheet of a workbook.

    Attributes:
        path: the file.
        sheet: the sheet's name.
        coded: its clips.
        unusable: rows with a wrong cell.
        remark: a note on what was read.
        codes: for CAS(ME)^2, video -> its code, such as disgust1 -> 0101.
        left_out: rows that were not requested, such as macro-expressions.
        likely: whether its header looks most like that of the requested data set.
    """

    path: Path
    sheet: str
    coded: Sequence[CodedClip]
    unusable: Sequence[Omission]
    remark: str
    codes: dict[str, str] = field(default_factory=dict)
    left_out: Sequence[Omission] = ()
    likely: bool = True

    @property
    def clips(self) -> list[tuple[str, str]]:
        """The subject of each clip, and its name on disk."""
        return [clip.on_disk for clip in self.coded]


class NoBook(InputError):
    """No workbook belongs to the data set."""


class Choice(NamedTuple):
    """The workbook that was chosen, and the frames of its clips.

    Attributes:
        book: the workbook.
        tree: the tree of its frames.
        copies: the clips of the set's other workbooks.
        remarks: what was read, and what was not used.
    """

    book: Book
    tree: FrameTree
    copies: Sequence[CodedClip]
    remarks: Sequence[str]


def choose_book(
    dataset: str,
    root: Path,
    annotations: Path | None,
    sheet: str | None,
    names: Sequence[str],
    read: Callable[[Path, list[Sheet]], list[Book]],
    frames_of: Callable[[Book], tuple[FrameTree, list[str]] | None],
    *,
    looks_for: str,
) -> Choice:
    """Chooses the workbook that codes a data set, and the frames of its clips.

    Args:
        dataset: the data set's name.
        root: where to search.
        annotations: the workbook; None searches for it.
        sheet: the name of the sheet; may be None if only one sheet has coded clips.
        names: usual file names of the workbook, the preferred one first; any other name ranks
            last.
        read: makes a `Book` of each sheet of a workbook whose header fits the data set.
        frames_of: chooses the frames of a workbook's clips, with remarks on them; None if none of
            the frames can belong to the data set.
        looks_for: what `read` looks for, for messages.

    Raises:
        NoBook: if no workbook, or not the given one, belongs to the data set; the message says what
            was found instead.
        InputError: if several sheets have coded clips and none is named, or if no sheet has the
            given name. Also whatever `frames_of` raises.
    """
    named = f"{', '.join(names)} or another" if names else "a"
    wanted = f"looked for {named} {' or '.join(SUFFIXES)} file with {looks_for}"
    paths = _find(root, annotations, names)
    if not paths:
        raise NoBook(
            f"no workbook in {root}: {wanted}, at any depth (pass one elsewhere as --annotations)"
        )
    taken: list[_Candidate] = []
    passed: list[str] = []
    for path in paths:
        try:
            taken += _take(dataset, path, read, frames_of)
        except _NotUsed as reason:
            passed.append(str(reason))
            if path == annotations:
                break
    if not taken:
        raise NoBook(f"no workbook of {dataset}{_summary(root, passed)}; {wanted}")
    chosen = _choose(taken, annotations, sheet)
    others = [entry for entry in taken if entry.book.path != chosen.book.path]
    remarks = [chosen.book.remark]
    if annotations is None:
        remarks += [f"workbook not used: {reason}" for reason in passed]
        remarks += [
            f"workbook not used (choose with --annotations): {entry.book.path} "
            f"({entry.found} of {len(entry.book.coded)} coded clips on disk)"
            for entry in others
        ]
    copies = [clip for entry in others for clip in entry.book.coded]
    return Choice(chosen.book, chosen.tree, copies, [*remarks, *chosen.remarks])


class _NotUsed(Exception):
    """A workbook does not belong to the data set; the message describes it."""


class _Candidate(NamedTuple):
    """A workbook of the data set, and how many of its clips its tree has."""

    book: Book
    tree: FrameTree
    remarks: list[str]
    found: int


def _find(root: Path, annotations: Path | None, names: Sequence[str]) -> list[Path]:
    """Lists the workbooks, with the given or preferred one first."""
    order = [name.lower() for name in names]

    def rank(path: Path) -> int:
        name = path.name.lower()
        return order.index(name) if name in order else len(order)

    if annotations is None:
        return sorted(find_workbooks(root), key=rank)
    # Copies of the given workbook: their ranges are needed where its own are not on disk.
    paths = sorted(find_workbooks(root), key=rank) if root.is_dir() else []
    named = annotations.resolve()
    return [annotations, *(path for path in paths if path.resolve() != named)]


def _take(
    dataset: str,
    path: Path,
    read: Callable[[Path, list[Sheet]], list[Book]],
    frames_of: Callable[[Book], tuple[FrameTree, list[str]] | None],
) -> list[_Candidate]:
    """Reads a workbook and finds the frames of each sheet's clips.

    Raises:
        _NotUsed: if it is damaged, or if its header and the frames on disk show that it does not
            belong to the data set.
    """
    try:
        sheets = read_workbook(path)
        books = read(path, sheets)
    except InputError as error:
        raise _NotUsed(error) from error
    owner = workbook_of(sheets)
    likely = owner in (None, dataset)
    taken = []
    for book in books:
        found = frames_of(replace(book, likely=likely))
        there = found[0].count(book.clips) if found else 0
        if found is not None and (likely or there):
            taken.append(_Candidate(book, *found, there))
    if not taken:
        is_other = f"{path} is the workbook of {owner}"
        raise _NotUsed(f"{path} {describe(sheets)}" if likely else is_other)
    return taken


def _choose(taken: Sequence[_Candidate], annotations: Path | None, sheet: str | None) -> _Candidate:
    """Chooses the given workbook, or the one with the most clips on disk, and its sheet.

    Raises:
        InputError: if there are several sheets and none is named, or none has the given name.
    """
    named = [
        entry
        for entry in taken
        if annotations in (None, entry.book.path)
        and (sheet is None or entry.book.sheet.strip().lower() == sheet.strip().lower())
    ]
    if not named:
        found = ", ".join(f"{entry.book.sheet} of {entry.book.path}" for entry in taken)
        raise InputError(f"no sheet of coded clips is called {sheet!r}: found {found}")
    # On a tie, `max` returns the first, which has the preferred name.
    chosen = max(named, key=lambda entry: entry.found)
    sheets = [entry for entry in named if entry.book.path == chosen.book.path]
    if len(sheets) > 1:
        counts = ", ".join(f"{book.sheet} ({len(book.coded)})" for book, *_ in sheets)
        raise InputError(
            f"{chosen.book.path} has coded clips on several sheets, {counts}: choose one (--sheet)"
        )
    return chosen


def _summary(root: Path, passed: Sequence[str]) -> str:
    if len(passed) == 1:
        return f": {passed[0]}"
    more = f"; and {len(passed) - _DESCRIBED} more" if len(passed) > _DESCRIBED else ""
    return f" in {root}: {'; '.join(passed[:_DESCRIBED])}{more}"
