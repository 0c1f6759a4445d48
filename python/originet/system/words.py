"""Counts as people write them, and names from elsewhere as one may print them."""

import re

# What a terminal obeys instead of showing it, and what reorders or breaks a line: the control
# characters of ASCII and Latin-1, separators of lines and paragraphs, marks of writing direction,
# and halves of UTF-16 pairs, as which Python holds the bytes of file names that are no text.
_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def counted(number: int, thing: str) -> str:
    """Returns a number and what there is so many of.

    Args:
        number: How many.
        thing: The word for one, whose plural is regular.

    Returns:
        As "1 frame", "2 frames" or "0 classes".
    """
    if number == 1:
        return f"1 {thing}"
    return f"{number} {thing}{'es' if thing.endswith('s') else 's'}"


def printable(text: str) -> str:
    r"""Returns a text in one line that shows every character and lets none act.

    Args:
        text: Any text, such as the name of a file or a class.

    Returns:
        The text with control characters, line breaks and marks of direction written as Python
        does: `\x1b`, `\n`, `\u202e`. All else stays.
    """
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)
