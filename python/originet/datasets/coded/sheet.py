"""Data sets whose clips are coded on one sheet with a header: all but CAS(ME)^2."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from originet.datasets.bounds import quoted
from originet.datasets.coded.assemble import CodedClip, KnownError, assemble
from originet.datasets.coded.books import Book, Choice, choose_book
from originet.datasets.coded.frame_tree import (
    FrameTree,
    Place,
    choose_tree,
    find_clip_trees,
    find_trees,
)
from originet.datasets.coded.workbook import Coding, Sheet, find_codings, frame_cell, unread
from originet.datasets.survey import Omission, Survey
from originet.datasets.table import normalize_label
from originet.datasets.tasks import default_task
from originet.system.errors import InputError
from originet.system.words import counted


@dataclass(frozen=True)
class SheetFormat:
    """A data set's layout on disk.

    Attributes:
        dataset: its name.
        workbooks: usual names of the workbook, the preferred one first.
        columns: field -> accepted headings, the usual one first. Fields are those of `CodedClip`
            and `apex2`, a second apex column that fills the gaps of the first; others are for
            `adapt`.
        optional: fields that a workbook need not have.
        subject_of: turns a cell or a folder's name into the subject; None if it is not a subject.
        layout: an example path of a frame, from the subject's folder on, for messages.
        frame: a pattern for the names of frames, which distinguishes the set's trees from others.
        fps: frame rate, in frames per second; NaN if it is not known, or a column has it.
        known: rows that are wrong in some copies of the workbook.
        place_of: reads the path of a clip's folder, where it is not `<subject>/<clip>`.
        adapt: completes a clip from its row's cells by field; raises InputError if it cannot.
        prefer: whether a tree of frames comes before all others.
        published: how many clips were published, for the report.
    """

    dataset: str
    workbooks: Sequence[str]
    columns: Mapping[str, Sequence[str]]
    optional: Sequence[str]
    subject_of: Callable[[str], str | None]
    layout: str
    frame: str
    fps: float
    known: Sequence[KnownError] = ()
    place_of: Callable[[Path], Place | None] | None = None
    adapt: Callable[[CodedClip, Mapping[str, str]], CodedClip] = lambda clip, cells: clip
    prefer: Callable[[FrameTree], bool] = lambda tree: True
    published: str = ""

    def trees(self, root: Path) -> Sequence[FrameTree]:
        """Finds all trees of frames below a folder; raises InputError if there are none."""
        if self.place_of is not None:
            return find_clip_trees(root, self.place_of, looks_for=self.layout)
        return find_trees(root, self.subject_of, looks_for=self.layout)


def survey_sheet(
    form: SheetFormat,
    root: Path,
    *,
    annotations: Path | None = None,
    sheet: str | None = None,
    frames: Path | None = None,
    task: str | None = None,
) -> Survey:
    """Surveys a data set as its users unpack it.

    If the workbooks of several parts of a set are there, `annotations` chooses.

    Args:
        form: the set's layout on disk.
        root: the folder that contains the workbook and the frames, at any depth.
        annotations: the workbook; None searches for it.
        sheet: the sheet to read, if several sheets of the workbook have coded clips.
        frames: the folder to search for frames instead of the root.
        task: one of `originet.datasets.tasks.TASKS`; by default that of the set.

    Raises:
        InputError: if there is no such folder or task, no workbook or sheet of the data set, no
            frames, or several sheets have coded clips and none is named.
    """
    choice = choose_sheet(form, root, annotations, sheet, frames)
    book, tree = choice.book, choice.tree
    return assemble(
        form.dataset,
        task or default_task(form.dataset),
        book.coded,
        lambda clip: tree.find(*clip.on_disk),
        fps=form.fps,
        cropped=tree.cropped,
        annotations=book.path,
        frames=tree.root,
        known=form.known,
        copies=choice.copies,
        unusable=book.unusable,
        remarks=choice.remarks,
    )


def choose_sheet(
    form: SheetFormat,
    root: Path,
    annotations: Path | None,
    sheet: str | None,
    frames: Path | None,
) -> Choice:
    """Chooses the workbook, its sheet and the frames; arguments are those of `survey_sheet`.

    Raises:
        NoBook: if there is no workbook of the data set.
        InputError: for the other reasons of `survey_sheet`.
    """
    headings = [form.columns[field][0] for field in form.columns if field not in form.optional]
    trees = cache(partial(form.trees, frames or root))

    def frames_of(book: Book) -> tuple[FrameTree, list[str]] | None:
        named = []
        try:
            named = [tree for tree in trees() if re.match(form.frame, tree.example, re.IGNORECASE)]
        except InputError:
            if book.likely:
                raise
        # Renamed frames are accepted, unless the workbook looks like another set's.
        among = named or (trees() if book.likely else ())
        return choose_tree(among, book.clips, form.prefer) if among else None

    choice = choose_book(
        form.dataset,
        root,
        annotations,
        sheet,
        form.workbooks,
        partial(_read, form),
        frames_of,
        looks_for=f"columns {', '.join(headings)}",
    )
    return choice._replace(remarks=[*choice.remarks, *_other_folders(choice)])


def _other_folders(choice: Choice) -> list[str]:
    """Names, for a remark, the clips that are in the folder of another emotion."""
    emotions = {clip.emotion for clip in choice.book.coded}
    found = []
    for clip in choice.book.coded:
        for path in choice.tree.paths(*clip.on_disk):
            name = normalize_label(path.parent.name)
            if name in emotions - {clip.emotion}:
                found.append(f"{clip.subject}/{clip.clip} ({clip.emotion}, in {name})")
    return [f"in the folder of another emotion: {', '.join(found)}"] if found else []


def _read(form: SheetFormat, path: Path, sheets: list[Sheet]) -> list[Book]:
    codings = find_codings(sheets, form.columns, form.optional)
    others = unread(sheets, [coding.sheet.name for coding in codings])
    books = []
    for coding in codings:
        coded, unusable = _code_rows(form, path, coding)
        name, rows = coding.sheet.name, counted(len(coded) + len(unusable), "row")
        published = f" (published: {form.published})" if form.published else ""
        books.append(Book(path, name, coded, unusable, f"sheet {name}: {rows}{published}{others}"))
    return books


def _code_rows(
    form: SheetFormat, path: Path, coding: Coding
) -> tuple[list[CodedClip], list[Omission]]:
    """Reads the rows of a table; returns the clips, and the rows with a wrong cell."""
    coded, unusable = [], []
    for index, cells in coding.rows():
        # Messages count rows from 1 at the top of the sheet, as spreadsheet programs do; published
        # corrections count them from 0 below the header.
        where = f"{path.name}, sheet {coding.sheet.name}, row {index + 1}"
        emotion = normalize_label(cells["emotion"])
        try:
            clip = _code_row(cells, coding, where, index - coding.header - 1, form.subject_of)
            coded.append(form.adapt(clip, cells))
        except InputError as error:
            subject = form.subject_of(cells["subject"]) or cells["subject"]
            unusable.append(Omission(where, subject, cells["clip"], emotion, str(error)))
    return coded, unusable


def _code_row(
    cells: dict[str, str],
    coding: Coding,
    where: str,
    row: int,
    subject_of: Callable[[str], str | None],
) -> CodedClip:
    subject = subject_of(cells["subject"])
    if subject is None:
        raise InputError(
            f"column {coding.title('subject')}: {quoted(cells['subject'])} is not a subject"
        )
    for field in ("clip", "emotion"):
        if not cells[field]:
            raise InputError(f"column {coding.title(field)} is empty")
    frames = {
        field: frame_cell(cells[field], f"column {coding.title(field)}")
        for field in ("onset", "apex", "apex2", "offset")
        if field in cells
    }
    apex, notes = frames.get("apex"), " ".join(cells.get("notes", "").split())
    if apex is None and frames.get("apex2") is not None:
        apex, notes = frames["apex2"], f"apex from {coding.title('apex2')}"
    return CodedClip(
        where=where,
        row=row,
        subject=subject,
        clip=cells["clip"],
        onset=frames["onset"],
        apex=apex,
        offset=frames["offset"],
        # A slash or dash means an empty cell, unlike "?", which marks an uncertain unit.
        action_units=re.sub(r"^[/\\-]$", "", cells.get("action_units", "")),
        emotion=normalize_label(cells["emotion"]),
        notes=notes,
    )
