"""Files: written whole or not at all, read only if regular, and kept inside their folders.

Join names that come from other people's files to their folder with `inside`. Read bytes with
`read_file`. Call `check_regular` before a library such as OpenCV opens a path by itself.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from originet.system.errors import InputError


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file under a temporary name in its folder, then move it into place.

    A reader sees the old file or the new one, never part of one. A failure leaves no new file.

    Args:
        path: Where to write; missing folders are made.
        data: The whole content.

    Raises:
        OSError: The file cannot be written; the error names `path`, never the temporary file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # writing would follow a link of that name
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno is None:  # not from the system, so it has its own message
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextmanager
def open_regular(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; refuse anything else.

    A pipe, a device or a socket in place of a file can block a reader forever. It is refused before
    anything is read from it.

    Args:
        path: The file; a link to one is followed.

    Yields:
        The file, in binary mode.

    Raises:
        InputError: The file is missing, a folder, not a regular file, or unreadable.
    """
    try:
        # O_NONBLOCK: otherwise opening a pipe would wait for its other end.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _refused(path, error) from error
    try:
        _check_kind(path, os.fstat(descriptor).st_mode)
    except InputError:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:
        try:
            yield file
        except OSError as error:
            raise _refused(path, error) from error


def check_regular(path: str | Path) -> int:
    """Check that a path names a regular file, before a library opens it.

    Returns:
        Its size in bytes.

    Raises:
        InputError: As for `open_regular`.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error
    _check_kind(path, found.st_mode)
    return found.st_size


def read_file(path: str | Path, *, most: int) -> bytes:
    """Read a whole regular file.

    Args:
        path: The file.
        most: Largest size allowed, in bytes.

    Raises:
        InputError: As for `open_regular`, or the file is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # Do not ask for `most`: Python allocates as much as it is asked to read.
        data = file.read(min(size, most) + 1)
        if size < len(data) <= most:  # it grew, or the system generates it on the fly
            data += file.read(most + 1 - len(data))
    if len(data) > most:
        raise InputError(f"{path} is too large: {size:,} bytes, the limit is {most:,}")
    return data


def inside(folder: str | Path, name: str) -> Path:
    """Join a name that was read from a file to the folder that it must stay in.

    Args:
        folder: The folder.
        name: A path relative to it.

    Returns:
        The path, with its links not resolved.

    Raises:
        InputError: The name is absolute, or leaves the folder through `..` or a link.
    """
    folder = Path(folder)
    try:
        path, root = folder / name, folder.resolve()
        within = not os.path.isabs(name) and root in path.resolve().parents
    except (OSError, RuntimeError, ValueError, TypeError) as error:  # a circle of links, a NUL
        raise InputError(f"{name!r} names no file in {folder}") from error
    if not within:
        raise InputError(f"{name!r} names no file in {folder}: it leads out of the folder")
    return path


def safe_name(text: str) -> str:
    """Turn a text into part of a file name: letters, digits, `_`, `-` and `.`.

    The result has at most 60 characters and 120 bytes, since a whole file name has room for 255
    bytes. Different texts may give the same name.
    """
    name = re.sub(r"^\.|[^\w.-]", "_", text)[:60]
    return name.encode()[:120].decode(errors="ignore")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a regular file's content, in hexadecimal.

    Raises:
        InputError: As for `open_regular`.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _check_kind(path: str | Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    raise InputError(f"{path} is {kinds.get(stat.S_IFMT(mode), 'something else')}, not a file")


def _refused(path: str | Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"no such file: {path}")
    return InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")


@contextmanager
def named_errors(path: str | Path) -> Iterator[None]:
    """Turn an OSError about a path, such as a missing permission, into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


@contextmanager
def writing(folder: Path, kept: str = "") -> Iterator[None]:
    """Name the folder in errors of writing; the error of a full disk names no file.

    Args:
        folder: The folder being written to.
        kept: What the user still has, for the message.

    Raises:
        InputError: In place of an OSError.
    """
    try:
        yield
    except BrokenPipeError:  # of what is printed meanwhile
        raise
    except OSError as error:
        note = f" ({kept})" if kept else ""
        raise InputError(
            f"out: cannot write to {folder}: {error.strerror or error}{note}"
        ) from error
