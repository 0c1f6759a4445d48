"""The section about Tables III and IV: the accuracies of networks."""

from typing import Any

from originet.datasets.tasks import PAPER_SETS, paper_counts
from originet.datasets.titles import dataset_title
from originet.evaluation import by_dataset
from originet.paper.baselines import NETWORKS, QUOTED
from originet.paper.comparison import Comparison
from originet.paper.reproduce.book import Book
from originet.paper.reproduce.counts import SOURCES
from originet.paper.reproduce.findings import Findings
from originet.paper.reproduce.table_sections import training
from originet.system.words import percent, percents

MAJORITY = "majority class"


def printed_accuracies() -> list[dict[str, Any]]:
    """Collects Tables III and IV as printed, and the accuracy of the majority class.

    Returns:
        Records with the fields method, task, kind ("quoted" for what the paper took from other
        publications, "measured" for its own, "computed" for the majority class, from Table II) and
        the four data sets, accuracy 0..1 or None.
    """
    rows: list[dict[str, Any]] = [
        {"method": row.name, "task": row.task, "kind": "quoted"}
        | {name: row.accuracy.get(name) for name in PAPER_SETS}
        for row in QUOTED
    ]
    rows += [
        {"method": network.name, "task": "", "kind": "measured"}
        | {name: network.accuracy.get(name) for name in PAPER_SETS}
        for network in NETWORKS
        if network.accuracy
    ]
    counts = {name: list((paper_counts(name, "paper") or {}).values()) for name in PAPER_SETS}
    majority = {name: max(clips) / sum(clips) for name, clips in counts.items()}
    return [*rows, {"method": MAJORITY, "task": "", "kind": "computed", **majority}]


def comparison_section(book: Book, found: Findings) -> None:
    """Adds Tables III and IV."""
    book.report.section("Tables III and IV: accuracies")
    printed = printed_accuracies()
    book.table(
        "table3_4_printed",
        printed,
        ("method", "of other publications", *(SOURCES[name].title for name in PAPER_SETS)),
        [
            (
                row["method"],
                f"quoted {row['task']}".strip() if row["kind"] == "quoted" else "",
                *("-" if row[n] is None else f"{100 * row[n]:.2f} %" for n in PAPER_SETS),
            )
            for row in printed
        ],
        "Accuracies of Tables III and IV as printed, and of always answering the most frequent "
        "class, by the counts of Table II. P, N, S, O, H, D, R, T: positive, "
        "negative, surprise, others, happy, disgust, repression, tense.",
    )
    majority = printed[-1]
    below = [
        SOURCES[name].title
        for name in PAPER_SETS
        if all((row[name] or 0) < majority[name] for row in printed[:-1])
    ]
    remark = (
        f"Every accuracy printed for {' and '.join(below)} is below that of the majority class. "
        if below
        else ""
    )
    study = found.comparison
    if study is None:
        book.report.text(remark + f"Not measured: {found.failed['Tables III and IV']}")
        return
    # Times are left out: the same command gives the same table.
    timed = ("seconds", "milliseconds", "milliseconds_reliable", "device")
    records = [{k: v for k, v in r.items() if k not in timed} for r in study.records()]
    several = len(study.config.seeds) > 1
    book.table(
        "table3_4",
        records,
        ("row", "acc.", "folds", "UF1", "UAR", "parameters", "paper: acc."),
        [
            (
                record["row"],
                *(
                    _score(record, name, several)
                    for name in ("pooled_accuracy", "fold_accuracy", "uf1", "uar")
                ),
                "-" if record["parameters"] is None else f"{record['parameters']:,}",
                "-"
                if record["paper_accuracy"] is None
                else f"{100 * record['paper_accuracy']:.2f} %",
            )
            for record in records
            if record["kind"] != "quoted"
        ],
        f"Measured here on {dataset_title(found.dataset)}, {study.config.describe()}. Acc.: "
        "accuracy over all clips; folds: its mean over subjects. The majority baseline has an "
        f"accuracy of {percent(study.majority_accuracy)}. Parameters are for "
        f"{len(study.classes)} classes.",
    )
    if parts := by_dataset.records(study.results, study.majority_accuracy):
        book.table(
            "table3_4_by_dataset",
            parts,
            ("row", *by_dataset.HEADER),
            [(part["row"], *by_dataset.cells(part, several, percent)) for part in parts],
            "The same for each data set. " + by_dataset.note(study.results, study.classes),
        )
    for name, reason in study.failed.items():
        book.report.text(f"{name} was not evaluated: {reason}")
    book.judge(
        data=training(found)
        + " LBP-TOP with a linear SVM has the same folds, but reads frames."
        + (
            f" Not requested: {', '.join(missing)}."
            if (missing := [n.name for n in NETWORKS if n.name not in study.rows])
            else ""
        ),
        agrees=remark + _order(study),
        unsaid="how the paper trained its networks, and whether its accuracies are over all clips "
        "or means over folds."
        + (f" What differs here: {'; '.join(study.departures)}." if study.departures else ""),
    )


def _order(study: Comparison) -> str:
    """Says whether OrigiNet comes first, as it does in the paper."""
    whole = study.results.get("OrigiNet")
    others = {name: each for name, each in study.results.items() if name != "OrigiNet"}
    if whole is None or not others:
        return "Nothing can be compared: OrigiNet or all other rows are missing."
    best, (low, high) = whole.metrics["pooled_accuracy"], whole.intervals["pooled_accuracy"]
    scores = {name: each.metrics["pooled_accuracy"] for name, each in others.items()}
    above = [name for name, value in scores.items() if value > best]
    outside = [name for name, value in scores.items() if not low <= value <= high]
    return (
        "In the paper, OrigiNet comes first in each of its own comparisons. Here "
        + (f"{', '.join(above)} scored higher" if above else "no row scored higher")
        + f". Outside the 95 % interval of its accuracy, {percents((low, high))}: "
        f"{', '.join(outside) or 'none'}."
    )


def _score(record: dict[str, Any], name: str, several: bool) -> str:
    """Formats a score of a row, with its spread if there are several seeds."""
    if record["failed"] is not None:
        return "-"
    return percent(record[name], record[f"{name}_std"] if several else None)
