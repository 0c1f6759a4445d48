"""The folder of a store: who owns it, which clips are finished in it, and how it is replaced.

    images.safetensors      one tensor a method, [N, S, S] uint8
    clips.csv               the N clips, in the same order; see `originet.datasets.table_file`
    <class>.png             a contact sheet of each class (and method, if there are several)
    manifest.json           how it was made, of what, and what is not in it; written last
    .parts/                 while a run is under way: its arguments, the clips it has finished, and
                            in the end all files, until they are put in place

A part holds the images of one clip and is named by the clip's fingerprint, so that one whose frames
have changed since is not taken.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from originet import renamed
from originet.errors import InputError
from originet.files import write_atomically
from originet.json_files import differences, read_json, write_json
from originet.video import is_junk

IMAGES, TABLE, MANIFEST = "images.safetensors", "clips.csv", "manifest.json"
PARTS, ARGUMENTS = ".parts", "arguments.json"

GENERATOR, FORMAT = "originet.store", 1

# What two runs must have in common to share a folder: whatever determines a clip's image, and what
# nobody would expect to be exchanged under a store's name.
_IDENTITY = (
    "generator",
    "format",
    "dataset",
    "task",
    "cropped",
    "annotations",
    "settings",
    "versions",
)


def find_identity(folder: Path) -> dict[str, Any] | None:
    """Reads what determines the images of a store, finished or not.

    Returns:
        The identity that the store was made with; None if the folder is no store.

    Raises:
        InputError: if the file that should tell it holds no JSON object.
    """
    for path in (folder / MANIFEST, folder / PARTS / ARGUMENTS):
        if path.is_file():
            values = read_json(path, dict[str, Any])
            if values.get("generator") == GENERATOR:
                return {name: values.get(name) for name in _IDENTITY}
    return None


def open_directory(folder: Path, identity: dict[str, Any]) -> None:
    """Makes the folder of a store, or checks that this run may go on with the one that is there.

    Args:
        folder: the folder.
        identity: what determines the images, as JSON types.

    Raises:
        InputError: if the folder is another command's store (the message names what differs), or
            is no store and not empty.
        OSError: if it cannot be written.
    """
    there = find_identity(folder)
    if there is None:
        held = [path for path in folder.iterdir() if not is_junk(path)] if folder.is_dir() else []
        if held:
            raise InputError(f"{folder} is no store but holds {min(held).name}: name a new folder")
    elif told := list(differences(there, identity)):
        raise InputError(f"{folder} is the store of another command: {'; '.join(told)}")
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    write_json(folder / PARTS / ARGUMENTS, identity)


def read_part(folder: Path, fingerprint: str) -> dict[str, NDArray[Any]]:
    """Reads the images that an interrupted run left of a clip; none if there are none."""
    path = folder / PARTS / f"{fingerprint}.safetensors"
    try:
        return renamed.by_method(safetensors.numpy.load_file(path)) if path.is_file() else {}
    except safetensors.SafetensorError:  # as a power cut may leave it: the clip is made again
        return {}


def write_part(folder: Path, fingerprint: str, images: dict[str, NDArray[Any]]) -> None:
    """Keeps the images of a finished clip, by method."""
    path = folder / PARTS / f"{fingerprint}.safetensors"
    write_changed(path, safetensors.numpy.save(images))


def write_changed(path: Path, data: bytes) -> None:
    """Writes a file, in whole or not at all, unless it holds these bytes already."""
    if not holds(path, data):
        write_atomically(path, data)


def holds(path: Path, data: bytes) -> bool:
    """Tells whether there is a file of these bytes."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def put_in_place(folder: Path, files: dict[str, bytes]) -> None:
    """Replaces a store's files, the manifest last, and ends the run.

    Where this stops half-way there is a store without a manifest, whose parts are still there, so
    the caller must have written the parts of all clips.

    Args:
        folder: the store.
        files: all that it shall hold, by name.
    """
    # All of the disk that this needs is taken before anything is replaced.
    for name, data in files.items():
        write_atomically(folder / PARTS / name, data)
    manifest = folder / MANIFEST
    if manifest.is_file():
        for name in set(read_json(manifest, dict[str, Any])["contact_sheets"]) - files.keys():
            (folder / name).unlink(missing_ok=True)
        manifest.unlink()
    for name in sorted(files, key=lambda name: name == MANIFEST):
        os.replace(folder / PARTS / name, folder / name)


def end_run(folder: Path) -> None:
    """Removes what only an interrupted run needs."""
    shutil.rmtree(folder / PARTS)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Names the store where writing fails: the error of a full disk names no file at all.

    Raises:
        InputError: for an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = f"cannot write the store {folder}: {error.strerror}"
        raise InputError(f"{reason} (finished clips are kept for the next run)") from error
