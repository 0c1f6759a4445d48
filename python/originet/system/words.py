"""Counts and shares in words, and text from elsewhere made safe to print."""

import re

# Characters that a terminal acts on, or that reorder or break a line: the control characters of
# ASCII and Latin-1, separators of lines and paragraphs, marks of writing direction, and surrogates,
# with which Python represents undecodable bytes of file names.
_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def counted(number: int, thing: str) -> str:
    """Returns a number with its noun.

    Args:
        number: How many.
        thing: The noun in the singular, with a regular plural.

    Returns:
        For example "1 frame", "2 frames" or "0 classes".
    """
    if number == 1:
        return f"1 {thing}"
    return f"{number} {thing}{'es' if thing.endswith('s') else 's'}"


def percent(share: float, spread: float | None = None) -> str:
    """Returns a share, and its standard deviation if given, as reports write them.

    Args:
        share: In 0..1.
        spread: Of the share, in the same unit.

    Returns:
        As "81.0 %" or "81.0 ± 2.5 %".
    """
    return f"{100 * share:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}") + " %"


def percents(interval: tuple[float, float]) -> str:
    """Returns the ends of an interval, each in 0..1, as "75.5 to 80.0 %"."""
    return "{:.1f} to {:.1f} %".format(*(100 * end for end in interval))


def printable(text: str) -> str:
    r"""Returns a text in one line, with control characters escaped.

    Args:
        text: Any text, such as the name of a file or a class.

    Returns:
        The text with control characters, line breaks and marks of direction escaped as in Python:
        `\x1b`, `\n`, `\u202e`. Everything else is unchanged.
    """
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)
