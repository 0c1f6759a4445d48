"""A sheet with a header becomes coded clips."""

import re
from collections.abc import Callable
from pathlib import Path

from originet.datasets.coded import CodedClip
from originet.datasets.survey import Omission
from originet.datasets.table import normalize_label
from originet.datasets.workbook import Coding, frame_cell
from originet.errors import InputError


def code_rows(
    path: Path, coding: Coding, subject_of: Callable[[str], str | None]
) -> tuple[list[CodedClip], list[Omission]]:
    """Reads the rows of a table with the fields of a `CodedClip`.

    Where a table has a second column of apexes, `apex2`, it fills the gaps of the first; where it
    has one of `notes`, they are kept.

    Args:
        path: the workbook, for messages.
        coding: its columns are at least subject, clip, onset, apex, offset, action_units, emotion.
        subject_of: turns a cell into the subject's name, or into None if it is none.

    Returns:
        The clips, and the rows in which a cell is wrong.
    """
    coded, unusable = [], []
    for index, cells in coding.rows():
        # Rows are counted from 1 on the sheet, as spreadsheet programs show them, but from 0 below
        # the header in what is published of their errors.
        where = f"{path.name}, sheet {coding.sheet.name}, row {index + 1}"
        emotion = normalize_label(cells["emotion"])
        try:
            coded.append(_code_row(cells, coding, where, index - coding.header - 1, subject_of))
        except InputError as error:
            subject = subject_of(cells["subject"]) or cells["subject"]
            unusable.append(Omission(where, subject, cells["clip"], emotion, str(error)))
    return coded, unusable


def describe_coding(path: Path, coding: Coding) -> str:
    """Says which sheet was read and how many rows it has."""
    return f"workbook: {path} (sheet {coding.sheet.name}, {len(list(coding.rows()))} rows)"


def _code_row(
    cells: dict[str, str],
    coding: Coding,
    where: str,
    row: int,
    subject_of: Callable[[str], str | None],
) -> CodedClip:
    subject = subject_of(cells["subject"])
    if subject is None:
        raise InputError(f"column {coding.title('subject')}: {cells['subject']!r} is not a subject")
    for field in ("clip", "emotion"):
        if not cells[field]:
            raise InputError(f"column {coding.title(field)} is empty")
    frames = {
        field: frame_cell(cells[field], f"column {coding.title(field)}")
        for field in ("onset", "apex", "apex2", "offset")
        if field in cells
    }
    apex, notes = frames["apex"], " ".join(cells.get("notes", "").split())
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
        # Unlike "?", which coders write for an unsure unit, a stroke is an empty cell.
        action_units=re.sub(r"^[/\\-]$", "", cells["action_units"]),
        emotion=normalize_label(cells["emotion"]),
        notes=notes,
    )
