"""JSON files, written atomically and checked against a shape when they are read.

The shape is a type: built-in types, `TypedDict`, and `Annotated` with `msgspec.Meta` for ranges.
Additional fields are dropped. NaN and infinite numbers are refused. The only exception that reading
raises is InputError.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from originet.system.errors import InputError
from originet.system.files import read_file, write_atomically

# The results of a hundred seeds take some 10 MB.
MOST = 256 * 2**20

T = TypeVar("T")


def read_json(path: str | Path, shape: type[T]) -> T:
    """Reads a JSON file.

    Args:
        path: The file, of at most `MOST` bytes.
        shape: Type of the content, as `msgspec` understands it: `dict[str, Any]` is any object.

    Returns:
        The values.

    Raises:
        InputError: If the file is missing, not regular, too large, not JSON, nested too deeply, or
            of another shape; the message names the file and the place in it.
    """
    data = read_file(path, most=MOST)
    try:
        # Not msgspec's own parser: undecodable file names contain lone surrogates.
        values = json.loads(data.decode(), parse_constant=_number, parse_float=_number)
    except RecursionError as error:
        raise InputError(f"{path} is not valid JSON: it is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    try:
        return msgspec.convert(values, shape)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter from a key
        raise InputError(f"{path} does not hold what it should: {error}") from error


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON object, whole or not at all.

    Args:
        path: The file; replaced if it exists.
        values: The object; finite numbers only.
    """
    write_atomically(path, json.dumps(values, indent=1, allow_nan=False).encode())


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """Describes how two JSON values differ.

    Args:
        there: The value found.
        here: The value expected.
        name: Dotted name of both.

    Yields:
        A clause for each difference, with the dotted name.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            yield from differences(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
    elif there != here:
        yield f"{name} is {_readable(there)} there, {_readable(here)} here"


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def _readable(value: Any) -> str:
    """Formats a JSON value for people."""
    if value is None:
        return "absent"
    if isinstance(value, list):
        return " and ".join(map(_readable, value)) or "empty"
    return repr(value)
