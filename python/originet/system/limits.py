"""Limits: how many pixels a frame may have, how many threads and processes there may be.

That of pixels holds for every picture, video, camera and pipe. A header of a few bytes can promise
a frame that no memory holds, so whoever opens a source checks what its header says before a decoder
allocates anything. The limit is the environment variable ORIGINET_MAX_PIXELS, which threads and
child processes see alike; `--max-pixels` sets it for the time of a command.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from originet.system.errors import InputError

MAX_PIXELS = 2**26  # twice as many as a frame of 8K has

LARGEST_IMAGE = 4096
"""Pixels a side that an active image may have; a typing error asks for no more memory than that."""

LONGEST_NAME = 1000
"""Characters of the name of a data set, subject, clip or class; file names have at most 255."""

MOST_AT_ONCE = 1024
"""Threads, processes and the like: with many more a library crashes rather than complain."""

_VARIABLE = "ORIGINET_MAX_PIXELS"


def max_pixels() -> int:
    """Returns how many pixels a frame may have.

    Raises:
        InputError: if the environment variable holds something else than a number above 0.
    """
    text = os.environ.get(_VARIABLE)
    if text is None:
        return MAX_PIXELS
    if not re.fullmatch("0*[1-9][0-9]{0,17}", text):
        raise InputError(f"{_VARIABLE} must be a number of pixels above 0, got {text[:40]!r}")
    return int(text)


@contextmanager
def frames_up_to(pixels: int) -> Iterator[None]:
    """Sets, for a while, how many pixels a frame may have, in all threads of this process.

    Raises:
        InputError: if the number is not above 0, or has more than 18 digits.
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
        name: what the frame is of: a path, a camera.
        width: in pixels.
        height: in pixels.

    Raises:
        InputError: if it has; the message names the source, the size, the limit and the option.
    """
    most = max_pixels()
    if width * height > most:
        raise InputError(
            f"{name}: frames of {width}x{height} have {width * height:,} pixels, more than the "
            f"limit of {most:,} (--max-pixels)"
        )


def check_count(least: int, **values: float | None) -> None:
    """Checks how many threads, processes and the like are asked for.

    Args:
        least: The smallest number allowed.
        values: The numbers by name; None is allowed.

    Raises:
        InputError: Naming the first value that is too small, or above `MOST_AT_ONCE`.
    """
    for name, value in values.items():
        if value is not None and not value >= least:
            raise InputError(f"{name} must be at least {least}, got {value}")
        if value is not None and value > MOST_AT_ONCE:
            raise InputError(f"{name} must be at most {MOST_AT_ONCE}, got {value}")
