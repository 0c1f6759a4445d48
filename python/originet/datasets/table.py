"""The clip table, one row per clip with the same columns for every data set, and its CSV file.

In the CSV file, text is quoted and numbers are not; an empty number is unknown (NA), never 0. The
cell `frames` holds a JSON list, because file names may contain any character. Its paths are
relative to the data set's root, so that the frames can be moved. Cells are guarded so that no
spreadsheet program reads one as a formula (`originet.system.csv_cells`); unguarded tables of
earlier versions can still be read.

A table may come from an untrusted source, and so may the root and the frames' paths. They may point
anywhere: refusing `..` would not help, since the root has the same source. Therefore nothing is
ever written or removed at these paths, and reading a table opens none of them. LBP-TOP and the
pictures of `originet reproduce` decode them later, as pictures and videos in regular files;
anything else is an error that names the file.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypedDict, cast

import pandas as pd

from originet.datasets.bounds import check_name
from originet.system.csv_cells import guarded, unguarded
from originet.system.errors import InputError, one_line
from originet.system.files import read_file

COLUMNS = (
    "dataset",  # str, "folder" or the data set's name
    "subject",  # str
    "clip",  # str; (dataset, subject, clip) names a row
    "emotion",  # str, as annotated, normalised
    "label",  # str, the class under the task
    "onset",  # Int64, number of the first frame; NA: the clip's first
    "apex",  # Int64, number of the strongest frame; NA: unknown
    "offset",  # Int64, number of the last frame; NA: the clip's last
    "action_units",  # str, "" if unknown
    "fps",  # float, NaN if unknown
    "frames",  # tuple[str, ...]: image files in frame order, or one video
    "notes",  # str, remarks on the row
)

ClipTable = pd.DataFrame

KEY = ["dataset", "subject", "clip"]

# Variant spellings of labels, all found in the field's annotation files.
_SPELLINGS = {"happy": "happiness", "other": "others", "tension": "tense", "sad": "sadness"}


class ClipRow(TypedDict):
    """One row of the clip table; see `COLUMNS`."""

    dataset: str
    subject: str
    clip: str
    emotion: str
    label: str
    onset: int | None
    apex: int | None
    offset: int | None
    action_units: str
    fps: float
    frames: tuple[str, ...]
    notes: str


def normalize_label(text: str) -> str:
    """Strips and lower-cases an emotion, and unifies its known spellings."""
    label = text.strip().lower()
    return _SPELLINGS.get(label, label)


def make_table(rows: Sequence[ClipRow]) -> ClipTable:
    """Builds the clip table from its rows, in their order.

    Raises:
        InputError: if two rows have the same (dataset, subject, clip), or a name is too long or not
            UTF-8.
    """
    names = ((row["dataset"], row["subject"], row["clip"], row["label"]) for row in rows)
    for name in dict.fromkeys(chain.from_iterable(names)):
        check_name(name)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("onset", "apex", "offset"):
        table[column] = table[column].astype("Int64")
    table["fps"] = table["fps"].astype(float)
    repeated = table[table.duplicated(KEY, keep=False)]
    if len(repeated):
        first, second = (
            repeated[(repeated[KEY] == repeated.iloc[0][KEY]).all(axis=1)].iloc[:2].frames
        )
        subject, clip = repeated.iloc[0][["subject", "clip"]]
        raise InputError(f"two clips named {clip} of subject {subject}: {first[0]} and {second[0]}")
    return table


def people(table: ClipTable) -> "pd.Series[str]":
    """Returns each row's person: the subject, prefixed by the data set if there are several."""
    subjects = table["subject"].astype(str)
    if table["dataset"].nunique() > 1:  # the same name in two data sets is two people
        subjects = table["dataset"].astype(str) + "/" + subjects
    return subjects.rename("subject")


def clip_list_hash(table: ClipTable) -> str:
    """Hashes the set of clips behind a result; their order does not matter.

    Returns:
        SHA-256, in hexadecimal, of the sorted lines `dataset/subject/clip/label`, each with a
        newline at its end (as `sort | sha256sum` prints).
    """
    keys: Iterable[tuple[object, ...]] = table[[*KEY, "label"]].itertuples(index=False, name=None)
    lines = sorted("/".join(map(str, key)) + "\n" for key in keys)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


_NUMBERS = ("onset", "apex", "offset")
_TEXTS = tuple(name for name in COLUMNS if name not in (*_NUMBERS, "fps", "frames"))

_MOST = 2**28  # bytes of a table; a frame takes some 50
_LARGEST = 2**63 - 1  # frame number


def relative_frames(frames: Sequence[str], root: Path) -> list[str]:
    """Returns paths relative to a root, with forward slashes; those outside stay absolute."""
    paths = (Path(frame).absolute() for frame in frames)
    return [
        (path.relative_to(root) if path.is_relative_to(root) else path).as_posix() for path in paths
    ]


def format_table(table: ClipTable, root: Path) -> bytes:
    """Writes a clip table as CSV in UTF-8; the same table gives the same bytes.

    Args:
        table: the clips.
        root: absolute path of the folder that the frames' paths are made relative to.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    for values in table[list(COLUMNS)].itertuples(index=False, name=None):
        row = dict(zip(COLUMNS, values, strict=True))
        row["frames"] = json.dumps(relative_frames(row["frames"], root), ensure_ascii=False)
        for name in (*_NUMBERS, "fps"):
            row[name] = "" if pd.isna(row[name]) else row[name]
        writer.writerow(map(guarded, row.values()))
    # File names need not be valid text on every system; their bytes are kept as they are.
    return text.getvalue().encode("utf-8", "surrogateescape")


def read_table(path: Path, root: Path) -> ClipTable:
    """Reads a clip table that `format_table` wrote; the frames need not exist.

    Args:
        path: the CSV file.
        root: the folder that the frames' paths are relative to.

    Raises:
        InputError: if the file is not such a table; the message names the row, counting from 1
            below the header.
    """
    data = read_file(path, most=_MOST)
    try:
        if b"\0" in data:
            raise ValueError("it contains a NUL byte")
        if not data.endswith(b"\n"):
            raise ValueError("it ends within a row")
        # The `csv` module limits the length of a cell; pandas does not.
        cells = pd.read_csv(
            io.BytesIO(data),
            dtype=str,
            header=None,  # with a header, a longer row would shift the columns
            keep_default_na=False,
            encoding_errors="surrogateescape",
        )
    except (ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"{path} is not a clip table: {one_line(error)}") from error
    header, *records = cells.itertuples(index=False, name=None)
    if header != COLUMNS:
        raise InputError(f"{path} is not a clip table: its header is not {','.join(COLUMNS)}")
    rows = []
    for number, record in enumerate(records, start=1):
        try:
            rows.append(_parse(dict(zip(COLUMNS, record, strict=True)), root))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{path}, row {number}: {one_line(error)}") from error
    try:
        return make_table(rows)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _parse(row: dict[str, Any], root: Path) -> ClipRow:
    numbers = {name: _number(name, row[name]) for name in _NUMBERS}
    texts = {name: unguarded(row[name]) for name in _TEXTS}
    texts["dataset"].encode()  # only file names may have bytes that are not UTF-8
    fps = float(row["fps"] or math.nan)
    if row["fps"] and not 0 < fps < math.inf:
        raise ValueError(f"fps must be a number above 0, got {row['fps']!r}")
    values = {**texts, **numbers, "fps": fps, "frames": _frames(row["frames"], root)}
    return cast(ClipRow, values)


def _number(name: str, text: str) -> int | None:
    number = int(text) if text else None
    if number is not None and not 0 <= number <= _LARGEST:
        raise ValueError(f"{name} must be in 0..{_LARGEST}, got {number}")
    return number


def _frames(cell: str, root: Path) -> tuple[str, ...]:
    frames = json.loads(cell)
    named = isinstance(frames, list) and all(isinstance(name, str) and name for name in frames)
    if not named or not frames:
        raise ValueError("frames must be a list of file names")
    together = "".join(frames)
    together.encode("utf-8", "surrogateescape")
    if "\0" in together:
        raise ValueError("frames must be a list of file names, but one contains a NUL")
    return tuple(str(root / frame) for frame in frames)
