"""The exception type for input that the user can correct, and one-line texts of exceptions."""

import os
import re

from originet.system.words import printable

# Characters kept of a long message: its start, often a path, and its end.
_START, _END = 1200, 300


class InputError(ValueError):
    """Bad input, described in one line that names the input and its value.

    Args:
        text: The description. It may quote text from anywhere, so line breaks become spaces, and
            a description longer than 1,500 characters loses its middle.
    """

    def __init__(self, text: str) -> None:
        super().__init__(_shortened(" ".join(text.split("\n")).strip()))


# The place in torch's or OpenCV's own sources that raised an error.
_RAISED_AT = re.compile(
    r"\[enforce fail at [^\]]*\][^.]*\. *|OpenCV\([^)]*\) .*?:\d+: error: *", re.DOTALL
)
# How torch, OpenCV, NumPy and the dynamic loader report that memory has run out.
_NO_ROOM = re.compile(
    "out of memory|(allocate|insufficient|not enough) memory|failed to map segment|bad_alloc"
    "|can't start new thread",
    re.IGNORECASE,
)


def one_line(error: BaseException) -> str:
    """Returns the message of an exception in one printable line.

    Args:
        error: The exception.

    Returns:
        The path and the reason of an OSError. The first line of any other exception, or its type
        if it has no message.
    """
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror:
        # With two names, as when a file is moved, the user knows the second.
        name = _name(error.filename if error.filename2 is None else error.filename2)
        text = error.strerror if name is None else f"{name}: {error.strerror}"
    elif isinstance(error, UnicodeEncodeError):
        text = f"not valid text: {error.object[max(error.start - 60, 0) : error.end + 60]!r}"
    elif isinstance(error, RecursionError):
        text = "files, folders or data are nested too deeply"
    elif isinstance(error, MemoryError):
        text = text or "out of memory"
    else:
        found = _RAISED_AT.match(text)
        text = text[found.end() if found else 0 :].split("\n", 1)[0]
    return printable(_shortened(text or type(error).__name__))


def names_itself(error: BaseException) -> bool:
    """Returns whether an exception's one-line message names what it is about."""
    return isinstance(error, InputError) or (
        isinstance(error, OSError) and _name(error.filename) is not None
    )


def is_foreseen(error: BaseException) -> bool:
    """Returns whether correct code may raise an exception, so that one line is enough.

    That holds for bad input, names that are not valid text, errors of the operating system, lack of
    memory in any library, and files or folders that are nested too deeply. Any other exception is a
    bug and needs its traceback.
    """
    if isinstance(error, (InputError, OSError, MemoryError, RecursionError, UnicodeEncodeError)):
        return True
    # OpenCV's exception type has no more specific base, and cv2 must not be imported here.
    kind = isinstance(error, (RuntimeError, ImportError)) or type(error).__module__ == "cv2"
    return kind and _NO_ROOM.search(str(error)) is not None


def _shortened(line: str) -> str:
    return line if len(line) <= _START + _END else f"{line[:_START]} ... {line[-_END:]}"


def _name(name: object) -> str | None:
    """Returns the path that an OSError names, as text or bytes; None for a descriptor."""
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else None
