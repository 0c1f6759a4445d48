"""What keeps a clip table from being evaluated by leaving one subject out."""

from collections.abc import Iterator

import numpy as np

from originet.datasets.table import KEY, ClipTable, people
from originet.system.limits import LONGEST_NAME

_COLUMNS = (*KEY, "label")


def evaluation_faults(table: ClipTable) -> Iterator[str]:
    """Yields every reason why a clip table cannot be evaluated, none if it can."""
    missing = [c for c in _COLUMNS if c not in table.columns]
    if missing:
        yield f"table has no column {', '.join(missing)}"
        return
    for column in _COLUMNS:
        empty = np.flatnonzero(table[column].isna())
        if len(empty) > 0:
            yield f"table has no {column} in row {empty[0]}, counted from 0"
        for name in table[column].dropna().astype(str).unique():
            if len(name) > LONGEST_NAME:
                told = f"{name[:20]!r}..., has {len(name):,} characters"
                yield f"{column} {told}: the longest name has {LONGEST_NAME:,}"
            elif any("\ud800" <= character <= "\udfff" for character in name):
                yield f"{column} {name!r} has bytes that are no text: give it another name"
    subjects = people(table)
    too_few = too_few_subjects(subjects.nunique())
    if too_few:
        yield too_few
    doubled = table[table.duplicated(KEY)]
    if len(doubled) > 0:
        yield f"table holds clip {'/'.join(map(str, doubled.iloc[0][KEY]))} twice"
    labels = table["label"].astype(str)
    classes = sorted(set(labels))
    if len(classes) < 2:
        found = f" ({classes[0]!r})" if classes else ""
        yield f"at least 2 classes are needed, got {len(classes)}{found}"
    for name in [] if too_few else classes:
        having = sorted(set(subjects[labels == name]))
        if len(having) == 1:
            yield (
                f"class {name!r} occurs with one subject only ({having[0]!r}); with that subject "
                "left out it cannot be learned: add subjects, or merge or drop the class"
            )


def too_few_subjects(subjects: int) -> str:
    """Says why so many subjects are too few; "" if they are enough."""
    needed = "leave-one-subject-out needs at least 2 subjects"
    return f"{needed}, got {subjects}" if subjects < 2 else ""
