"""Reads a CSV file with a header, of which a row may be bad without stopping the others."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from originet.errors import InputError

# What annotators write where they have nothing to write.
_MISSING = frozenset(("/", "\\", "-"))


class BadRow(NamedTuple):
    """A row that cannot be read.

    Attributes:
        where: the file and the line, or lines.
        cells: what could be read of it.
        reason: what is wrong.
    """

    where: str
    cells: Mapping[str, str]
    reason: str


class Rows(NamedTuple):
    """What a CSV file holds.

    Attributes:
        good: the file and line of each row, and its cells by column: stripped, "" for what is
            missing. A column that the header lacks is empty.
        bad: the others.
        unread: columns that were not asked for, as the header writes them.
    """

    good: list[tuple[str, dict[str, str]]]
    bad: list[BadRow]
    unread: list[str]


def read_rows(path: Path, required: Sequence[str], optional: Mapping[str, Sequence[str]]) -> Rows:
    """Reads a CSV file; empty rows are skipped.

    Args:
        path: the file.
        required: columns that the header must have, and in which each row must have a value.
        optional: further columns -> their other spellings. Case, blanks and underscores do not
            count.

    Raises:
        InputError: if there is no such file, it is not UTF-8, the header lacks a column or has one
            twice, or there is nothing below it.
    """
    if not path.is_file():
        raise InputError(f"no such annotation file: {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, skipinitialspace=True, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            lines = list(_lines(path, reader))
    except (csv.Error, UnicodeDecodeError) as error:  # of the header, or wherever it is no text
        raise InputError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if missing := [name for name in required if name not in header]:
        found = ", ".join(header) or "nothing"
        raise InputError(f"{path} lacks the column {', '.join(missing)}: its header has {found}")
    fields = _fields(path, header, required, optional)
    if not lines:
        raise InputError(f"no clips in {path}: it holds only the header")
    rows = Rows([], [], [name for name, field in zip(header, fields, strict=True) if not field])
    for where, line, problem in lines:
        values = ["" if cell.strip() in _MISSING else cell.strip() for cell in line]
        cells = dict.fromkeys((*required, *optional), "")
        cells |= {field: value for field, value in zip(fields, values, strict=False) if field}
        empty = [f"{name} is empty" for name in required if not cells[name]]
        if not problem and (len(line) < len(header) or any(values[len(header) :])):
            problem = f"{len(header)} fields expected, as in the header, got {len(line)}"
        if problem or empty:
            rows.bad.append(BadRow(where, cells, problem or empty[0]))
        else:
            rows.good.append((where, cells))
    return rows


def _lines(path: Path, reader: Any) -> Iterator[tuple[str, list[str], str]]:
    """Yields where each row is, its cells, and what is wrong with its quotes, "" if nothing is."""
    while True:
        first, line, problem = reader.line_num + 1, [], ""
        try:
            line = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader goes on behind it
            problem = f"misplaced or missing quotes: {error}"
        last = reader.line_num
        where = f"line {last}" if first >= last else f"lines {first} to {last}"
        if problem or any(map(str.strip, line)):
            yield f"{path}, {where}", line, problem


def _fields(
    path: Path,
    header: Sequence[str],
    required: Sequence[str],
    optional: Mapping[str, Sequence[str]],
) -> list[str]:
    """Returns what each column holds, "" for those that were not asked for."""
    meaning = {name: name for name in required}
    meaning |= {spelling: name for name, others in optional.items() for spelling in (name, *others)}
    fields = [meaning.get(re.sub(r"[\s_]+", "", name), "") for name in header]
    for name, count in Counter(filter(None, fields)).items():
        if count > 1:
            raise InputError(f"{path} has {count} columns of {name}")
    return fields
