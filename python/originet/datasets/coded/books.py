"""Finds out which of the workbooks below a folder codes a data set.

Several sets under one root are usual, and so are several copies of one workbook. A workbook is a
set's when its header has the set's columns and its clips are on disk: of those that do, the one
with most of its clips there is taken, and of equal ones the one with the preferred name.
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
        unusable: rows in which a cell is wrong.
        remark: what was read.
        codes: of CAS(ME)^2, video -> its code, as disgust1 -> 0101.
        left_out: rows of another kind than was asked for.
        likely: whether its header is most like that of the data set that is looked for.
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
        """The subject and the name of each clip."""
        return [(clip.subject, clip.clip) for clip in self.coded]


class Choice(NamedTuple):
    """The workbook that was chosen, and the frames of its clips.

    Attributes:
        book: the workbook.
        tree: the tree of its frames.
        copies: the clips of the set's other workbooks.
        remarks: what was read, and what was not taken.
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
        root: where to search, unless `annotations` says which file it is.
        annotations: the workbook itself, or None.
        sheet: the name of its sheet, or None if it has one of coded clips.
        names: its usual file names, the preferred one first; other names come after them.
        read: makes a `Book` of each sheet of a workbook whose header is the data set's.
        frames_of: chooses the frames of a workbook's clips, with remarks on them; None where there
            are none that can be the data set's.
        looks_for: what `read` looks for, for messages.

    Raises:
        InputError: if no workbook is the data set's, or the one that is named is not; the message
            tells what was found instead. If coded clips are on several sheets and none is named, or
            there is no sheet of that name. What `frames_of` raises.
    """
    wanted = f"looked for {', '.join(names)} or another {' or '.join(SUFFIXES)} file"
    wanted += f" with {looks_for}"
    paths = _find(root, annotations, names)
    if not paths:
        raise InputError(
            f"no workbook in {root}: {wanted}, at any depth (--annotations names one elsewhere)"
        )
    taken: list[_Taken] = []
    passed: list[str] = []
    for path in paths:
        try:
            taken += _take(dataset, path, read, frames_of)
        except _NotTaken as reason:
            passed.append(str(reason))
            if path == annotations:
                break
    if not taken:
        raise InputError(f"no workbook of {dataset}{_told(root, passed)}; {wanted}")
    chosen = _choose(taken, annotations, sheet)
    others = [entry for entry in taken if entry.book.path != chosen.book.path]
    remarks = [chosen.book.remark]
    if annotations is None:
        remarks += [f"workbook not taken: {reason}" for reason in passed]
        remarks += [
            f"workbook not taken (--annotations chooses): {entry.book.path} "
            f"({entry.found} of {len(entry.book.coded)} coded clips on disk)"
            for entry in others
        ]
    copies = [clip for entry in others for clip in entry.book.coded]
    return Choice(chosen.book, chosen.tree, copies, [*remarks, *chosen.remarks])


class _NotTaken(Exception):
    """What a workbook is that is not the data set's."""


class _Taken(NamedTuple):
    """A workbook of the data set, and how many of its clips are found in its tree."""

    book: Book
    tree: FrameTree
    remarks: list[str]
    found: int


def _find(root: Path, annotations: Path | None, names: Sequence[str]) -> list[Path]:
    """Lists the workbooks, the one that is named or preferred first."""
    order = [name.lower() for name in names]

    def rank(path: Path) -> int:
        name = path.name.lower()
        return order.index(name) if name in order else len(order)

    if annotations is None:
        return sorted(find_workbooks(root), key=rank)
    # Copies of the one that is named: their ranges are needed where its own are not on disk.
    paths = sorted(find_workbooks(root), key=rank) if root.is_dir() else []
    named = annotations.resolve()
    return [annotations, *(path for path in paths if path.resolve() != named)]


def _take(
    dataset: str,
    path: Path,
    read: Callable[[Path, list[Sheet]], list[Book]],
    frames_of: Callable[[Book], tuple[FrameTree, list[str]] | None],
) -> list[_Taken]:
    """Reads a workbook and finds its frames, those of each sheet.

    Raises:
        _NotTaken: if it is not the data set's, by its header and what is on disk, or damaged.
    """
    try:
        sheets = read_workbook(path)
        books = read(path, sheets)
    except InputError as error:
        raise _NotTaken(error) from error
    owner = workbook_of(sheets)
    likely = owner in (None, dataset)
    taken = []
    for book in books:
        found = frames_of(replace(book, likely=likely))
        there = found[0].count(book.clips) if found else 0
        if found is not None and (likely or there):
            taken.append(_Taken(book, *found, there))
    if not taken:
        is_other = f"{path} is the workbook of {owner}"
        raise _NotTaken(f"{path} {describe(sheets)}" if likely else is_other)
    return taken


def _choose(taken: Sequence[_Taken], annotations: Path | None, sheet: str | None) -> _Taken:
    """Chooses the workbook that is named, or the one with most of its clips; and its sheet.

    Raises:
        InputError: if no sheet is named where there are several, or there is none of that name.
    """
    named = [
        entry
        for entry in taken
        if annotations in (None, entry.book.path)
        and (sheet is None or entry.book.sheet.strip().lower() == sheet.strip().lower())
    ]
    if not named:
        told = ", ".join(f"{entry.book.sheet} of {entry.book.path}" for entry in taken)
        raise InputError(f"no sheet of coded clips is called {sheet!r}: there is {told}")
    # The first of equals, which has the preferred name.
    chosen = max(named, key=lambda entry: entry.found)
    sheets = [entry for entry in named if entry.book.path == chosen.book.path]
    if len(sheets) > 1:
        told = ", ".join(f"{book.sheet} ({len(book.coded)})" for book, *_ in sheets)
        raise InputError(
            f"{chosen.book.path} has coded clips on several sheets, {told}: choose one (--sheet)"
        )
    return chosen


def _told(root: Path, passed: Sequence[str]) -> str:
    if len(passed) == 1:
        return f": {passed[0]}"
    more = f"; and {len(passed) - _DESCRIBED} more" if len(passed) > _DESCRIBED else ""
    return f" in {root}: {'; '.join(passed[:_DESCRIBED])}{more}"
