"""The report of the comparison: Tables III to V, our figures beside the paper's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from originet.drawing.page import Page
from originet.evaluation.paired import Difference
from originet.evaluation.report import INTERVAL
from originet.paper import study_report
from originet.paper.comparison import Comparison
from originet.training.config import OWN


def write_comparison_report(
    path: str | Path, comparison: Comparison, made_with: Mapping[str, str]
) -> None:
    """Writes the report of a comparison.

    Args:
        path: The HTML file; replaced if it exists.
        comparison: The rows' results.
        made_with: Versions and the like, by name.

    Raises:
        OSError: The file cannot be written there.
    """
    study, records = evaluation(comparison), comparison.records()
    report = study_report.start_report(study, "Comparison")
    report.section("Tables III and IV: accuracies")
    report.text(*_remarks(comparison))
    study_report.scores_table(report, study, ["row"], records)
    _differences_section(report, comparison)
    _sizes_section(report, comparison, records)
    study_report.finish_report(report, study, made_with, path)


def evaluation(comparison: Comparison) -> study_report.Evaluation:
    """Returns what the rows have in common."""
    return study_report.Evaluation(
        config=comparison.config,
        dataset=comparison.dataset,
        classes=comparison.classes,
        clips=comparison.clips,
        majority_accuracy=comparison.majority_accuracy,
        clip_list_sha256=comparison.clip_list_sha256,
        results=comparison.results,
        failed=comparison.failed,
    )


def notes(comparison: Comparison) -> list[str]:
    """Says what a reader of the accuracies must know, a sentence each.

    Args:
        comparison: The rows' results.

    Returns:
        The sentences.
    """
    return [*study_report.notes(evaluation(comparison)), *_remarks(comparison)]


def _remarks(comparison: Comparison) -> list[str]:
    """Those of the notes that only a comparison has."""
    lines = []
    if comparison.quoted:
        rows = ", ".join(f"{row.name} {row.task}".strip() for row in comparison.quoted)
        lines.append(
            f"Quoted: the paper's figures of other publications, not measured here: {rows}."
        )
    if comparison.departures:
        setting = "its data sets and classes, 128 pixels, protocol paper"
        departures = ", ".join(comparison.departures)
        lines.append(f"Not as the paper's figures ({setting}): {departures}.")
    return lines


def size_notes(comparison: Comparison) -> list[str]:
    """Says what a reader of the sizes and times must know, a line each.

    Args:
        comparison: The rows' results.

    Returns:
        The lines.
    """
    reliable = comparison.milliseconds.reliable
    doubtful = ", ".join(name for name, each in reliable.items() if not each)
    return [
        "Published: with the 1000 outputs of ImageNet, OrigiNet with 4 classes at 128 pixels, the "
        "others as their publications have them.",
        "Depth: the layers on the longest path. ≠: ours, rounded or cut, differs from the paper's.",
        *(
            [f"Unreliable times, perhaps because other programs were running: {doubtful}."]
            if doubtful
            else []
        ),
    ]


def size_marks(record: Mapping[str, Any]) -> list[str]:
    """Returns the paper's layers, parameters and memory, marked where ours differ.

    Args:
        record: A network's, of `Comparison.records`.

    Returns:
        The three cells.
    """
    columns = (
        ("layers_agree_as", "paper_layers", ""),
        ("parameters_agree", "paper_parameters_millions", "M"),
        ("memory_agrees_at_bytes", "paper_memory_mb", ""),
    )
    return [
        ""
        if record[figure] is None  # the paper does not have this network
        else f"{'' if record[agrees] else '≠ '}{record[figure]}{unit}"
        for agrees, figure, unit in columns
    ]


def count(number: int | None) -> str:
    """Returns a number of layers or parameters as text; nothing if it is not known."""
    return "" if number is None else f"{number:,}"


def mib(size: float | None) -> str:
    """Returns a number of MiB as text, tiny ones with another digit; nothing if it is not known."""
    return "" if size is None else f"{size:.{1 if size >= 0.1 else 3}f}"


def _differences_section(report: Page, comparison: Comparison) -> None:
    """Adds how much better OrigiNet is than each other network, and whether that may be chance."""
    found = comparison.differences()
    if not found:
        return
    report.section(f"{OWN} less each other network")
    columns = {"pooled_accuracy": "accuracy", "uf1": "UF1"}
    report.table(
        [
            "row",
            *(
                f"{name}{rest}"
                for name in columns.values()
                for rest in ("", f", {INTERVAL}", ", p")
            ),
        ],
        [
            [row, *(cell for name in columns for cell in _cells(scores[name]))]
            for row, scores in found.items()
        ],
        "Differences of the scores in percentage points, paired by subject: intervals by a "
        "bootstrap over subjects, p-values by exchanging the two networks' answers subject by "
        "subject (two-sided, not corrected for the number of rows).",
    )


def _cells(found: Difference) -> list[str]:
    low, high = (f"{100 * end:+.1f}" for end in found.interval)
    return [f"{100 * found.difference:+.1f}", f"{low} to {high}", f"{found.p:.4f}"]


def _sizes_section(report: Page, comparison: Comparison, records: list[dict[str, Any]]) -> None:
    """Adds Table V, and how long each network takes."""
    networks = [record for record in records if record["kind"] == "network"]
    if not networks:
        return
    report.section("Table V: sizes and times")
    report.table(
        [
            *("network", "parameters here", "ms per image", "published: layers", "depth"),
            *("parameters", "MiB at 4 bytes", "at 8 bytes"),
            *("paper's layers", "parameters", "MB"),
        ],
        [
            [
                record["row"],
                "-" if record["parameters"] is None else f"{record['parameters']:,}",
                "-" if record["milliseconds"] is None else f"{record['milliseconds']:.1f}",
                *(count(record[f"published_{name}"]) for name in ("layers", "depth", "parameters")),
                *(mib(record[f"published_mib_{size}_bytes"]) for size in (4, 8)),
                *size_marks(record),
            ]
            for record in networks
        ],
        f"Sizes of the networks, and time per image on {comparison.device}. "
        + " ".join(size_notes(comparison)),
    )
