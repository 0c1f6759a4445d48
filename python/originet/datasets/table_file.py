"""The clip table as a CSV file that is read back without loss.

Text is quoted and numbers are not; an empty number is one that is unknown (NA), never 0. The cell
`frames` holds a JSON list, because any character may stand in a file name, of paths relative to the
data set's root, so that a table outlives a move of its frames.
"""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd

from originet.datasets.table import COLUMNS, ClipRow, ClipTable, make_table
from originet.errors import InputError

_NUMBERS = ("onset", "apex", "offset")


def relative_frames(frames: Sequence[str], root: Path) -> list[str]:
    """Returns paths as they are below a root, with forward slashes; others stay absolute."""
    paths = (Path(frame).absolute() for frame in frames)
    return [
        (path.relative_to(root) if path.is_relative_to(root) else path).as_posix() for path in paths
    ]


def format_table(table: ClipTable, root: Path) -> bytes:
    """Writes a clip table as CSV in UTF-8; the same table gives the same bytes.

    Args:
        table: the clips.
        root: the folder, absolute, that the paths of frames are written relative to.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    for values in table[list(COLUMNS)].itertuples(index=False, name=None):
        row = dict(zip(COLUMNS, values, strict=True))
        row["frames"] = json.dumps(relative_frames(row["frames"], root), ensure_ascii=False)
        for name in (*_NUMBERS, "fps"):
            row[name] = "" if pd.isna(row[name]) else row[name]
        writer.writerow(row.values())
    # File names need not be text on every system; what is none comes back as it was.
    return text.getvalue().encode("utf-8", "surrogateescape")


def read_table(path: Path, root: Path) -> ClipTable:
    """Reads a clip table that `format_table` wrote; the frames need not be there.

    Args:
        path: the CSV file.
        root: the folder that the paths of frames start from.

    Raises:
        InputError: if the file is no such table; names the row, the first below the header as 1.
    """
    try:
        # pandas' reader, for that of `csv` has a limit to the length of a cell.
        cells = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding_errors="surrogateescape"
        )
    except ValueError as error:
        raise InputError(f"{path} is no clip table: {error}") from error
    if tuple(cells.columns) != COLUMNS:
        raise InputError(f"{path} is no clip table: its header is not {','.join(COLUMNS)}")
    rows = []
    for number, row in enumerate(cells.to_dict("records"), start=1):
        try:
            rows.append(_parse(row, root))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}, row {number}: {error}") from error
    return make_table(rows)


def _parse(row: dict[Any, Any], root: Path) -> ClipRow:
    numbers = {name: int(row[name]) if row[name] else None for name in _NUMBERS}
    frames = tuple(str(root / frame) for frame in json.loads(row["frames"]))
    values = row | numbers | {"fps": float(row["fps"] or math.nan), "frames": frames}
    return cast(ClipRow, values)
