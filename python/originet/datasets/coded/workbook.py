"""Finds and reads the workbooks in which a data set's clips are coded.

Every cell is read as the text that a spreadsheet program shows, so a subject typed as `006` keeps
its zeros. Text is parsed where a number is expected; if that fails, the message names the cell's
file, sheet, row and column.
"""

import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from originet.clips.frames import is_junk
from originet.datasets import bounds
from originet.datasets.coded.cells import Sheet
from originet.datasets.coded.xls import SIGNATURE, read_xls
from originet.datasets.coded.xlsx import WORKBOOK, Archive, read_xlsx
from originet.system.errors import InputError
from originet.system.files import named_errors, read_file
from originet.system.words import printable

SUFFIXES = (".xls", ".xlsx")

# Other archive formats, recognized by one of their parts.
_OTHERS = {"xl/workbook.bin": ".xlsb", "content.xml": ".ods"}

# What annotators write where they have no frame number.
_MISSING = frozenset(("", "/", "\\", "-", "?", "nan", "n/a"))

# How many of a sheet's cells a message describes.
_DESCRIBED = 6

# The complete headers of the sets whose workbooks have one, normalized by `_key`.
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
    "smic": frozenset(
        "subject filename onsetf apexf offsetf totalmf1 onset2f offset2f totalmf2 onset3f offset3f "
        "totalmf3 firstf lastf totalvl emotion".split()
    ),
    "dfme": frozenset(
        "subject filename onsetframe apexframe offsetframe emotion emotionid fps au".split()
    ),
    "fourdme": frozenset("subid foldname emotion onset apex offset aus".split()),
    "casme3": frozenset(
        "subject sub filename count onset apex offset au objectiveclass emotion".split()
    ),
}
_CLIP_NAMES = {
    "casme": "EP[0-9]",
    "casme2": "EP[0-9]",
    "samm": "[0-9]{3}_[0-9]",
    "smic": "s[0-9]+_[a-z]+_[0-9]",
    "dfme": "sub[0-9]+_[0-9]",
    "mmew": "S[0-9]+-[0-9]+-[0-9]",  # its header is that of CASME II
}
_SUBJECTS = frozenset(("subject", "sub", "subid"))
_CLIPS = frozenset(("filename", "count", "foldname"))
_RANGES = ({"onsetf", "offsetf"}, {"onsetframe", "offsetframe"}, {"onset", "offset"})


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
            cells = {field: _cell(row, column) for field, column in self.columns.items()}
            if any(cells.values()):
                yield index, cells

    def title(self, field: str) -> str:
        """Returns a column's heading as written on the sheet."""
        return " ".join(_cell(self.sheet.rows[self.header], self.columns[field]).split())


def read_workbook(path: Path) -> list[Sheet]:
    """Reads all sheets of an .xls or .xlsx file; the content determines the format.

    Raises:
        InputError: if the file is missing, not a regular file, not a workbook, damaged,
            password-protected or over a limit of `originet.datasets.bounds`; the message names it.
    """
    data, what = read_file(path, most=bounds.BYTES), "something else"
    if not data:
        raise InputError(f"empty file (0 bytes): {path}")
    # An encrypted .xlsx is wrapped in the container of an .xls.
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise InputError(f"{path} is password-protected: save it without a password")
    try:
        if data.startswith(SIGNATURE):
            return read_xls(data)
        if data.startswith(b"PK"):
            archive = Archive(data)
            if WORKBOOK in archive:
                return read_xlsx(archive)
            kinds = (kind for name, kind in _OTHERS.items() if name in archive)
            what = f"a {next(kinds, '.zip')} file"
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    # A damaged file can raise any exception.
    except Exception as error:
        if "encrypted" in str(error):
            raise InputError(f"{path} is password-protected: save it without a password") from error
        raise InputError(f"damaged or truncated workbook: {path} ({_one_line(error)})") from error
    raise InputError(f"{path} is not a workbook: expected .xls or .xlsx, but it is {what}")


def find_workbooks(root: Path) -> list[Path]:
    """Lists the .xls and .xlsx files below a folder, at any depth, sorted by path.

    Hidden files, remnants of archivers and lock files of spreadsheet programs are left out.

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
            if real in entered:  # through a link to a folder already visited or to a parent
                folders.clear()
                continue
            entered.add(real)
            folders[:] = [name for name in folders if not is_junk(Path(name))]
            paths = (Path(folder, name) for name in files)
            found += [path for path in paths if _is_workbook(path)]
    return sorted(found)


def workbook_of(sheets: Sequence[Sheet]) -> str | None:
    """Guesses which data set a workbook codes: by its clips' names, then by the whole header.

    A single heading is not decisive, since copies gain and lose some. The result is a first guess.

    Returns:
        The data set's name; None if there is no table of coded clips.
    """
    if any("namingrule" in _key(sheet.name) for sheet in sheets):
        return "cas_me2"
    for sheet in sheets:
        for index, row in enumerate(sheet.rows):
            keys = [_key(cell) for cell in row]
            clip = next((key for key in keys if key in _CLIPS), None)
            ranged = any(map(set(keys).issuperset, _RANGES))
            if clip is not None and ranged and not _SUBJECTS.isdisjoint(keys):
                column = keys.index(clip)
                clips = [_cell(below, column) for below in sheet.rows[index + 1 :]]
                return _most_like(set(keys) - {""}, clips)
    return None


def find_header(
    sheet: Sheet, names: Mapping[str, Sequence[str]], optional: Sequence[str] = ()
) -> tuple[int, dict[str, int]] | None:
    """Finds the header of a table: the first row that has all required columns.

    Args:
        sheet: the sheet.
        names: field -> its column's accepted headings; case, blanks and underscores are ignored.
        optional: fields of `names` whose columns may be missing.

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
    """Finds the sheets that have the header; arguments are those of `find_header`.

    A header without rows below it counts only if every sheet's header has none.
    """
    headers = [(sheet, find_header(sheet, names, optional)) for sheet in sheets]
    codings = [Coding(sheet, *found) for sheet, found in headers if found is not None]
    return [coding for coding in codings if any(coding.rows())] or codings[:1]


def unread(sheets: Sequence[Sheet], read: Container[str]) -> str:
    """Names, for a remark, the sheets that are not empty and were not read; "" if none."""
    names = [sheet.name for sheet in sheets if sheet.name not in read and any(map(any, sheet.rows))]
    return f"; not read: sheet {', '.join(names)}" if names else ""


def frame_cell(text: str, where: str) -> int | None:
    """Reads a frame number from a cell.

    Args:
        text: the cell's text.
        where: the start of an error message, with at least the column.

    Returns:
        The number; None if the cell is empty or marked as missing.

    Raises:
        InputError: if the text is not a whole number.
    """
    if text.strip().lower() in _MISSING:
        return None
    whole = re.fullmatch(r"([0-9]+)(\.0*)?", text.strip())
    if whole is None or len(whole[1].lstrip("0")) > bounds.DIGITS:
        raise InputError(f"{where}: {bounds.quoted(text)} is not a frame number")
    return int(whole[1].lstrip("0") or 0)


def describe(sheets: Sequence[Sheet]) -> str:
    """Describes the first cells of a workbook that does not belong to the data set."""
    begins = []
    for sheet in sheets:
        cells = (cell for row in sheet.rows for cell in row if cell)
        first = " | ".join(cell[: bounds.QUOTED] for cell in islice(cells, _DESCRIBED))
        begins.append(f"sheet {sheet.name} ({first or 'empty'})")
    return f"has {', '.join(begins) or 'no sheet'}"


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _key(text: str) -> str:
    """Normalizes a heading: without blanks and underscores, in lower case."""
    return re.sub(r"[\s_]+", "", text).lower()


def _most_like(keys: set[str], clips: Sequence[str]) -> str:
    """Returns the data set whose clips have such names; the headings decide between several."""
    named = [
        name
        for name, pattern in _CLIP_NAMES.items()
        if any(re.match(pattern, clip, re.IGNORECASE) for clip in clips)
    ]

    def likeness(name: str) -> tuple[int, int]:
        headings = _HEADINGS.get(name, frozenset())
        return len(keys & headings) - len(keys - headings), -len(headings - keys)

    return max(named or _HEADINGS, key=likeness)


def _is_workbook(path: Path) -> bool:
    lock = path.name.startswith("~$")
    return path.suffix.lower() in SUFFIXES and not lock and not is_junk(path)


def _one_line(error: Exception) -> str:
    message = " ".join(str(error)[: bounds.QUOTED].split())
    return printable(message) or type(error).__name__


def _raise(error: OSError) -> None:
    raise error
