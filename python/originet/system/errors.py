"""The one exception type for input that the user can correct, and what exceptions say."""

import os
import re

from originet.system.words import printable

# The characters of a message: what it begins with, often a path, and what it ends with.
_START, _END = 1200, 300


class InputError(ValueError):
    """Bad input, described in one line which names the thing and its value.

    Args:
        text: The description. What it quotes may come from anywhere: line breaks become blanks, and
            of one with more than 1,500 characters the middle is left out.
    """

    def __init__(self, text: str) -> None:
        super().__init__(_shortened(" ".join(text.split("\n")).strip()))


# Where in its own sources torch or OpenCV raised an error.
_RAISED_AT = re.compile(
    r"\[enforce fail at [^\]]*\][^.]*\. *|OpenCV\([^)]*\) .*?:\d+: error: *", re.DOTALL
)
# How torch, OpenCV, NumPy and the loader of shared libraries say that there is no room for more.
_NO_ROOM = re.compile(
    "out of memory|(allocate|insufficient|not enough) memory|failed to map segment|bad_alloc"
    "|can't start new thread",
    re.IGNORECASE,
)


def one_line(error: BaseException) -> str:
    """Returns what an exception says, in one line that may be printed.

    Args:
        error: The exception.

    Returns:
        Of an OSError the path and the reason; of others the first line, or the type where they say
        nothing.
    """
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror:
        # Of two names, as where a file is moved, the second is the one that was meant.
        name = _name(error.filename if error.filename2 is None else error.filename2)
        text = error.strerror if name is None else f"{name}: {error.strerror}"
    elif isinstance(error, UnicodeEncodeError):
        text = f"this is no text: {error.object[max(error.start - 60, 0) : error.end + 60]!r}"
    elif isinstance(error, RecursionError):
        text = "something is nested too deeply"
    elif isinstance(error, MemoryError):
        text = text or "out of memory"
    else:
        found = _RAISED_AT.match(text)
        text = text[found.end() if found else 0 :].split("\n", 1)[0]
    return printable(_shortened(text or type(error).__name__))


def names_itself(error: BaseException) -> bool:
    """Tells whether the line of an exception says what it is about."""
    return isinstance(error, InputError) or (
        isinstance(error, OSError) and _name(error.filename) is not None
    )


def is_foreseen(error: BaseException) -> bool:
    """Tells whether an exception may come with correct code, so that one line says all there is.

    Those are bad input, names that are no text, what the system refuses, want of memory by whatever
    library, and files or folders that are nested too deeply. Of any other the traceback is wanted:
    it is a mistake in a program.
    """
    if isinstance(error, (InputError, OSError, MemoryError, RecursionError, UnicodeEncodeError)):
        return True
    # OpenCV's own type derives from none that says more, and the module is not to be imported here.
    kind = isinstance(error, (RuntimeError, ImportError)) or type(error).__module__ == "cv2"
    return kind and _NO_ROOM.search(str(error)) is not None


def _shortened(line: str) -> str:
    return line if len(line) <= _START + _END else f"{line[:_START]} ... {line[-_END:]}"


def _name(name: object) -> str | None:
    """Returns the path that an OSError names, which may be bytes, or None for a descriptor."""
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else None
