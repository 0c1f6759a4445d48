"""Data sets: annotations and frames on disk become one clip table."""

import inspect
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from originet.datasets.clip_list import ClipList, read_clip_list, restrict
from originet.datasets.coded.cas_me2 import survey_cas_me2
from originet.datasets.coded.casme import survey_casme
from originet.datasets.coded.casme2 import survey_casme2
from originet.datasets.coded.casme3 import survey_casme3
from originet.datasets.coded.dfme import survey_dfme
from originet.datasets.coded.fourdme import survey_fourdme
from originet.datasets.coded.mmew import survey_mmew
from originet.datasets.coded.samm import survey_samm
from originet.datasets.coded.smic import survey_smic
from originet.datasets.folder import survey_folder, survey_synthetic
from originet.datasets.survey import Correction, Gap, Omission, Survey
from originet.datasets.table import (
    COLUMNS,
    KEY,
    ClipRow,
    ClipTable,
    clip_list_hash,
    make_table,
)
from originet.datasets.tasks import TASKS, class_of, default_task, paper_counts
from originet.system.errors import InputError
from originet.system.words import counted

__all__ = [
    "COLUMNS",
    "DATASETS",
    "KEY",
    "TASKS",
    "ClipRow",
    "ClipTable",
    "Correction",
    "Gap",
    "Omission",
    "Survey",
    "class_of",
    "clip_list_hash",
    "combine",
    "load_dataset",
    "make_table",
    "paper_counts",
    "survey",
]

_SURVEYS: dict[str, Callable[..., Survey]] = {
    "casme": survey_casme,
    "casme2": survey_casme2,
    "cas_me2": survey_cas_me2,
    "samm": survey_samm,
    "smic": survey_smic,
    "casme3": survey_casme3,
    "mmew": survey_mmew,
    "dfme": survey_dfme,
    "fourdme": survey_fourdme,
    "folder": survey_folder,
    "synthetic": survey_synthetic,
}
DATASETS = tuple(_SURVEYS)


def survey(
    name: str,
    root: str | Path,
    *,
    annotations: str | Path | None = None,
    sheet: str | None = None,
    frames: str | Path | None = None,
    task: str | None = None,
    micro_only: bool = False,
    clips: str | Path | ClipList | None = None,
    set_name: str | None = None,
) -> Survey:
    """Finds a data set's annotations and frames, and accounts for every annotated clip.

    Reads no pictures.

    Args:
        name: one of `DATASETS`.
        root: the folder to search for annotations and frames, at any depth; for "folder" it may
            also be a CSV file.
        annotations: the workbook (for "folder" a CSV file); None searches for it.
        sheet: the sheet to read, if several sheets of the workbook hold coded clips.
        frames: the folder to search for frames; None searches the whole root.
        task: one of `TASKS`; by default "paper" for the paper's four sets, else "original".
        micro_only: leaves out macro-expressions; only for "cas_me2", which has both.
        clips: restricts the survey to these clips: a CSV file (see `originet.datasets.clip_list`)
            or the list read from one.
        set_name: the name of a set of your own clips; "folder" by default.

    Returns:
        The survey; its table may be empty.

    Raises:
        InputError: if the name or task is unknown, the data set does not take an argument,
            annotations or frames are missing or belong to another data set, or `clips` lists no
            clips of this data set.
    """
    if name not in _SURVEYS:
        raise InputError(f"unknown data set {name!r}: choose {', '.join(DATASETS)}")
    listed = clips if clips is None or isinstance(clips, ClipList) else read_clip_list(Path(clips))
    options = {
        "annotations": None if annotations is None else Path(annotations),
        "frames": None if frames is None else Path(frames),
        "micro_only": micro_only or None,
        "sheet": sheet,
        "set_name": set_name,
    }
    given = {option: value for option, value in options.items() if value is not None}
    known = inspect.signature(_SURVEYS[name]).parameters
    for option, value in given.items():
        if option not in known:
            what = "other name" if option == "set_name" else option
            raise InputError(f"the data set {name} takes no {what}, got {value}")
    found = _SURVEYS[name](Path(root), task=task or default_task(name), **given)
    return found if listed is None else restrict(found, listed)


def load_dataset(
    name: str,
    root: str | Path,
    *,
    annotations: str | Path | None = None,
    sheet: str | None = None,
    frames: str | Path | None = None,
    task: str | None = None,
    micro_only: bool = False,
    clips: str | Path | ClipList | None = None,
    set_name: str | None = None,
) -> ClipTable:
    """Loads a data set's clip table; reads no pictures.

    Leaves out unusable clips with a warning; `survey` gives the reasons and the corrections. Takes
    the arguments of `survey`.

    Returns:
        One row per clip, with the columns `COLUMNS`, sorted by subject and clip.

    Raises:
        InputError: as `survey`, and if no clip can be used.
    """
    found = survey(
        name,
        root,
        annotations=annotations,
        sheet=sheet,
        frames=frames,
        task=task,
        micro_only=micro_only,
        clips=clips,
        set_name=set_name,
    )
    check_usable(found)
    if found.unusable:
        first = found.unusable[0]
        warnings.warn(
            f"{found.dataset}: {len(found.unusable)} of "
            f"{counted(len(found.unusable) + len(found.table), 'clip')} cannot be used, "
            f"for example {first.where}: {first.reason}",
            stacklevel=2,
        )
    if found.skipped:
        name, reason = next(iter(found.skipped.items()))
        more = f", and {len(found.skipped) - 1} more" if len(found.skipped) > 1 else ""
        warnings.warn(f"{found.dataset}: skipped {name}: {reason}{more}", stacklevel=2)
    return found.table


def check_usable(found: Survey) -> None:
    """Raises InputError, with the first reason, if a survey found no usable clip."""
    if len(found.table):
        return
    omitted = [*found.unusable, *found.left_out]
    if not omitted:
        raise InputError(f"{found.dataset} has no clips")
    raise InputError(
        f"none of {counted(len(omitted), 'clip')} of {found.dataset} can be used, "
        f"for example {omitted[0].where}: {omitted[0].reason}"
    )


def combine(tables: Iterable[ClipTable]) -> ClipTable:
    """Joins the tables of several data sets into a composite.

    The same subject name in two data sets means two people. Data sets with the same name are
    therefore refused: their subjects would be confused.

    Returns:
        The rows in the order of the tables. `run_loso` keeps subjects apart by data set.

    Raises:
        InputError: if there is no table, a table has other columns, or two tables contain a data
            set of the same name.
    """
    tables = list(tables)
    if not tables:
        raise InputError("a composite needs at least one clip table, got none")
    for table in tables:
        if missing := [name for name in COLUMNS if name not in table.columns]:
            raise InputError(f"a clip table has no column {', '.join(missing)}")
    names = Counter(name for table in tables for name in sorted(set(table["dataset"])))
    for name, count in names.items():
        if count > 1:
            raise InputError(
                f"two tables of the composite contain a data set named {name}, so subjects with "
                "the same name would count as one person: name your own sets apart (--name)"
            )
    return pd.concat([table[list(COLUMNS)] for table in tables], ignore_index=True)
