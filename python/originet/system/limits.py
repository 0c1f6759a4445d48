"""Limits: pixels per frame, and numbers of threads and processes.

The pixel limit applies to every picture, video, camera and pipe. A header of a few bytes can
announce a frame that does not fit into memory, so code that opens a source checks its header before
a decoder allocates anything. The limit is the environment variable ORIGINET_MAX_PIXELS, which
threads and child processes inherit; `--max-pixels` sets it while a command runs.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from originet.system.errors import InputError

MAX_PIXELS = 2**26  # twice the pixels of an 8K frame

LARGEST_IMAGE = 4096
"""Largest side of an active image in pixels; it bounds the memory that a typo can ask for."""

LONGEST_NAME = 1000
"""Most characters in the name of a data set, subject, clip or class; file names have 255."""

MOST_AT_ONCE = 1024
"""Most threads, processes and the like; with many more, libraries crash instead of raising."""

_VARIABLE = "ORIGINET_MAX_PIXELS"


def max_pixels() -> int:
    """Returns how many pixels a frame may have.

    Raises:
        InputError: If the environment variable is not a whole number above 0.
    """
    text = os.environ.get(_VARIABLE)
    if text is None:
        return MAX_PIXELS
    if not re.fullmatch("0*[1-9][0-9]{0,17}", text):
        raise InputError(f"{_VARIABLE} must be a number of pixels above 0, got {text[:40]!r}")
    return int(text)


@contextmanager
def frames_up_to(pixels: int) -> Iterator[None]:
    """Sets, within the context, how many pixels a frame may have in all threads of this process.

    Raises:
        InputError: If the number is not above 0, or has more than 18 digits.
    """
    if not 0 < pixels < 10**18:
        raise InputError(f"--max-pixels must be above 0 and below 10^18, got {pixels}")
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(pixels)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before


def check_frame(name: object, width: int, height: int) -> None:
    """Refuses a frame that has more pixels than the limit.

    Args:
        name: Source of the frame: a path or a camera.
        width: Width in pixels.
        height: Height in pixels.

    Raises:
        InputError: If it has; the message names the source, the size, the limit and the option.
    """
    most = max_pixels()
    if width * height > most:
        raise InputError(
            f"{name}: frames of {width}x{height} have {width * height:,} pixels, more than the "
            f"limit of {most:,} (--max-pixels)"
        )


def check_count(least: int, **values: float | None) -> None:
    """Checks requested numbers of threads, processes and the like.

    Args:
        least: The smallest number allowed.
        values: The numbers by name; None is allowed.

    Raises:
        InputError: If a number is too small or above `MOST_AT_ONCE`; the message names it.
    """
    for name, value in values.items():
        if value is not None and not value >= least:
            raise InputError(f"{name} must be at least {least}, got {value}")
        if value is not None and value > MOST_AT_ONCE:
            raise InputError(f"{name} must be at most {MOST_AT_ONCE}, got {value}")
