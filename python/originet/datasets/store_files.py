"""The folder of a store: who owns it, which clips are finished in it, and how it is replaced.

    images.safetensors      one tensor a method, [N, S, S] uint8
    clips.csv               the N clips, in the same order; see `originet.datasets.table`
    <class>.png             a contact sheet of each class (and method, if there are several)
    manifest.json           how it was made, of what, and what is not in it; written last
    .parts/                 while a run is under way: its arguments, the clips it has finished, and
                            in the end all files, until they are put in place

A part holds the images of one clip and is named by the clip's fingerprint, so that one whose frames
have changed since is not taken.
"""

import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar

import numpy as np
import safetensors.numpy
from msgspec import Meta
from numpy.typing import NDArray

from originet.clips.frames import is_junk
from originet.datasets.prepare import LARGEST_MARGIN
from originet.system import renamed
from originet.system.choices import METHODS
from originet.system.errors import InputError
from originet.system.files import write_atomically
from originet.system.json_files import differences, read_json, write_json
from originet.system.limits import LARGEST_IMAGE
from originet.system.tensor_files import read_arrays

IMAGES, TABLE, MANIFEST = "images.safetensors", "clips.csv", "manifest.json"
PARTS, ARGUMENTS = ".parts", "arguments.json"

GENERATOR, FORMAT = "originet.store", 1

_Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Method = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,59}\Z")]
_Sheet = Annotated[str, Meta(pattern=r"^[\w.-]{1,200}\.png\Z")]
_Path = Annotated[str, Meta(pattern=r"^[^\0]+\Z")]
_Count = Annotated[int, Meta(ge=0, le=2**53)]


class _Head(TypedDict, total=False):
    """What tells a store from somebody else's file."""

    generator: Any
    format: Any


class _Made(TypedDict):
    """Of what a store was made."""

    generator: str
    format: int
    dataset: str
    task: str
    cropped: bool
    annotations: str | None
    versions: dict[str, str]


class Identity(_Made):
    """What two runs must have in common to share a folder.

    That is whatever determines a clip's image, and what nobody would expect to be exchanged under a
    store's name. Settings of other versions are told as well, so any may be there.
    """

    settings: dict[str, bool | int | float | str | None]


class StoredSettings(TypedDict):
    """`originet.datasets.prepare.Settings` without the methods."""

    image_size: Annotated[int, Meta(ge=1, le=LARGEST_IMAGE)]
    crop_face: bool
    align_eyes: bool
    margin: Annotated[float, Meta(ge=0, le=LARGEST_MARGIN)]


class _Correction(TypedDict):
    where: str
    subject: str
    clip: str
    field: str
    coded: str
    used: str
    reason: str


class _Omission(TypedDict):
    where: str
    subject: str
    clip: str
    emotion: str
    reason: str


class _Gap(TypedDict):
    subject: str
    clip: str
    missing: _Count
    numbers: str


class _Failure(TypedDict):
    dataset: str
    subject: str
    clip: str
    reason: str


class _Later(TypedDict, total=False):
    """What the first versions did not say."""

    clips_file_sha256: _Hash | None
    flat: dict[str, str]
    skipped: dict[str, str]


class Manifest(_Made, _Later):
    """What `manifest.json` says."""

    settings: StoredSettings
    methods: Annotated[list[_Method], Meta(min_length=1)]
    root: _Path
    annotations_sha256: _Hash | None
    classes: dict[str, _Count]
    clip_list_sha256: _Hash
    images_sha256: dict[_Method, _Hash]
    contact_sheets: list[_Sheet]
    failed: list[_Failure]
    corrections: list[_Correction]
    unusable: list[_Omission]
    left_out: list[_Omission]
    gaps: list[_Gap]
    remarks: list[str]
    fingerprints: list[_Hash]


# What may lie in `.parts`: nothing else is taken from there, or removed with it.
_LEFT = re.compile(
    rf"{re.escape(ARGUMENTS)}|{re.escape(IMAGES)}|{re.escape(TABLE)}|{re.escape(MANIFEST)}"
    r"|[0-9a-f]{64}\.safetensors|[\w.-]+\.png|\..+\.[0-9]+\.tmp"
)


def find_manifest(folder: Path) -> Path | None:
    """Finds the file that makes a folder a store: its manifest, or what a run under way left.

    Returns:
        The file; None if the folder is no store.

    Raises:
        InputError: if the file that should tell it holds no JSON object.
    """
    for path in (folder / MANIFEST, folder / PARTS / ARGUMENTS):
        if path.is_file() and read_json(path, _Head).get("generator") == GENERATOR:
            return path
    return None


def read_manifest(folder: Path) -> Manifest:
    """Reads what a finished store says of itself.

    Raises:
        InputError: if the folder is no store, it is not finished, of another format, or its
            manifest is damaged.
    """
    path = find_manifest(folder)
    if path is None:
        raise InputError(f"{folder} is no store: it has no {MANIFEST} of `originet prepare`")
    if path.name != MANIFEST:
        raise InputError(f"{folder} is not finished: run the same `originet prepare` again")
    return _read(path, Manifest)


def open_directory(folder: Path, identity: Identity) -> None:
    """Makes the folder of a store, or checks that this run may go on with the one that is there.

    Args:
        folder: the folder.
        identity: what determines the images.

    Raises:
        InputError: if the folder is another command's store (the message names what differs), is
            no store and not empty, or holds a link or a file where only a run's own may be.
        OSError: if it cannot be written.
    """
    parts = folder / PARTS
    if os.path.lexists(parts):
        _check_parts(parts)
    path = find_manifest(folder)
    if path is None:
        held = [path for path in folder.iterdir() if not is_junk(path)] if folder.is_dir() else []
        if held:
            raise InputError(f"{folder} is no store but holds {min(held).name}: name a new folder")
    else:
        there = _read(path, Identity)
        if told := list(differences(there, identity)):
            raise InputError(f"{folder} is the store of another command: {'; '.join(told)}")
    parts.mkdir(parents=True, exist_ok=True)
    write_json(parts / ARGUMENTS, dict(identity))


def read_part(folder: Path, fingerprint: str, size: int) -> dict[str, NDArray[np.uint8]]:
    """Reads the images, [size, size], that an interrupted run left of a clip; none if there are."""
    path = folder / PARTS / f"{fingerprint}.safetensors"
    if not path.is_file():
        return {}
    try:
        images = renamed.by_method(read_arrays(path, np.uint8, most=len(METHODS) * size**2))
    except InputError:  # as a power cut may leave it: the clip is made again
        return {}
    sound = all(pixels.shape == (size, size) for pixels in images.values())
    return images if sound and images.keys() <= set(METHODS) else {}


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
    the caller must have written the parts of all clips. A link in a file's place is replaced, what
    it leads to stays.

    Args:
        folder: the store.
        files: all that it shall hold, by name.

    Raises:
        InputError: if there is a folder in a file's place.
        OSError: if a file cannot be written.
    """
    for name in files:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            raise InputError(f"{path} is a folder, in the place of a store's file: remove it")
    # All of the disk that this needs is taken before anything is replaced.
    for name, data in files.items():
        write_atomically(folder / PARTS / name, data)
    manifest = folder / MANIFEST
    if manifest.is_file():
        for name in set(read_manifest(folder)["contact_sheets"]) - files.keys():
            if _is_png(folder / name):
                (folder / name).unlink()
        manifest.unlink()
    for name in sorted(files, key=lambda name: name == MANIFEST):
        os.replace(folder / PARTS / name, folder / name)


def end_run(folder: Path) -> None:
    """Removes what only an interrupted run needs."""
    parts = folder / PARTS
    for path in parts.iterdir():
        if _is_left(path):
            path.unlink()
    parts.rmdir()


_Shape = TypeVar("_Shape", Identity, Manifest)


def _read(path: Path, shape: type[_Shape]) -> _Shape:
    """Reads a manifest or a run's arguments; another format is told before what it changed."""
    told = read_json(path, _Head).get("format")
    if isinstance(told, int) and told != FORMAT:
        raise InputError(f"{path} is of a store of format {told}, not {FORMAT}")
    return read_json(path, shape)


def _check_parts(parts: Path) -> None:
    """Refuses what no run left, since files are written and removed there."""
    if parts.is_symlink() or not parts.is_dir():
        raise InputError(f"{parts} is no folder of an interrupted run: remove it")
    for path in parts.iterdir():
        if not _is_left(path):
            raise InputError(f"{parts} holds {path.name}, which no interrupted run left: remove it")


def _is_left(path: Path) -> bool:
    """Tells whether a run left a file: a plain one, of no other name elsewhere."""
    found = path.lstat()
    plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return plain and _LEFT.fullmatch(path.name) is not None


def _is_png(path: Path) -> bool:
    """Tells whether there is a PNG file, as a contact sheet is, and no link to one."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8) == b"\x89PNG\r\n\x1a\n"
