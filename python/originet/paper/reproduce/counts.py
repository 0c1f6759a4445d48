"""Table II: the available clips next to the paper's counts."""

from collections import Counter
from typing import Any, NamedTuple

from originet.datasets import ClipTable
from originet.datasets.tasks import PAPER_SUBJECTS, TABLE_II


class Source(NamedTuple):
    """A data set of the paper.

    Attributes:
        title: Its usual name.
        address: Where to apply for it.
        needed_for: The tables and figures that use it according to the paper, which does not say
            for Figs. 2 and 4.
    """

    title: str
    address: str
    needed_for: str


SOURCES = {
    "casme": Source("CASME (CASME-I)", "casme.psych.ac.cn/casme/e1", "Tables II and III"),
    "casme2": Source("CASME II", "casme.psych.ac.cn/casme/e2", "Tables II, III, VI; Fig. 5"),
    "cas_me2": Source("CAS(ME)²", "casme.psych.ac.cn/casme/e3", "Tables II and IV"),
    "samm": Source("SAMM", "helward.mmu.ac.uk/STAFF/M.Yap/dataset.php", "Tables II and IV"),
}


def emotion_counts(table: ClipTable) -> list[dict[str, Any]]:
    """Counts the clips of the paper's four data sets as Table II does.

    Args:
        table: The available clips, of any data sets.

    Returns:
        Records with the fields dataset, emotion, paper and clips: for each set, one per emotion in
        the paper or the table, then one for "total". Clips are None if the set is not available, or
        if the clips' classes are not those of Table II (which counts CAS(ME)^2 by eliciting video).
    """
    records = []
    for dataset, paper in TABLE_II.items():
        rows = table[table["dataset"] == dataset]
        emotions = rows["label" if dataset == "cas_me2" else "emotion"].astype(str)
        here = Counter(emotions)
        comparable = len(rows) > 0 and not (dataset == "cas_me2" and here.keys() - paper.keys())
        for emotion in sorted(paper.keys() | (here.keys() if comparable else set())):
            clips = here[emotion] if comparable else None
            records.append((dataset, emotion, paper.get(emotion, 0), clips))
        total = len(rows) if comparable else None
        records.append((dataset, "total", sum(paper.values()), total))
    names = ("dataset", "emotion", "paper", "clips")
    return [dict(zip(names, record, strict=True)) for record in records]


def class_counts(table: ClipTable) -> list[dict[str, Any]]:
    """Counts the available clips by data set and class.

    Returns:
        Records with the fields dataset, label, clips and subjects, sorted.
    """
    return [
        {
            "dataset": str(dataset),
            "label": str(label),
            "clips": len(rows),
            "subjects": int(rows["subject"].nunique()),
        }
        for (dataset, label), rows in table.groupby(["dataset", "label"], sort=True)
    ]


def set_summary(table: ClipTable) -> list[dict[str, Any]]:
    """Counts the available clips and subjects of each of the paper's data sets.

    Returns:
        Records with the fields dataset, clips, subjects (0 if the set is not available),
        paper_clips and paper_subjects.
    """
    records = []
    for dataset, paper in TABLE_II.items():
        rows = table[table["dataset"] == dataset]
        records.append(
            {
                "dataset": dataset,
                "clips": len(rows),
                "subjects": int(rows["subject"].nunique()),
                "paper_clips": sum(paper.values()),
                "paper_subjects": PAPER_SUBJECTS[dataset],
            }
        )
    return records
