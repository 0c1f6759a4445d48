"""Scores of each data set of a composite, beside those of the whole, as the field has them.

The networks are those of the composite run; only the clips that are counted differ. A data set's
UF1 and UAR average over the classes that it has, as those of the whole do
(`originet.evaluation.metrics`): a class that a set lacks has no recall there. An answer of such a
class is a miss all the same.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from originet.drawing.page import Page
from originet.evaluation import metrics
from originet.system.words import percent

WHOLE = "full"
"""Names the composite itself in tables."""
MEASURES = {"pooled_accuracy": "accuracy", "uf1": "UF1", "uar": "UAR"}
"""The scores in tables, and their headings."""
HEADER = ("data set", "clips", "subjects", *MEASURES.values(), "majority")


class Evaluated(Protocol):
    """A result of a leave-one-subject-out run, whatever was evaluated."""

    @property
    def metrics(self) -> dict[str, float]:
        """Scores of the whole, see `originet.evaluation.metrics.scores_over_seeds`."""

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Confidence intervals of the whole, see `metrics.bootstrap_intervals`."""

    @property
    def by_dataset(self) -> dict[str, dict[str, Any]]:
        """What `dataset_scores` gave."""


def dataset_scores(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    subjects: NDArray[Any],
    datasets: NDArray[Any],
    classes: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Scores each data set of a composite by itself.

    Args:
        labels: Class indices [N].
        predicted: Predicted class indices of S seeds [S, N].
        subjects: The subject of each clip [N].
        datasets: The data set of each clip [N].
        classes: Class names.

    Returns:
        By data set, sorted: clips and subjects, how many there are; classes, the names of those
        that it has; metrics, see `originet.evaluation.metrics.scores_over_seeds`;
        majority_accuracy, the share of its commonest class. Nothing where there is one data set.
    """
    names = np.unique(datasets)
    if len(names) < 2:
        return {}
    scores = {}
    for name in names:
        of = datasets == name
        present, counts = np.unique(labels[of], return_counts=True)
        scores[str(name)] = {
            "clips": int(of.sum()),
            "subjects": len(np.unique(subjects[of])),
            "classes": [classes[index] for index in present],
            "metrics": metrics.scores_over_seeds(labels[of], predicted[:, of], subjects[of]),
            "majority_accuracy": float(counts.max() / of.sum()),
        }
    return scores


def records(results: Mapping[str, Evaluated], majority_accuracy: float) -> list[dict[str, Any]]:
    """Lists the scores of results on each data set.

    Args:
        results: Results on the same clips, by the names of their rows.
        majority_accuracy: Share of the commonest class of the whole.

    Returns:
        A flat record a row and data set, the whole before its parts: row, dataset, clips, subjects,
        the scores and their deviations (`_std`), and majority_accuracy. None where there is one
        data set.
    """
    told = []
    for row, result in results.items():
        parts = result.by_dataset
        if not parts:
            continue
        whole = {
            "clips": sum(part["clips"] for part in parts.values()),
            "subjects": sum(part["subjects"] for part in parts.values()),
            "metrics": result.metrics,
            "majority_accuracy": majority_accuracy,
        }
        for name, part in {WHOLE: whole, **parts}.items():
            counts = {key: part[key] for key in ("clips", "subjects")}
            majority = {"majority_accuracy": part["majority_accuracy"]}
            told.append({"row": row, "dataset": name, **counts, **part["metrics"], **majority})
    return told


def cells(record: Mapping[str, Any], several: bool, write: Callable[..., str]) -> list[str]:
    """Writes a record's cells below `HEADER`.

    Args:
        record: From `records`.
        several: Whether there are several seeds, so that scores have deviations.
        write: Writes a score, and its deviation if there is one, as `words.percent` does.
    """
    scores = [
        write(record[name], *([record[f"{name}_std"]] if several else ())) for name in MEASURES
    ]
    counts = [str(record[name]) for name in ("clips", "subjects")]
    return [record["dataset"], *counts, *scores, write(record["majority_accuracy"])]


def note(results: Mapping[str, Evaluated], classes: Sequence[str]) -> str:
    """Says what a reader must know of the scores.

    Args:
        results: Results on the same clips, at least one.
        classes: Class names of the whole.

    Returns:
        A sentence or two; "" where there is one data set.
    """
    parts = next(iter(results.values())).by_dataset
    if not parts:
        return ""
    absent = {
        name: [each for each in classes if each not in part["classes"]]
        for name, part in parts.items()
    }
    lacks = "; ".join(f"{name} lacks {', '.join(each)}" for name, each in absent.items() if each)
    return (
        "Majority: accuracy of always answering the commonest class of those clips. UF1 and UAR "
        "average over the classes that the clips have" + (f": {lacks}." if lacks else ".")
    )


def add_table(
    report: Page,
    results: Mapping[str, Evaluated],
    classes: Sequence[str],
    majority_accuracy: float,
    *,
    several: bool,
) -> None:
    """Adds the scores on each data set to a report; nothing where there is one data set.

    Args:
        report: Where to add them.
        results: Results on the same clips, by the names of their rows.
        classes: Class names of the whole.
        majority_accuracy: Share of the commonest class of the whole.
        several: Whether there are several seeds.
    """
    lines = records(results, majority_accuracy)
    if not lines:
        return
    named = ["row"] if len(results) > 1 else []
    report.table(
        [*named, *HEADER],
        [[*(each[name] for name in named), *cells(each, several, percent)] for each in lines],
        f"By data set, {WHOLE} being all of them. {note(results, classes)}",
    )
