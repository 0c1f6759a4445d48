"""The sheets of a workbook: cells by row and column, as text."""

from typing import NamedTuple

from xlrd.xldate import xldate_as_datetime

from originet.datasets import bounds
from originet.system.errors import InputError


class Sheet(NamedTuple):
    """One sheet of a workbook.

    Attributes:
        name: as on its tab.
        rows: the stripped text of all cells, from the first row on; 46.0 and 46 are "46", an empty
            cell is "". Trailing empty cells and rows are dropped.
    """

    name: str
    rows: list[list[str]]


class Sheets:
    """Collects the sheets of a workbook cell by cell, within `originet.datasets.bounds`."""

    def __init__(self) -> None:
        self.whole: list[Sheet] = []
        self._cells = 0
        self._text = 0
        self._stripped: dict[str, str] = {}  # cells with the same text share one object
        self.begin("")

    def begin(self, name: str) -> None:
        """Begins a sheet."""
        self._name = name
        self._rows: dict[int, dict[int, str]] = {}

    def put(self, row: int, column: int, text: str) -> None:
        """Puts a text into a cell of the sheet; rows and columns count from 0, in any order.

        Raises:
            InputError: if the cell is not empty and exceeds a limit.
        """
        stripped = self._stripped.get(text)
        if stripped is None:
            stripped = self._stripped[text] = text.strip()
        if not stripped:
            return
        if row < 0 or column < 0:
            raise ValueError("a cell has a negative row or column")
        self._refuse_more("rows", row + 1, bounds.ROWS)
        self._refuse_more("columns", column + 1, bounds.COLUMNS)
        self._refuse_more("characters in a cell", len(stripped), bounds.CELL)
        self._text += len(stripped)
        self._refuse_more("characters, including earlier sheets", self._text, bounds.TEXT)
        self._rows.setdefault(row, {})[column] = stripped

    def end(self) -> None:
        """Ends the sheet.

        Raises:
            InputError: if the sheets have too many cells.
        """
        self._cells += sum(max(row) + 1 for row in self._rows.values())
        self._refuse_more("cells, including earlier sheets", self._cells, bounds.CELLS)
        rows: list[list[str]] = [[] for _ in range(max(self._rows, default=-1) + 1)]
        for index, cells in self._rows.items():
            rows[index] = [""] * (max(cells) + 1)
            for column, text in cells.items():
                rows[index][column] = text
        self.whole.append(Sheet(self._name, rows))

    def _refuse_more(self, what: str, number: int, most: int) -> None:
        if number > most:
            raise InputError(
                f"sheet {self._name} has {number:,} {what}; at most {most:,} are allowed"
            )


def number_text(value: float) -> str:
    """Formats a number as a spreadsheet program shows it: 46.0 as "46"."""
    return str(int(value) if value.is_integer() else value)


def date_text(value: float, datemode: int) -> str:
    """Formats a number with a date format; as a plain number if it is out of range for a date.

    Args:
        value: days since the workbook's epoch.
        datemode: 1 if the epoch is 1904, 0 if it is 1900.
    """
    try:
        return str(xldate_as_datetime(value, datemode))
    except (OverflowError, ValueError):
        return number_text(value)
