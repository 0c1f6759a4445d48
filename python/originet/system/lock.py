"""One run at a time in a folder.

The lock is the system's, on a hidden file in the folder: it ends with its process, whatever ends
that, so a file that a killed run left behind stands in nobody's way. What the file says is only for
the message that the second run ends with.
"""

import contextlib
import datetime
import errno
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from originet.system.errors import InputError
from originet.system.words import printable

NAME = ".originet.lock"
"""The file. Its name is hidden, so it is no part of what a folder holds."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # as of some network file systems
_ATTEMPTS = 100  # each is lost only to a run that ends or starts at the same moment

# Nested locks of one folder are one lock, but only in the thread that holds it: two threads are two
# runs.
_threads = threading.local()


class Held:
    """A folder that this run alone writes to."""

    def __init__(self, folder: Path, file: int) -> None:
        """Takes the folder and its lock file, open and locked."""
        self.folder = folder
        self._file = file
        self._stat = os.stat(folder)
        # An open folder keeps its number when it is deleted, so that no new one can have the same.
        self._pin = os.open(folder, os.O_RDONLY) if os.name == "posix" else None
        self._told = False

    def check(self) -> None:
        """Checks that the folder is still there.

        Raises:
            InputError: If it was deleted, moved away or replaced since it was locked.
        """
        if not self._there():
            self._told = True
            raise InputError(
                f"{self.folder} was deleted or moved away during the run, and with it what was "
                "written there"
            )

    def _there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.folder), self._stat)
        except OSError:
            return False

    def _release(self) -> None:
        if self._pin is None:  # Windows deletes no open file, neither ours before nor another run's
            os.close(self._file)
            with contextlib.suppress(OSError):
                (self.folder / NAME).unlink()
            return
        with contextlib.suppress(OSError):
            # Wherever the folder is by now; and while it is locked, so that no run that opens it
            # meanwhile takes a file for the lock that is no longer there.
            if os.path.samestat(os.stat(NAME, dir_fd=self._pin), os.fstat(self._file)):
                os.unlink(NAME, dir_fd=self._pin)
        os.close(self._file)
        os.close(self._pin)


@contextmanager
def held(folder: str | Path) -> Iterator[Held]:
    """Keeps other runs out of a folder.

    A thread that holds a folder may ask for it again; the lock ends with the outermost. The lock
    file is removed then, and so is a folder that was made for it and holds nothing else.

    Args:
        folder: The folder; made if it is missing.

    Yields:
        The folder as it is held.

    Raises:
        InputError: If another run holds it (the message says which), it cannot be written to, or,
            at the end, it is no longer there.
    """
    folder = Path(folder)
    mine: dict[Any, Held] = _threads.__dict__
    with _writable(folder):
        key = folder.resolve()
    if key in mine:
        yield mine[key]
        return
    with _writable(folder):
        made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with _writable(folder):
            place = mine[key] = Held(folder, _locked(folder))
        try:
            yield place
            if not place._told:
                place.check()
        finally:
            del mine[key]
            place._release()
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()  # only if it is empty


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"out: cannot write to {folder}: {reason}") from error


def _locked(folder: Path) -> int:
    """Opens and locks the lock file of a folder; returns its descriptor."""
    path = folder / NAME
    # Not truncated before it is ours; not through a link, which might lead to any file.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    for _ in range(_ATTEMPTS):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, flags, 0o666)
        except FileNotFoundError:  # a run that ended has just removed the folder
            continue
        try:
            if not _lock(file, folder):
                holder = printable(os.read(file, 300).decode(errors="replace")) or "another process"
                raise InputError(f"{folder} is in use by {holder}; choose another folder, or wait")
            if os.path.samestat(os.stat(path), os.fstat(file)):
                import platform  # not for the help of commands

                since = datetime.datetime.now(datetime.timezone.utc).isoformat(" ", "seconds")
                told = f"process {os.getpid()} on {platform.node()} since {since}"
                # On a full disk nobody can read who it is; the lock is the same.
                with contextlib.suppress(OSError):
                    os.ftruncate(file, 0)
                    os.write(file, told.encode())
                return file
        except FileNotFoundError:  # the run that held it has just removed it
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    raise InputError(f"{folder} cannot be locked: other runs keep starting there")


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int, folder: Path) -> bool:
        """Locks a file; tells whether that was possible. Others can read it all the same."""
        os.lseek(file, 2**30, os.SEEK_SET)  # of a byte behind what is written
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(file: int, folder: Path) -> bool:
        """Locks a file; tells whether that was possible."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(
                f"{folder} is on a file system without locks ({error.strerror}): see to it that "
                "no other run writes there",
                stacklevel=2,
            )
        return True
