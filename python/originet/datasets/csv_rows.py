"""Reads a CSV file with a header, of which a row may be bad without stopping the others.

It may come from anybody, and is read within `originet.datasets.bounds`.
"""

import csv
import hashlib
import io
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from originet.datasets import bounds
from originet.system.csv_cells import unguarded
from originet.system.errors import InputError
from originet.system.files import read_file

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
            missing, and without what keeps spreadsheet programs from taking them for formulas. A
            column that the header lacks is empty.
        bad: the others.
        read: columns that were asked for and are there.
        unread: columns that were not asked for, as the header writes them.
        sha256: of the file's content, in hexadecimal.
    """

    good: list[tuple[str, dict[str, str]]]
    bad: list[BadRow]
    read: set[str]
    unread: list[str]
    sha256: str


def read_rows(
    path: Path,
    required: Sequence[str],
    optional: Mapping[str, Sequence[str]],
    *,
    piped: bool = False,
) -> Rows:
    """Reads a CSV file; empty rows are skipped.

    Args:
        path: the file.
        required: columns that the header must have, and in which each row must have a value.
        optional: further columns -> their other spellings. Case, blanks and underscores do not
            count.
        piped: whether `path` may also be the pipe that is the process's own standard input, as
            /dev/stdin. It can be read once.

    Raises:
        InputError: if there is no such regular file, it is not UTF-8, is beyond a bound, the header
            lacks a column or has one twice, or there is nothing below it.
    """
    data = _read_input(path) if piped and _is_input(path) else read_file(path, most=bounds.BYTES)
    try:
        (_, header, problem), *lines = [*_rows(path, data)] or [("", [], "")]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a CSV file in UTF-8: {_misfit(data)}") from error
    if problem:
        raise InputError(f"{path} is not a CSV file in UTF-8: {problem}")
    header = [name.strip().lower() for name in header]
    if len(header) > bounds.COLUMNS:
        raise InputError(
            f"{path} has {len(header):,} columns, more than the {bounds.COLUMNS:,} that are read"
        )
    if missing := [name for name in required if name not in header]:
        found = ", ".join(header)[: bounds.QUOTED] or "nothing"
        raise InputError(f"{path} lacks the column {', '.join(missing)}: its header has {found}")
    fields = _fields(path, header, required, optional)
    if not lines:
        raise InputError(f"no clips in {path}: it holds only the header")
    unread = [
        name[: bounds.QUOTED] for name, field in zip(header, fields, strict=True) if not field
    ]
    rows = Rows([], [], {*fields} - {""}, unread, hashlib.sha256(data).hexdigest())
    for where, line, problem in lines:
        values = [_value(cell.strip()) for cell in line]
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


def _is_input(path: Path) -> bool:
    """Tells whether a path is the process's own standard input, and that a pipe."""
    try:
        named, own = os.stat(path), os.fstat(0)
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(own.st_mode) and os.path.samestat(named, own)


def _read_input(path: Path) -> bytes:
    with open(0, "rb", closefd=False) as file:
        data = file.read(bounds.BYTES + 1)
    if len(data) > bounds.BYTES:
        raise InputError(f"{path} has more than the {bounds.BYTES:,} bytes that are read of it")
    return data


def _rows(path: Path, data: bytes) -> Iterator[tuple[str, list[str], str]]:
    """Yields where each row is, its cells, and what is wrong with these, "" if nothing is."""
    reader = csv.reader(_lines(path, data), skipinitialspace=True, strict=True)
    count = 0
    while True:
        first, line, problem = reader.line_num + 1, [], ""
        try:
            line = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader goes on behind it
            problem = f"misplaced or missing quotes: {error}"
        last = reader.line_num
        where = f"{path}, line {last}" if first >= last else f"{path}, lines {first} to {last}"
        if any(len(cell) > bounds.CELL for cell in line):
            line, problem = [], f"a cell has more than {bounds.CELL:,} characters"
        elif any("\0" in cell for cell in line):
            line, problem = [], "a cell holds the character NUL"
        if problem or any(map(str.strip, line)):
            count += 1
            if count > bounds.ROWS + 1:  # and the header
                raise InputError(f"{where}: more than the {bounds.ROWS:,} rows that are read")
            yield where, line, problem


def _lines(path: Path, data: bytes) -> Iterator[str]:
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    number = 0
    while line := text.readline(bounds.LINE + 1):
        number += 1
        if len(line) > bounds.LINE:
            raise InputError(f"{path}, line {number}: more than {bounds.LINE:,} characters")
        yield line


def _misfit(data: bytes) -> str:
    """Says where a text is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"line {line}: {error.reason}"
    raise ValueError("it is UTF-8")


def _value(cell: str) -> str:
    return "" if cell in _MISSING else unguarded(cell)


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
