"""One run at a time in a folder.

The operating system locks a hidden file in the folder. The lock ends with its process, however that
ends, so a file that a killed run left behind blocks nobody. The file's content only serves the
error message of a second run.
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
"""Name of the lock file. It is hidden, so it does not count as part of a folder's content."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # on some network file systems
_ATTEMPTS = 100  # one fails only if another run ends or starts at the same moment

# A thread that locks a folder twice holds one lock. Two threads count as two runs.
_threads = threading.local()


class Held:
    """A folder that this run alone writes to."""

    def __init__(self, folder: Path, file: int) -> None:
        """Takes the folder and its lock file, open and locked."""
        self.folder = folder
        self._file = file
        self._stat = os.stat(folder)
        # While it is open, a deleted folder keeps its inode number, so that no new folder gets it.
        self._pin = os.open(folder, os.O_RDONLY) if os.name == "posix" else None
        self._reported = False

    def check(self) -> None:
        """Checks that the folder is still there.

        Raises:
            InputError: If it was deleted, moved away or replaced since it was locked.
        """
        if not self._there():
            self._reported = True
            raise InputError(
                f"{self.folder} was deleted or moved away during the run, together with the files "
                "written to it"
            )

    def _there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.folder), self._stat)
        except OSError:
            return False

    def _release(self) -> None:
        if self._pin is None:  # Windows refuses to delete an open file: close ours first
            os.close(self._file)
            with contextlib.suppress(OSError):
                (self.folder / NAME).unlink()
            return
        with contextlib.suppress(OSError):
            # By descriptor, since the folder may have moved. Still locked, so that a run that opens
            # the file now does not take a deleted file for the lock.
            if os.path.samestat(os.stat(NAME, dir_fd=self._pin), os.fstat(self._file)):
                os.unlink(NAME, dir_fd=self._pin)
        os.close(self._file)
        os.close(self._pin)


@contextmanager
def held(folder: str | Path) -> Iterator[Held]:
    """Keeps other runs out of a folder.

    A thread may hold a folder more than once; the lock ends with the outermost context. Then the
    lock file is removed, and so is a folder that was made for it and holds nothing else.

    Args:
        folder: The folder; made if missing.

    Yields:
        The held folder.

    Raises:
        InputError: If another run holds the folder (the message says which), if it cannot be
            written to, or if it is gone at the end.
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
            if not place._reported:
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
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"out: cannot write to {folder}: {reason}") from error


def _locked(folder: Path) -> int:
    """Opens and locks the lock file of a folder; returns its descriptor."""
    path = folder / NAME
    # No O_TRUNC before the lock is ours. No links, which might lead to any file.
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
                import platform  # here, to keep the help of commands fast

                since = datetime.datetime.now(datetime.timezone.utc).isoformat(" ", "seconds")
                holder = f"process {os.getpid()} on {platform.node()} since {since}"
                # On a full disk the holder stays unknown, but the lock works.
                with contextlib.suppress(OSError):
                    os.ftruncate(file, 0)
                    os.write(file, holder.encode())
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
        """Locks a file; returns whether it succeeded. Other processes can still read it."""
        os.lseek(file, 2**30, os.SEEK_SET)  # lock a byte far behind the content
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
        """Locks a file; returns whether it succeeded."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(
                f"{folder} is on a file system without locks ({error.strerror}): make sure that "
                "no other run writes there",
                stacklevel=2,
            )
        return True
