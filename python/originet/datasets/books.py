"""Finds out which of the workbooks below a folder codes a data set.

Several sets under one root are usual, and so are several copies of one workbook. A workbook is a
set's when its header has the set's columns and its clips are on disk: of those that do, the one
with most of its clips there is taken, and of equal ones the one with the preferred name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from originet.datasets.coded import CodedClip
from originet.datasets.frame_tree import FrameTree
from originet.datasets.survey import Omission
from originet.datasets.workbook import (
    SUFFIXES,
    Sheet,
    describe,
    find_workbooks,
    read_workbook,
    workbook_of,
)
from originet.errors import InputError

# How many workbooks an error message describes.
_DESCRIBED = 6


@dataclass(frozen=True)
class Book:
    """A workbook's coded clips.

    Attributes:
        path: the file.
        coded: its clips.
        unusable: rows in which a cell is wrong.
        left_out: rows of another kind than was asked for.
        remark: what was read.
        codes: of CAS(ME)^2, video -> its code, as disgust1 -> 0101.
        likely: whether its header is most like that of the data set that is looked for.
    """

    path: Path
    coded: Sequence[CodedClip]
    unusable: Sequence[Omission]
    left_out: Sequence[Omission]
    remark: str
    codes: dict[str, str] = field(default_factory=dict)
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
    names: Sequence[str],
    read: Callable[[Path, list[Sheet]], Book | None],
    frames_of: Callable[[Book], tuple[FrameTree, list[str]] | None],
    *,
    looks_for: str,
) -> Choice:
    """Chooses the workbook that codes a data set, and the frames of its clips.

    Args:
        dataset: the data set's name.
        root: where to search, unless `annotations` says which file it is.
        annotations: the workbook itself, or None.
        names: its usual file names, the preferred one first; other names come after them.
        read: makes a `Book` of a workbook, None if its header is not the data set's.
        frames_of: chooses the frames of a workbook's clips, with remarks on them; None where there
            are none that can be the data set's.
        looks_for: what `read` looks for, for messages.

    Raises:
        InputError: if no workbook is the data set's, or the one that is named is not; the message
            tells what was found instead. What `frames_of` raises.
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
            entry = _take(dataset, path, read, frames_of)
        except _NotTaken as reason:
            passed.append(str(reason))
            if path == annotations:
                break
        else:
            taken.append(entry)
    if not taken:
        raise InputError(f"no workbook of {dataset}{_told(root, passed)}; {wanted}")
    # The first of equals, which is the one that is named or has the preferred name.
    chosen = taken[0] if annotations else max(taken, key=lambda entry: entry.found)
    others = [entry for entry in taken if entry is not chosen]
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
    read: Callable[[Path, list[Sheet]], Book | None],
    frames_of: Callable[[Book], tuple[FrameTree, list[str]] | None],
) -> _Taken:
    """Reads a workbook and finds its frames.

    Raises:
        _NotTaken: if it is not the data set's, by its header and what is on disk, or damaged.
    """
    try:
        sheets = read_workbook(path)
        book = read(path, sheets)
    except InputError as error:
        raise _NotTaken(error) from error
    owner = workbook_of(sheets)
    of_another = _NotTaken(f"{path} is the workbook of {owner}")
    if book is None:
        known = owner not in (None, dataset)
        raise of_another if known else _NotTaken(f"{path} {describe(sheets)}")
    book = replace(book, likely=owner in (None, dataset))
    found = frames_of(book)
    count = found[0].count(book.clips) if found else 0
    if found is None or not (book.likely or count):
        raise of_another
    return _Taken(book, *found, count)


def _told(root: Path, passed: Sequence[str]) -> str:
    if len(passed) == 1:
        return f": {passed[0]}"
    more = f"; and {len(passed) - _DESCRIBED} more" if len(passed) > _DESCRIBED else ""
    return f" in {root}: {'; '.join(passed[:_DESCRIBED])}{more}"
