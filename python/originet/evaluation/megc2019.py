"""Published scores on the composite of MEGC 2019, to be read beside one's own.

The challenge evaluates three data sets together, leaving out one subject at a time, and gives UF1
and UAR of all clips ("Full") and of each set. Task `megc2019` of `originet.datasets.tasks` has its
clips.
"""

from collections.abc import Sequence
from typing import Protocol

from originet.drawing.page import Page
from originet.evaluation.by_dataset import Evaluated
from originet.system.words import counted

SETS = {"smic": "SMIC", "casme2": "CASME II", "samm": "SAMM"}
"""The challenge's sets, in the order of its tables."""
CLASSES = frozenset(("negative", "positive", "surprise"))
CLIPS, SUBJECTS = 442, 68

_Scores = tuple[float, float]

PUBLISHED: dict[str, tuple[_Scores, _Scores, _Scores, _Scores]] = {
    "LBP-TOP": ((0.588, 0.579), (0.200, 0.528), (0.703, 0.743), (0.395, 0.410)),
    "AlexNet": ((0.693, 0.715), (0.620, 0.637), (0.799, 0.831), (0.610, 0.664)),
    "GoogLeNet": ((0.557, 0.605), (0.512, 0.551), (0.599, 0.641), (0.512, 0.599)),
    "VGG16": ((0.643, 0.652), (0.580, 0.596), (0.817, 0.820), (0.487, 0.479)),
    "OFF-ApexNet": ((0.720, 0.710), (0.682, 0.670), (0.876, 0.868), (0.541, 0.539)),
    "STSTNet": ((0.735, 0.761), (0.680, 0.701), (0.838, 0.869), (0.659, 0.681)),
    "RCN": ((0.743, 0.719), (0.633, 0.644), (0.851, 0.812), (0.760, 0.672)),
    "EMR": ((0.789, 0.782), (0.746, 0.753), (0.829, 0.821), (0.775, 0.715)),
    "HTNet": ((0.860, 0.848), (0.805, 0.791), (0.953, 0.952), (0.813, 0.812)),
}
"""UF1 and UAR by method: of all clips, of SMIC, CASME II and SAMM. Quoted, not measured here."""

TITLE = "MEGC 2019, UF1 / UAR: this run and published scores"
HEADER = ("method", "Full", *SETS.values())


class Scored(Evaluated, Protocol):
    """A result whose classes are known."""

    @property
    def classes(self) -> Sequence[str]:
        """Class names."""


def is_composite(result: Scored) -> bool:
    """Returns whether a result is on the challenge's three sets and classes."""
    return set(result.by_dataset) == set(SETS) and set(result.classes) == CLASSES


def rows(name: str, result: Scored) -> list[list[str]]:
    """Lists the cells below `HEADER`: the result's, then those that were published.

    Args:
        name: What was evaluated.
        result: Its result, for which `is_composite` is true.
    """
    parts = [result.metrics, *(result.by_dataset[each]["metrics"] for each in SETS)]
    own = {f"{name} (this run)": [(part["uf1"], part["uar"]) for part in parts]}
    return [
        [method, *(f"{uf1:.3f} / {uar:.3f}" for uf1, uar in pairs)]
        for method, pairs in (*own.items(), *PUBLISHED.items())
    ]


def note(result: Scored) -> str:
    """Says on which clips the scores are, and what is known of the published ones."""
    clips = sum(part["clips"] for part in result.by_dataset.values())
    subjects = sum(part["subjects"] for part in result.by_dataset.values())
    here = f"This run: {counted(clips, 'clip')} of {counted(subjects, 'subject')}"
    same = (clips, subjects) == (CLIPS, SUBJECTS)
    return (
        f"{here}; the challenge: {CLIPS} clips of {SUBJECTS} subjects"
        + (". " if same else ", so the scores are not of the same clips. ")
        + "All rows but the first are quoted from publications and were not reproduced here. "
        "HTNet's public program keeps, for each subject, the epoch that is best on that subject; "
        "users get 0.648 / 0.646."
    )


def add_table(report: Page, name: str, result: Scored) -> None:
    """Adds the table to a report if `is_composite`; arguments are those of `rows`."""
    if is_composite(result):
        report.table(HEADER, rows(name, result), f"{TITLE}. {note(result)}")
