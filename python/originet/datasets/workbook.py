"""Finds and reads the spreadsheets in which a data set's clips are coded.

Everything is read as the text that a spreadsheet program shows, so that a subject typed as `006`
keeps its zeros; numbers are parsed where a number is wanted, and a cell that holds something else
is named by its file, sheet, row and column.
"""

import io
import os
import re
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import openpyxl
import xlrd

from originet.errors import InputError
from originet.video import is_junk, named_errors

SUFFIXES = (".xls", ".xlsx")

# What annotators write where they have no frame number.
_MISSING = frozenset(("", "/", "\\", "-", "?", "nan", "n/a"))

# How many of a sheet's cells a message describes.
_DESCRIBED = 6

# The whole header of the three sets whose workbooks have one, as `_key` reduces them.
_HEADINGS = {
    "casme": frozenset(
        "subject filename onsetf apexf1 apexf2 offsetf onset(ms) total(ms) au emotion".split()
    ),
    "casme2": frozenset(
        "subject filename onsetframe apexframe offsetframe actionunits estimatedemotion "
        "objectiveclass objectiveclasses".split()
    ),
    "samm": frozenset(
        "subject filename inducementcode onsetframe apexframe offsetframe duration micro "
        "actionunits estimatedemotion objectiveclasses notes".split()
    ),
}
_CLIP_NAMES = {"casme": "EP[0-9]", "casme2": "EP[0-9]", "samm": "[0-9]{3}_[0-9]"}
_RANGES = ({"onsetf", "offsetf"}, {"onsetframe", "offsetframe"})


class Sheet(NamedTuple):
    """One sheet of a workbook.

    Attributes:
        name: as on its tab.
        rows: from the first row on, all of one length: the cells' text, stripped; 46.0 and 46 are
            "46", an empty cell is "".
    """

    name: str
    rows: list[list[str]]


class Coding(NamedTuple):
    """The table on a sheet, below its header.

    Attributes:
        sheet: the sheet.
        header: index of the header's row.
        columns: field -> index of its column.
    """

    sheet: Sheet
    header: int
    columns: dict[str, int]

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yields each row's index on the sheet and its cells by field; empty rows are skipped."""
        for index in range(self.header + 1, len(self.sheet.rows)):
            row = self.sheet.rows[index]
            cells = {field: row[column] for field, column in self.columns.items()}
            if any(cells.values()):
                yield index, cells

    def title(self, field: str) -> str:
        """Returns a column's heading, as it is written."""
        return " ".join(self.sheet.rows[self.header][self.columns[field]].split())


def read_workbook(path: Path) -> list[Sheet]:
    """Reads all sheets of an .xls or .xlsx file; its content decides which it is.

    Raises:
        InputError: naming the file, if it is missing, no workbook, damaged or password-protected.
    """
    with named_errors(path):
        if not path.exists():
            raise InputError(f"no such workbook: {path}")
        data = path.read_bytes()
    if not data:
        raise InputError(f"empty file (0 bytes): {path}")
    # An encrypted .xlsx is wrapped in the container of an .xls.
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise InputError(f"{path} is protected by a password: save it without one")
    try:
        kind = xlrd.inspect_format(content=data)
        if kind in ("xls", "xlsx"):
            return _read_xls(data) if kind == "xls" else _read_xlsx(data)
    # Both libraries let a damaged file run into whatever breaks first.
    except Exception as error:
        if "encrypted" in str(error):
            raise InputError(f"{path} is protected by a password: save it without one") from error
        raise InputError(f"damaged or truncated workbook: {path} ({_one_line(error)})") from error
    what = f"a .{kind} file" if kind else "something else"
    raise InputError(f"{path} is no workbook: .xls or .xlsx expected, its content is {what}")


def find_workbooks(root: Path) -> list[Path]:
    """Lists the .xls and .xlsx files below a folder, at any depth, sorted by path.

    Hidden files, those that archivers leave behind and those by which a spreadsheet program locks
    another are left out.

    Raises:
        InputError: if there is no such folder, or one cannot be listed.
    """
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    found: list[Path] = []
    entered: set[str] = set()
    with named_errors(root):
        for folder, folders, files in os.walk(root, onerror=_raise, followlinks=True):
            real = os.path.realpath(folder)
            if real in entered:  # a link to a folder that was, or that holds it
                folders.clear()
                continue
            entered.add(real)
            folders[:] = [name for name in folders if not is_junk(Path(name))]
            paths = (Path(folder, name) for name in files)
            found += [path for path in paths if _is_workbook(path)]
    return sorted(found)


def workbook_of(sheets: Sequence[Sheet]) -> str | None:
    """Tells whose workbook it looks like: by the names of its clips, then by the whole header.

    One heading decides nothing, for copies gain and lose some: it is only a first guess.

    Returns:
        "casme", "casme2", "cas_me2", "samm"; None if there is no table of coded clips.
    """
    if any("namingrule" in _key(sheet.name) for sheet in sheets):
        return "cas_me2"
    for sheet in sheets:
        for index, row in enumerate(sheet.rows):
            keys = [_key(cell) for cell in row]
            if {"subject", "filename"} <= set(keys) and any(map(set(keys).issuperset, _RANGES)):
                clips = [below[keys.index("filename")] for below in sheet.rows[index + 1 :]]
                return _most_like(set(keys) - {""}, clips)
    return None


def find_header(
    sheet: Sheet, names: Mapping[str, Sequence[str]], optional: Sequence[str] = ()
) -> tuple[int, dict[str, int]] | None:
    """Finds the header of a table: the first row that holds all the columns that are wanted.

    Args:
        sheet: the sheet.
        names: field -> its column's accepted headings; case, blanks and underscores do not count.
        optional: fields of `names` whose columns may be lacking.

    Returns:
        The row's index and field -> index of its column; None if there is no such row.
    """
    accepted = {field: {_key(name) for name in spellings} for field, spellings in names.items()}
    for index, row in enumerate(sheet.rows):
        keys = [_key(cell) for cell in row]
        columns = {
            field: min(keys.index(key) for key in spellings.intersection(keys))
            for field, spellings in accepted.items()
            if not spellings.isdisjoint(keys)
        }
        if columns.keys() >= names.keys() - set(optional):
            return index, columns
    return None


def find_codings(
    sheets: Sequence[Sheet], names: Mapping[str, Sequence[str]], optional: Sequence[str] = ()
) -> list[Coding]:
    """Finds the sheets that hold the header; arguments are those of `find_header`.

    One with nothing below it counts only where no sheet has more.
    """
    headers = [(sheet, find_header(sheet, names, optional)) for sheet in sheets]
    codings = [Coding(sheet, *found) for sheet, found in headers if found is not None]
    return [coding for coding in codings if any(coding.rows())] or codings[:1]


def unread(sheets: Sequence[Sheet], read: Container[str]) -> str:
    """Names, for a remark, the sheets that hold something and were not read; "" if none."""
    names = [sheet.name for sheet in sheets if sheet.name not in read and any(map(any, sheet.rows))]
    return f"; not read: sheet {', '.join(names)}" if names else ""


def frame_cell(text: str, where: str) -> int | None:
    """Reads a frame number from a cell.

    Args:
        text: the cell's text.
        where: what the message of the error begins with, at least the column.

    Returns:
        The number; None if the cell is empty or says that the number is missing.

    Raises:
        InputError: if it is anything but a whole number.
    """
    if text.strip().lower() in _MISSING:
        return None
    whole = re.fullmatch(r"([0-9]+)(\.0*)?", text.strip())
    if whole is None:
        raise InputError(f"{where}: {text!r} is not a frame number")
    return int(whole[1])


def describe(sheets: Sequence[Sheet]) -> str:
    """Says how a workbook begins that is not the one that was looked for."""
    begins = []
    for sheet in sheets:
        cells = [cell for row in sheet.rows for cell in row if cell]
        begins.append(f"sheet {sheet.name} ({' | '.join(cells[:_DESCRIBED]) or 'empty'})")
    return f"has {', '.join(begins) or 'no sheet'}"


def _read_xls(data: bytes) -> list[Sheet]:
    # The log, of complaints about harmless oddities, would go to stdout.
    book = xlrd.open_workbook(file_contents=data, logfile=io.StringIO())
    sheets = []
    for sheet in book.sheets():
        values = ([_xls_value(cell, book.datemode) for cell in row] for row in sheet.get_rows())
        sheets.append(_sheet(sheet.name, values))
    return sheets


def _xls_value(cell: xlrd.sheet.Cell, datemode: int) -> object:
    if cell.ctype == xlrd.XL_CELL_DATE:
        return xlrd.xldate_as_datetime(cell.value, datemode)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(cell.value, "#ERROR")
    return bool(cell.value) if cell.ctype == xlrd.XL_CELL_BOOLEAN else cell.value


def _read_xlsx(data: bytes) -> list[Sheet]:
    sheets = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of styles and extensions it does not know
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for sheet in book.worksheets:
            # Some programs write a wrong size of the sheet, which would cut it off.
            sheet.reset_dimensions()
            sheets.append(_sheet(sheet.title, sheet.iter_rows(values_only=True)))
    return sheets


def _sheet(name: str, values: Iterator[Sequence[object]]) -> Sheet:
    rows = [[_text(value) for value in row] for row in values]
    width = max(map(len, rows), default=0)
    return Sheet(name, [row + [""] * (width - len(row)) for row in rows])


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _key(text: str) -> str:
    """Reduces a heading to what two spellings of it share."""
    return re.sub(r"[\s_]+", "", text).lower()


def _most_like(keys: set[str], clips: Sequence[str]) -> str:
    """Returns the set whose clips are named so, of several the one with most of the headings."""
    named = [
        name
        for name, pattern in _CLIP_NAMES.items()
        if any(re.match(pattern, clip, re.IGNORECASE) for clip in clips)
    ]

    def likeness(name: str) -> tuple[int, int]:
        headings = _HEADINGS[name]
        return len(keys & headings) - len(keys - headings), -len(headings - keys)

    return max(named or _HEADINGS, key=likeness)


def _is_workbook(path: Path) -> bool:
    lock = path.name.startswith("~$")
    return path.suffix.lower() in SUFFIXES and not lock and not is_junk(path)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _raise(error: OSError) -> None:
    raise error
