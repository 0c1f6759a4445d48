"""How much is read of the tables that annotate clips, which may come from anybody.

The tables of the field have some hundred rows of some twenty columns. The bounds leave room for a
thousand times as much; what is beyond them is a mistake or an attack, and is refused before it
takes memory or time.
"""

import reprlib

from originet.system.errors import InputError
from originet.system.limits import LONGEST_NAME

BYTES = 32 * 2**20
"""Of a file on disk."""
UNFOLDED = 32 * 2**20
"""Bytes of the parts of an .xlsx file, which are compressed, that are read."""
ELEMENTS = 2_000_000
"""Elements of these parts: a cell has two or three; that many take some seconds."""
PARTS = 10_000
"""Files in the archive that an .xlsx file is."""
SHEETS = 255
"""Of a workbook: as many as spreadsheet programs make at once."""
STYLES = 2**16
"""Number formats of an .xls file, and uses of them: as many as spreadsheet programs allow."""
ROWS = 100_000
"""Of a sheet or a CSV file, the empty ones among them."""
COLUMNS = 1_000
"""Of a sheet or a CSV file."""
LINE = 2**20
"""Characters of a line of a CSV file."""
CELLS = 500_000
"""Of all sheets of a workbook, with the empty ones before the last of each row."""
CELL = 32_767
"""Characters of a cell: as many as spreadsheet programs allow."""
TEXT = 16 * 2**20
"""Characters of all cells of a workbook; a text that stands in many cells counts in each."""
DIGITS = 15
"""Of a frame number; more do not fit into the table's 64 bits, nor into a cell's number."""

QUOTED = 80
"""Characters of a text that a message quotes."""

_quotes = reprlib.Repr()
_quotes.maxstring = QUOTED


def quoted(text: str) -> str:
    """Returns a text from a table as a message quotes it: in quotes, of a long one both ends."""
    return _quotes.repr(text)


def check_name(name: str) -> None:
    """Checks a name that clips are known by.

    Raises:
        InputError: if it is longer than any name needs to be, or is not UTF-8.
    """
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"the name {quoted(name)} has {len(name):,} characters, {LONGEST_NAME:,} are allowed"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in name):  # bytes that are no letters
        raise InputError(f"the name {name!r} is not UTF-8: rename its folder or file")
