"""Safetensors files, which may come from anybody: opened in one place, and read within limits.

A file's header describes its content. The library checks the header against the size of the file.
Here the sizes of file and header are checked before the library reads either.
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
"""Largest total size of the tensors in a file, in bytes."""

HEADER = 8 * 2**20
"""Largest header in bytes; each tensor takes some 100."""

_KINDS = {np.dtype(np.uint8): "U8", np.dtype(np.float32): "F32"}


@contextmanager
def open_tensors(path: str | Path, framework: str, *, most: int = MOST) -> Iterator[Any]:
    """Opens a safetensors file.

    Args:
        path: The file.
        framework: "numpy" or "pt", as `safetensors.safe_open` takes it.
        most: Largest total size of its tensors, in bytes.

    Yields:
        The open file. Errors while it is read become the InputError below, too.

    Raises:
        InputError: If the file is missing, not regular, too large, not a safetensors file, damaged,
            or holds a dtype that the framework lacks. The message is one line and names the file.
    """
    size = check_regular(path)
    if size > most + HEADER:
        raise InputError(f"{path} is too large: {size:,} bytes, the limit is {most:,}")
    with open_regular(path) as file:
        header = int.from_bytes(file.read(8), "little")
    if header > HEADER:
        raise InputError(f"{path} is damaged or not a safetensors file: its header is too large")
    try:
        with safetensors.safe_open(path, framework) as opened:
            yield opened
    except InputError:
        raise
    # TypeError and RuntimeError: shapes and dtypes that NumPy or torch does not support.
    except (
        safetensors.SafetensorError,
        OSError,
        ValueError,
        TypeError,
        RuntimeError,
        MemoryError,
    ) as error:
        reason = one_line(error)
        raise InputError(f"{path} is damaged or not a safetensors file: {reason}") from error


def read_arrays(path: str | Path, *dtypes: DTypeLike, most: int = MOST) -> dict[str, NDArray[Any]]:
    """Reads all arrays of a safetensors file.

    Args:
        path: The file.
        dtypes: The dtypes that an array may have, of uint8 and float32.
        most: Largest total size of the arrays, in bytes.

    Returns:
        The arrays by name, in no particular order.

    Raises:
        InputError: As for `open_tensors`, or if an array has another dtype.
    """
    wanted = [_KINDS[np.dtype(dtype)] for dtype in dtypes]
    with open_tensors(path, "numpy", most=most) as file:
        for name in file.keys():
            kind = file.get_slice(name).get_dtype()
            if kind not in wanted:
                raise InputError(f"{path} holds {name!r} as {kind}, not as {' or '.join(wanted)}")
        return {name: file.get_tensor(name) for name in file.keys()}
