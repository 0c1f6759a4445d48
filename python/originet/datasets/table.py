"""The clip table: one row a clip, the same columns for every data set."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypedDict

import pandas as pd

from originet.datasets.bounds import check_name
from originet.system.errors import InputError

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
    "notes",  # str, what a reader should know about the row
)

ClipTable = pd.DataFrame

KEY = ["dataset", "subject", "clip"]

# Spellings of one label, all found in the field's annotation files.
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
    """Strips and lower-cases an emotion, and reduces its known spellings to one."""
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
    """Names each row's person: the subject, with the data set in front where there are several."""
    subjects = table["subject"].astype(str)
    if table["dataset"].nunique() > 1:  # the same name in two data sets is two people
        subjects = table["dataset"].astype(str) + "/" + subjects
    return subjects.rename("subject")


def clip_list_hash(table: ClipTable) -> str:
    """Hashes which clips a result stands on, whatever their order.

    Returns:
        SHA-256, in hexadecimal, of the sorted lines `dataset/subject/clip/label`, each ended by a
        newline (what `sort | sha256sum` prints for them).
    """
    keys: Iterable[tuple[object, ...]] = table[[*KEY, "label"]].itertuples(index=False, name=None)
    lines = sorted("/".join(map(str, key)) + "\n" for key in keys)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
