"""Folders that appear with all of their files, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from originet.system import lock
from originet.system.errors import InputError


def check_free(out: Path) -> None:
    """Checks that nothing would be replaced by a new folder.

    Raises:
        InputError: If `out` exists and is not an empty folder.
    """
    taken = out.is_dir() and any(path.name != lock.NAME for path in out.iterdir())
    if taken or (out.exists() and not out.is_dir()):
        raise InputError(f"{out} exists and is not an empty folder")


@contextmanager
def written_beside(out: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `out` at the end, or is removed on an error.

    Args:
        out: A folder that `check_free` accepts.

    Raises:
        InputError: For an OSError. The message names `out`: the original names no file if the disk
            is full, and a temporary one otherwise.
    """
    path = out.resolve()
    folder = path.with_name(f".{path.name}.{os.getpid()}.partial")
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.mkdir(parents=True)
        try:
            yield folder
            if path.exists():
                path.rmdir()  # empty, as checked
            folder.rename(path)
        except BaseException:
            shutil.rmtree(folder)  # created here, so it has no files of others
            raise
    except BaseException as error:
        for parent in made:
            with suppress(OSError):  # not created, or in use by now
                parent.rmdir()
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise InputError(f"cannot write {out}: {error.strerror or error}") from error
        raise  # a broken pipe comes from the progress output
