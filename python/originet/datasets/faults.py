"""Reasons why a clip table cannot be evaluated by leaving one subject out."""

from collections.abc import Iterator

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


def too_few_subjects(subjects: int) -> str:
    """Returns the reason why this number of subjects is too small; "" if it is not."""
    needed = "leave-one-subject-out needs at least 2 subjects"
    return f"{needed}, got {subjects}" if subjects < 2 else ""
