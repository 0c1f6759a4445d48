"""Data sets: annotations and frames on disk become one clip table."""

from pathlib import Path

from originet.datasets.folder import load_folder, load_synthetic
from originet.datasets.table import COLUMNS, ClipRow, ClipTable, clip_list_hash, make_table
from originet.errors import InputError

__all__ = [
    "COLUMNS",
    "ClipRow",
    "ClipTable",
    "clip_list_hash",
    "load_dataset",
    "make_table",
]


def load_dataset(
    name: str, root: str | Path, *, annotations: str | Path | None = None
) -> ClipTable:
    """Loads a data set's clip table; no frame is read.

    Args:
        name: "folder" (anyone's own clips) or "synthetic" (written by `originet synth`).
        root: the data set's folder; for "folder" also a CSV file.
        annotations: a CSV file to read in place of the folder tree ("folder" only).

    Returns:
        One row a clip, with the columns `COLUMNS`, sorted by subject and clip.

    Raises:
        InputError: if the name is unknown, nothing usable is found, or an annotation is wrong.
    """
    if name == "folder":
        return load_folder(root, annotations=annotations)
    if name == "synthetic":
        if annotations is not None:
            raise InputError(f"the synthetic data set takes no annotations, got {annotations}")
        return load_synthetic(root)
    raise InputError(f"unknown data set {name!r}: choose folder or synthetic")
