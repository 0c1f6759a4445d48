"""`originet check --all`: which published data sets lie under a root."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from originet import datasets
from originet.datasets.check import Validation, to_json
from originet.datasets.coded.books import NoBook
from originet.datasets.survey import Survey
from originet.datasets.table import people
from originet.system.errors import InputError
from originet.system.words import counted, printable

PUBLISHED = tuple(name for name in datasets.DATASETS if name not in ("folder", "synthetic"))
"""The data sets that are looked for; folders of one's own clips have no mark of their own."""


@dataclass(frozen=True)
class UnderRoot:
    """The data sets under a root.

    Attributes:
        root: the folder.
        found: the surveys of the sets that have usable clips.
        unusable: set -> why none of its clips can be used, although it is annotated here.
        absent: the other sets.
    """

    root: Path
    found: Sequence[Survey]
    unusable: dict[str, str]
    absent: Sequence[str]

    @property
    def sound(self) -> bool:
        """Whether there is a set, and no clip or frame of any is missing."""
        incomplete = self.unusable or any(each.unusable or each.gaps for each in self.found)
        return bool(self.found) and not incomplete


def look_under(root: Path, names: Sequence[str] = PUBLISHED, task: str | None = None) -> UnderRoot:
    """Looks for published data sets below a folder.

    Args:
        root: the folder.
        names: the data sets to look for.
        task: a task that all of them have; None means each set's default.

    Raises:
        InputError: if there is no such folder.
    """
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    found, unusable, absent = [], {}, []
    for name in names:
        try:
            survey = datasets.survey(name, root, task=task)
            datasets.check_usable(survey)
        except NoBook:
            absent.append(name)
        except InputError as error:
            unusable[name] = str(error)
        else:
            found.append(survey)
    return UnderRoot(root, found, unusable, absent)


def to_text(result: UnderRoot) -> str:
    """Formats the sets that were found as lines of text, with the command that says more."""
    lines = []
    for found in result.found:
        clips, subjects = len(found.table), people(found.table).nunique()
        notes = (
            (len(found.unusable), f"{len(found.unusable)} unusable"),
            (len(found.left_out), f"{len(found.left_out)} left out by the task"),
            (len(found.gaps), f"{len(found.gaps)} incomplete"),
            (len(found.corrections), counted(len(found.corrections), "correction")),
        )
        noted = ", ".join(text for count, text in notes if count)
        lines += [
            f"{found.dataset}: {counted(clips, 'usable clip')} of {counted(subjects, 'subject')}"
            + (f" ({noted})" if noted else ""),
            f"  annotations: {found.annotations or 'the names of folders'}",
            f"  frames: {found.frames}{' (cropped)' if found.cropped else ''}",
            f"  details: {shlex.join(['originet', 'check', found.dataset, str(result.root)])}",
        ]
    lines += [f"{name}: no usable clip: {reason}" for name, reason in result.unusable.items()]
    if not lines:
        lines.append(f"no data set under {result.root}")
    if result.absent:
        lines.append(f"not found: {', '.join(result.absent)}")
    return "\n".join(map(printable, lines))


def all_to_json(result: UnderRoot) -> dict[str, Any]:
    """Returns the sets that were found as JSON types; each as `originet check` writes it."""
    return {
        "root": str(result.root),
        "found": [to_json(Validation(survey, None)) for survey in result.found],
        "unusable": result.unusable,
        "absent": list(result.absent),
    }
