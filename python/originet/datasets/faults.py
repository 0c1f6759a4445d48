"""Reasons why a clip table cannot be evaluated by leaving out one subject, or one data set."""

from collections.abc import Collection, Iterator

import numpy as np

from originet.datasets.table import KEY, ClipTable, people
from originet.system.limits import LONGEST_NAME

_COLUMNS = (*KEY, "label")


def evaluation_faults(table: ClipTable) -> Iterator[str]:
    """Yields every reason why a clip table cannot be evaluated; nothing if it can."""
    missing = [c for c in _COLUMNS if c not in table.columns]
    if missing:
        yield f"table has no column {', '.join(missing)}"
        return
    for column in _COLUMNS:
        empty = np.flatnonzero(table[column].isna())
        if len(empty) > 0:
            yield f"table has no {column} in row {empty[0]} (counting from 0)"
        for name in table[column].dropna().astype(str).unique():
            if len(name) > LONGEST_NAME:
                yield (
                    f"{column} {name[:20]!r}... has {len(name):,} characters; "
                    f"at most {LONGEST_NAME:,} are allowed"
                )
            elif any("\ud800" <= character <= "\udfff" for character in name):
                yield f"{column} {name!r} is not UTF-8: rename it"
    subjects = people(table)
    too_few = too_few_subjects(subjects.nunique())
    if too_few:
        yield too_few
    doubled = table[table.duplicated(KEY)]
    if len(doubled) > 0:
        yield f"table has clip {'/'.join(map(str, doubled.iloc[0][KEY]))} twice"
    labels = table["label"].astype(str)
    classes = sorted(set(labels))
    if len(classes) < 2:
        found = f" ({classes[0]!r})" if classes else ""
        yield f"evaluation needs at least 2 classes, got {len(classes)}{found}"
    for name in [] if too_few else classes:
        having = sorted(set(subjects[labels == name]))
        if len(having) == 1:
            yield (
                f"only subject {having[0]!r} shows class {name!r}, so it cannot be learned when "
                "that subject is left out: add subjects, or merge or drop the class"
            )


def left_out_faults(table: ClipTable) -> Iterator[str]:
    """Yields why a table cannot be evaluated by leaving out data sets, beside its other faults."""
    columns = ["dataset", "label"]
    if not set(columns) <= set(table.columns):
        return
    table = table.dropna(subset=columns)
    datasets, labels = table["dataset"].astype(str), table["label"].astype(str)
    if too_few := too_few_datasets(datasets.unique()):
        yield too_few
        return
    for name in sorted(set(labels)):
        having = sorted(set(datasets[labels == name]))
        if len(having) == 1:
            yield (
                f"only data set {having[0]!r} shows class {name!r}, so it cannot be learned when "
                "that set is left out: choose a task that all data sets share"
            )


def too_few_datasets(names: Collection[str]) -> str:
    """Returns the reason why these data sets are too few; "" if they are not."""
    needed = "leaving out data sets (leave_out) needs at least 2 of them"
    found = f" ({', '.join(names)})" if len(names) else ""
    return f"{needed}, got {len(names)}{found}" if len(names) < 2 else ""


def too_few_subjects(subjects: int) -> str:
    """Returns the reason why this number of subjects is too small; "" if it is not."""
    needed = "leave-one-subject-out needs at least 2 subjects"
    return f"{needed}, got {subjects}" if subjects < 2 else ""
