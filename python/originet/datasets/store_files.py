"""The folder of a store: which run owns it, which clips are finished, and how it is replaced.

    images.safetensors      one tensor per method, [N, S, S] uint8; of flows [N, S, S, 3] float32
    clips.csv               the N clips, in the same order; see `originet.datasets.table`
    <class>.png             a contact sheet per class (and per method, if there are several)
    manifest.json           how the store was made, from what, and what was left out; written last
    .parts/                 during a run: its arguments, the clips it has finished and, at the end,
                            all files until they are moved into place

A part holds the images of one clip. Its name is the clip's fingerprint, so a part whose frames have
changed since is not reused.
"""

import math
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeVar

import numpy as np
import safetensors.numpy
from msgspec import Meta
from numpy.typing import NDArray

from originet.clips.frames import is_junk
from originet.datasets.prepare import LARGEST_MARGIN, dtype_of, image_shape
from originet.system import renamed
from originet.system.choices import SOURCES
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
    """The fields that mark a store's manifest."""

    generator: Any
    format: Any


class _Made(TypedDict):
    """What a store was made from."""

    generator: str
    format: int
    dataset: str
    task: str
    cropped: bool
    annotations: str | None
    versions: dict[str, str]


class Identity(_Made):
    """What two runs must have in common to share a folder.

    This covers everything that determines a clip's image or that a user expects to stay the same
    within a store. Any settings are accepted, so that a message can name those of other versions.
    """

    settings: dict[str, bool | int | float | str | None]


class _Settings(TypedDict):
    image_size: Annotated[int, Meta(ge=1, le=LARGEST_IMAGE)]
    crop_face: bool
    align_eyes: bool
    margin: Annotated[float, Meta(ge=0, le=LARGEST_MARGIN)]


class StoredSettings(_Settings, total=False):
    """`originet.datasets.prepare.Settings` without the methods."""

    face_by: Literal["viola-jones", "landmarks"]  # not in those of early versions


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
    """Fields that manifests of early versions do not have, or of stores without flows."""

    clips_file_sha256: _Hash | None
    flat: dict[str, str]
    skipped: dict[str, str]
    channels: dict[_Method, list[str]]
    estimated_apexes: list[str]


class Manifest(_Made, _Later):
    """The content of `manifest.json`."""

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


# The files that a run leaves in `.parts`; no others are read or removed.
_LEFT = re.compile(
    rf"{re.escape(ARGUMENTS)}|{re.escape(IMAGES)}|{re.escape(TABLE)}|{re.escape(MANIFEST)}"
    r"|[0-9a-f]{64}\.safetensors|[\w.-]+\.png|\..+\.[0-9]+\.tmp"
)


def find_manifest(folder: Path) -> Path | None:
    """Finds the file that marks a folder as a store: its manifest, or an unfinished run's.

    Returns:
        The file; None if the folder is not a store.

    Raises:
        InputError: if such a file does not hold a JSON object.
    """
    for path in (folder / MANIFEST, folder / PARTS / ARGUMENTS):
        if path.is_file() and read_json(path, _Head).get("generator") == GENERATOR:
            return path
    return None


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a finished store.

    Raises:
        InputError: if the folder is not a store, or the store is unfinished, of another format or
            its manifest damaged.
    """
    path = find_manifest(folder)
    if path is None:
        raise InputError(f"{folder} is not a store: it has no {MANIFEST} by `originet prepare`")
    if path.name != MANIFEST:
        raise InputError(f"{folder} is unfinished: run the same `originet prepare` again")
    return _read(path, Manifest)


def open_directory(folder: Path, identity: Identity) -> None:
    """Creates the folder of a store, or checks that this run may resume the existing one.

    Args:
        folder: the folder.
        identity: what determines the images.

    Raises:
        InputError: if the folder is another command's store (the message names the differences),
            is neither a store nor empty, or has foreign files or links in `.parts`.
        OSError: if it cannot be written.
    """
    parts = folder / PARTS
    if os.path.lexists(parts):
        _check_parts(parts)
    path = find_manifest(folder)
    if path is None:
        held = [path for path in folder.iterdir() if not is_junk(path)] if folder.is_dir() else []
        if held:
            raise InputError(
                f"{folder} is not a store and contains {min(held).name}: choose a new folder"
            )
    else:
        there = _read(path, Identity)
        there["settings"] = renamed.cut(there["settings"])
        if changed := list(differences(there, identity)):
            raise InputError(f"{folder} is a store made by another command: {'; '.join(changed)}")
    parts.mkdir(parents=True, exist_ok=True)
    write_json(parts / ARGUMENTS, dict(identity))


def read_part(folder: Path, fingerprint: str, size: int) -> dict[str, NDArray[Any]]:
    """Reads a clip's images, by method, that an interrupted run left; may be empty."""
    path = folder / PARTS / f"{fingerprint}.safetensors"
    if not path.is_file():
        return {}
    try:
        images = renamed.by_method(
            read_arrays(path, np.uint8, np.float32, most=byte_count(SOURCES, size))
        )
    except InputError:  # such as after a power cut: the clip is prepared again
        return {}
    sound = images.keys() <= set(SOURCES) and all(
        pixels.shape == image_shape(method, size) and pixels.dtype == dtype_of(method)
        for method, pixels in images.items()
    )
    return images if sound else {}


def byte_count(methods: Iterable[str], size: int) -> int:
    """Returns the bytes that the images of a clip take, of a height and width in pixels."""
    shapes = ((image_shape(method, size), dtype_of(method)) for method in methods)
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes)


def write_part(folder: Path, fingerprint: str, images: dict[str, NDArray[Any]]) -> None:
    """Keeps the images of a finished clip, by method."""
    path = folder / PARTS / f"{fingerprint}.safetensors"
    write_changed(path, safetensors.numpy.save(images))


def write_changed(path: Path, data: bytes) -> None:
    """Writes a file, in whole or not at all, unless it already holds these bytes."""
    if not holds(path, data):
        write_atomically(path, data)


def holds(path: Path, data: bytes) -> bool:
    """Returns whether a file exists and holds these bytes."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def put_in_place(folder: Path, files: dict[str, bytes]) -> None:
    """Replaces a store's files, the manifest last.

    If this stops halfway, the store has no manifest but still has its parts, so the caller must
    have written the parts of all clips. A symbolic link in a file's place is replaced; its target
    stays.

    Args:
        folder: the store.
        files: all files of the new store, by name.

    Raises:
        InputError: if there is a folder in a file's place.
        OSError: if a file cannot be written.
    """
    for name in files:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            raise InputError(f"{path} is a folder where the store needs a file: remove it")
    # Allocates all disk space before anything is replaced.
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
    """Removes the files that only an unfinished run needs."""
    parts = folder / PARTS
    for path in parts.iterdir():
        if _is_left(path):
            path.unlink()
    parts.rmdir()


_Shape = TypeVar("_Shape", Identity, Manifest)


def _read(path: Path, shape: type[_Shape]) -> _Shape:
    """Reads a manifest or a run's arguments; checks the format before the fields."""
    version = read_json(path, _Head).get("format")
    if isinstance(version, int) and version != FORMAT:
        raise InputError(f"{path} belongs to a store of format {version}, not {FORMAT}")
    return read_json(path, shape)


def _check_parts(parts: Path) -> None:
    """Refuses a folder that no run left, since files in it are overwritten and removed."""
    if parts.is_symlink() or not parts.is_dir():
        raise InputError(f"{parts} is not a folder left by an interrupted run: remove it")
    for path in parts.iterdir():
        if not _is_left(path):
            raise InputError(
                f"{parts} contains {path.name}, which no interrupted run left: remove it"
            )


def _is_left(path: Path) -> bool:
    """Returns whether a run left this file: a regular one without other hard links."""
    found = path.lstat()
    plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return plain and _LEFT.fullmatch(path.name) is not None


def _is_png(path: Path) -> bool:
    """Returns whether a path is a PNG file, as contact sheets are, and not a symbolic link."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8) == b"\x89PNG\r\n\x1a\n"
