"""Size limits for annotation tables, which may come from an untrusted source.

The field's tables have a few hundred rows and some twenty columns. The limits allow a thousand
times as much. A larger file is a mistake or an attack, and is refused before it costs memory or
time.
"""

import reprlib

from originet.system.errors import InputError
from originet.system.limits import LONGEST_NAME

BYTES = 32 * 2**20
"""Bytes in a file on disk."""
UNFOLDED = 32 * 2**20
"""Uncompressed bytes read from an .xlsx file."""
ELEMENTS = 2_000_000
"""XML elements in an .xlsx file: a cell has two or three; parsing this many takes seconds."""
PARTS = 10_000
"""Files in the archive that forms an .xlsx file."""
SHEETS = 255
"""Sheets in a workbook: the most that a spreadsheet program creates at once."""
STYLES = 2**16
"""Number formats in an .xls file, and uses of them: the limit of spreadsheet programs."""
ROWS = 100_000
"""Rows in a sheet or a CSV file, including empty ones."""
COLUMNS = 1_000
"""Columns in a sheet or a CSV file."""
LINE = 2**20
"""Characters in a line of a CSV file."""
CELLS = 500_000
"""Cells in all sheets of a workbook, including the empty ones before each row's last."""
CELL = 32_767
"""Characters in a cell: the limit of spreadsheet programs."""
TEXT = 16 * 2**20
"""Characters in all cells of a workbook; a text used by many cells counts once for each."""
DIGITS = 15
"""Digits of a frame number; more do not fit into the table's 64 bits or a numeric cell."""

QUOTED = 80
"""Characters of a text that a message quotes."""

_quotes = reprlib.Repr()
_quotes.maxstring = QUOTED


def quoted(text: str) -> str:
    """Quotes a text from a table for a message; a long text is cut in the middle."""
    return _quotes.repr(text)


def check_name(name: str) -> None:
    """Checks a data set's, subject's, clip's or class's name.

    Raises:
        InputError: if it is too long or is not UTF-8.
    """
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"the name {quoted(name)} has {len(name):,} characters; at most {LONGEST_NAME:,} are "
            "allowed"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in name):  # undecodable bytes
        raise InputError(f"the name {name!r} is not UTF-8: rename its folder or file")
