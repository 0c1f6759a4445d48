"""Reads a CSV file with a header; a bad row does not stop the others.

The file is not trusted: the limits of `originet.datasets.bounds` apply.
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

# What annotators write in an empty cell.
_MISSING = frozenset(("/", "\\", "-"))


class BadRow(NamedTuple):
    """A row that cannot be read.

    Attributes:
        where: the file and its line or lines.
        cells: the cells that could be read.
        reason: what is wrong.
    """

    where: str
    cells: Mapping[str, str]
    reason: str


class Rows(NamedTuple):
    """The content of a CSV file.

    Attributes:
        good: the file and line of each good row, and its cells by column: stripped, "" if missing,
            without the apostrophe that keeps spreadsheet programs from reading a formula. All
            cells of a column that the header does not have are empty.
        bad: the other rows.
        read: the requested columns that the file has.
        unread: the columns that were not requested, as the header spells them.
        sha256: hash of the file's content, in hexadecimal.
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
    may_be_empty: bool = False,
) -> Rows:
    """Reads a CSV file; empty rows are skipped.

    Args:
        path: the file.
        required: columns that the header must have and each row must fill.
        optional: other columns -> their alternative spellings. Case, blanks and underscores are
            ignored.
        piped: whether `path` may also be the process's own standard input, such as /dev/stdin, if
            that is a pipe. A pipe can be read only once.
        may_be_empty: whether a header alone is enough.

    Raises:
        InputError: if the file is missing, not a regular file, not UTF-8 or over a limit, the
            header misses a column or has one twice, or no row follows it unless `may_be_empty`.
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
            f"{path} has {len(header):,} columns; at most {bounds.COLUMNS:,} are allowed"
        )
    if missing := [name for name in required if name not in header]:
        found = ", ".join(header)[: bounds.QUOTED] or "nothing"
        raise InputError(f"{path} has no column {', '.join(missing)}: its header has {found}")
    fields = _fields(path, header, required, optional)
    if not lines and not may_be_empty:
        raise InputError(f"no clips in {path}: it has only a header")
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
            problem = f"expected {len(header)} fields, as in the header, got {len(line)}"
        if problem or empty:
            rows.bad.append(BadRow(where, cells, problem or empty[0]))
        else:
            rows.good.append((where, cells))
    return rows


def _is_input(path: Path) -> bool:
    """Returns whether a path is the process's own standard input and a pipe."""
    try:
        named, own = os.stat(path), os.fstat(0)
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(own.st_mode) and os.path.samestat(named, own)


def _read_input(path: Path) -> bytes:
    with open(0, "rb", closefd=False) as file:
        data = file.read(bounds.BYTES + 1)
    if len(data) > bounds.BYTES:
        raise InputError(f"{path} has more than {bounds.BYTES:,} bytes, the most allowed")
    return data


def _rows(path: Path, data: bytes) -> Iterator[tuple[str, list[str], str]]:
    """Yields each row's position, its cells, and what is wrong with them ("" if nothing)."""
    reader = csv.reader(_lines(path, data), skipinitialspace=True, strict=True)
    count = 0
    while True:
        first, line, problem = reader.line_num + 1, [], ""
        try:
            line = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader continues with the next row
            problem = f"misplaced or missing quotes: {error}"
        last = reader.line_num
        where = f"{path}, line {last}" if first >= last else f"{path}, lines {first} to {last}"
        if any(len(cell) > bounds.CELL for cell in line):
            line, problem = [], f"a cell has more than {bounds.CELL:,} characters"
        elif any("\0" in cell for cell in line):
            line, problem = [], "a cell contains a NUL character"
        if problem or any(map(str.strip, line)):
            count += 1
            if count > bounds.ROWS + 1:  # one for the header
                raise InputError(f"{where}: more than {bounds.ROWS:,} rows, the most allowed")
            yield where, line, problem


def _lines(path: Path, data: bytes) -> Iterator[str]:
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    number = 0
    while line := text.readline(bounds.LINE + 1):
        number += 1
        if len(line) > bounds.LINE:
            raise InputError(
                f"{path}, line {number}: more than {bounds.LINE:,} characters, the most allowed"
            )
        yield line


def _misfit(data: bytes) -> str:
    """Returns the line of the first byte that is not UTF-8, and what is wrong with it."""
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
    """Returns the field that each column holds; "" if it was not requested."""
    meaning = {name: name for name in required}
    meaning |= {spelling: name for name, others in optional.items() for spelling in (name, *others)}
    fields = [meaning.get(re.sub(r"[\s_]+", "", name), "") for name in header]
    for name, count in Counter(filter(None, fields)).items():
        if count > 1:
            raise InputError(f"{path} has {count} columns for {name}")
    return fields
