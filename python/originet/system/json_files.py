"""JSON that is written whole and read again only where it has the shape that it must have.

The shape is a type: built-in ones, `TypedDict` and `Annotated` with `msgspec.Meta` for ranges. What
the file says beyond it is left out, NaN and numbers without bounds are no JSON, and whoever reads a
file need not expect anything but an InputError.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from originet.system.errors import InputError
from originet.system.files import read_file, write_atomically

# Results of a hundred seeds have some 10 MB.
MOST = 256 * 2**20

T = TypeVar("T")


def read_json(path: str | Path, shape: type[T]) -> T:
    """Reads a JSON file.

    Args:
        path: The file, of at most `MOST` bytes.
        shape: What it must hold, as `msgspec` understands types: `dict[str, Any]` for any object.

    Returns:
        The values.

    Raises:
        InputError: If there is no such regular file, it is too large, no JSON, nested too deeply,
            or of another shape; the message names the file and the place in it.
    """
    data = read_file(path, most=MOST)
    try:
        # Not msgspec's own reader: file names that are no text come as lone surrogates.
        values = json.loads(data.decode(), parse_constant=_number, parse_float=_number)
    except RecursionError as error:
        raise InputError(f"{path} is not valid JSON: it is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    try:
        return msgspec.convert(values, shape)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter of a name
        raise InputError(f"{path} does not hold what it should: {error}") from error


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON object, in whole or not at all.

    Args:
        path: The file; replaced if it exists.
        values: The object; finite numbers only.
    """
    write_atomically(path, json.dumps(values, indent=1, allow_nan=False).encode())


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """Tells what differs between two JSON values.

    Args:
        there: The values that were found.
        here: Those that were expected.
        name: Dotted name of the two.

    Yields:
        A clause for each value that differs, with its dotted name.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            yield from differences(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
    elif there != here:
        yield f"{name} is {_told(there)} there, {_told(here)} here"


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def _told(value: Any) -> str:
    """Writes a JSON value for people."""
    if value is None:
        return "absent"
    return " and ".join(map(_told, value)) or "empty" if isinstance(value, list) else repr(value)
