"""Safetensors files, which may come from anybody: opened at one place, and read within bounds.

A file tells in its header what it holds. The library checks that header against the size of the
file; here it is looked at before anything is read that it tells of.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import DTypeLike, NDArray

from originet.system.errors import InputError, one_line
from originet.system.files import check_regular, open_regular

MOST = 8 * 2**30
"""Bytes of tensors that are read of a file."""

HEADER = 8 * 2**20
"""Bytes of a header, which has some 100 for each tensor."""

_KINDS = {np.dtype(np.uint8): "U8", np.dtype(np.float32): "F32"}


@contextmanager
def open_tensors(path: str | Path, framework: str, *, most: int = MOST) -> Iterator[Any]:
    """Opens a safetensors file.

    Args:
        path: The file.
        framework: "numpy" or "pt", as `safetensors.safe_open` takes it.
        most: The bytes that its tensors may have together.

    Yields:
        The open file. What goes wrong while it is read ends in the InputError below, too.

    Raises:
        InputError: In one line that names the file, if there is no such regular file, it is too
            large, no safetensors file, damaged, or holds what the framework does not know.
    """
    size = check_regular(path)
    if size > most + HEADER:
        raise InputError(f"{path} has {size:,} bytes, more than the {most:,} that are read of it")
    with open_regular(path) as file:
        header = int.from_bytes(file.read(8), "little")
    if header > HEADER:
        raise InputError(f"{path} is damaged or no safetensors file: its header is too large")
    try:
        with safetensors.safe_open(path, framework) as opened:
            yield opened
    except InputError:
        raise
    # TypeError and RuntimeError: shapes and kinds of numbers that NumPy or torch does not have.
    except (
        safetensors.SafetensorError,
        OSError,
        ValueError,
        TypeError,
        RuntimeError,
        MemoryError,
    ) as error:
        reason = one_line(error)
        raise InputError(f"{path} is damaged or no safetensors file: {reason}") from error


def read_arrays(path: str | Path, dtype: DTypeLike, *, most: int = MOST) -> dict[str, NDArray[Any]]:
    """Reads all arrays of a safetensors file.

    Args:
        path: The file.
        dtype: What each must be of, uint8 or float32.
        most: The bytes that they may have together.

    Returns:
        The arrays by name, in no order.

    Raises:
        InputError: As `open_tensors` does, or if an array is of another kind.
    """
    wanted = _KINDS[np.dtype(dtype)]
    with open_tensors(path, "numpy", most=most) as file:
        for name in file.keys():
            kind = file.get_slice(name).get_dtype()
            if kind != wanted:
                raise InputError(f"{path} holds {name!r} as {kind}, not as {wanted}")
        return {name: file.get_tensor(name) for name in file.keys()}
