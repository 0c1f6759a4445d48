"""Text in a CSV file that no spreadsheet program takes for a formula.

A program that opens a CSV file computes what begins with `=`, `+`, `-` or `@`, also behind a tab or
a carriage return, and a name may come from anybody. Such a text is written with an apostrophe in
front of it, which those programs take for "what follows is text"; reading takes one away again. A
text that begins with apostrophes and one of those signs gets one more, so that every text comes
back as it was. Numbers are not touched: -0.5 stays a number.
"""

import re
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def guarded(value: Any) -> Any:
    """Returns what to write for a value: a text as described above, anything else unchanged."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unguarded(text: str) -> str:
    """Reverses `guarded` for the text of a cell; a text without the apostrophe is as it stands."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
