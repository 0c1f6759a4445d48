"""Files: written whole or not at all, read only where they are regular, named so that none strays.

Whatever a file from elsewhere names is joined to its folder by `inside`, whatever is read as bytes
goes through `read_file`, and whatever opens a path by itself, as OpenCV does, comes after
`check_regular`.
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

    A reader sees the old file or the new one, never a part; a failure leaves no new file behind.

    Args:
        path: Where to write; missing folders are made.
        data: The whole content.

    Raises:
        OSError: The file cannot be written there; it names `path`, never the temporary file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # a link in its place would be written through
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno is None:  # not the system's, with words of its own
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextmanager
def open_regular(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading, and nothing else.

    A pipe, a device or a socket under a file's name can make a reader wait for ever; it is refused
    before anything is read of it.

    Args:
        path: The file; a link to one is followed.

    Yields:
        The file, in binary.

    Raises:
        InputError: There is no such file, it is a folder or no regular file, or cannot be read.
    """
    try:
        # O_NONBLOCK: opening a pipe would wait for its other end.
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
    """Check that a path names a regular file, before somebody else's code opens it.

    Returns:
        Its size in bytes.

    Raises:
        InputError: as `open_regular` does.
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
        most: The bytes that it may have.

    Raises:
        InputError: as `open_regular` does, or if the file is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # Not `most` at once: Python takes the memory for all that it is asked to read.
        data = file.read(min(size, most) + 1)
        if size < len(data) <= most:  # it grew, or the system makes it up as it is read
            data += file.read(most + 1 - len(data))
    if len(data) > most:
        raise InputError(f"{path} has {size:,} bytes, more than the {most:,} that are read of it")
    return data


def inside(folder: str | Path, name: str) -> Path:
    """Join a name that a file tells to the folder that it may name files of.

    Args:
        folder: The folder.
        name: A path relative to it.

    Returns:
        The path, links in it not followed.

    Raises:
        InputError: The name is absolute, or leads out of the folder, by `..` or by a link.
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
    """Returns a text as a part of a file name: letters, digits, `_`, `-` and `.`.

    There are at most 60, and at most 120 bytes of them, as a file name has room for 255 in all.
    Different texts may become one name.
    """
    name = re.sub(r"^\.|[^\w.-]", "_", text)[:60]
    return name.encode()[:120].decode(errors="ignore")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a regular file's content, in hexadecimal.

    Raises:
        InputError: as `open_regular` does.
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
    """Turns what the system says of a path, such as a missing permission, into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


@contextmanager
def writing(folder: Path, kept: str = "") -> Iterator[None]:
    """Names the folder where writing fails: the error of a full disk names no file at all.

    Args:
        folder: Where is written.
        kept: What the user still has, for the message.

    Raises:
        InputError: For an OSError.
    """
    try:
        yield
    except OSError as error:
        note = f" ({kept})" if kept else ""
        raise InputError(
            f"out: cannot write to {folder}: {error.strerror or error}{note}"
        ) from error
