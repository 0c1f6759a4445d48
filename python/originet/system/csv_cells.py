"""Text for CSV files that no spreadsheet program evaluates as a formula.

When a spreadsheet program opens a CSV file, it evaluates cells that begin with `=`, `+`, `-` or
`@`, even behind a tab or a carriage return. Names may come from anybody, so such a text is written
with an apostrophe in front, which those programs read as "text follows". Reading removes it again.
A text that already begins with apostrophes and one of those signs gets one more, so that every text
comes back unchanged. Numbers are left alone: -0.5 stays a number.
"""

import re
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def guarded(value: Any) -> Any:
    """Returns a value as it should be written: text guarded, anything else unchanged."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unguarded(text: str) -> str:
    """Reverses `guarded` for the text of a cell; text without the apostrophe is unchanged."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
