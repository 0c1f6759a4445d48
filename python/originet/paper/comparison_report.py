"""The report of the comparison: Tables III to V, ours beside the paper's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from originet.datasets.folder import SEMI_SYNTHETIC
from originet.drawing.page import Page
from originet.evaluation import by_dataset
from originet.evaluation.metrics import LEVEL
from originet.evaluation.report import GENERATED, made_with_section, settings_section
from originet.paper.comparison import MEASURES, Comparison
from originet.training.protocol import LEAK


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
    report = Page(f"Comparison on {comparison.dataset}, {comparison.config.describe()}")
    records = comparison.records()
    _scores_section(report, comparison, records)
    _sizes_section(report, comparison, records)
    facts = {"clips": comparison.clips, "clip list (SHA-256)": comparison.clip_list_sha256}
    settings_section(report, comparison.config, facts)
    made_with_section(report, made_with)
    report.write(path)


def notes(comparison: Comparison) -> list[str]:
    """Says what a reader must know of the accuracies, a sentence each.

    Args:
        comparison: The rows' results.

    Returns:
        The sentences.
    """
    lines = [
        *([LEAK] if comparison.config.leaky else []),
        f"Majority-class baseline: {100 * comparison.majority_accuracy:.2f} %",
        f"Clip list: sha256 {comparison.clip_list_sha256}",
    ]
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
    """Says what a reader must know of the sizes and times, a line each.

    Args:
        comparison: The rows' results.

    Returns:
        The lines.
    """
    reliable = comparison.milliseconds.reliable
    doubtful = ", ".join(name for name, each in reliable.items() if not each)
    return [
        "Published: with the 1000 outputs of ImageNet, OrigiNet with 4 classes at 128 pixels.",
        "Depth: the layers on the longest way. ≠: ours, rounded or cut off, is not the paper's.",
        *([f"Unreliable times, as where other programs run: {doubtful}."] if doubtful else []),
    ]


def size_marks(record: Mapping[str, Any]) -> list[str]:
    """Returns the paper's layers, parameters and memory, marked where ours are others.

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
        f"{'' if record[agrees] else '≠ '}{record[figure]}{unit}"
        for agrees, figure, unit in columns
    ]


def _scores_section(report: Page, comparison: Comparison, records: list[dict[str, Any]]) -> None:
    """Adds Tables III and IV."""
    report.section("Tables III and IV: accuracies")
    if SEMI_SYNTHETIC in comparison.dataset.split("+"):
        report.text(GENERATED)
    report.text(*notes(comparison))
    several = len(comparison.config.seeds) > 1
    measures = ("accuracy", f"{100 * LEVEL:.0f} % interval", "mean of folds", "UF1", "UAR")
    report.table(
        ["row", *measures, "paper's accuracy"],
        [
            [record["row"], *_scores(comparison, record), _paper_accuracy(record)]
            for record in records
        ],
        "Leave-one-subject-out; accuracy over all clips pooled, its interval by a bootstrap over "
        "subjects, accuracy as the mean of the folds"
        + (", means and standard deviations over the seeds." if several else "."),
    )
    by_dataset.add_table(
        report,
        comparison.results,
        comparison.classes,
        comparison.majority_accuracy,
        several=several,
    )
    for name, reason in comparison.failed.items():
        report.text(f"{name} could not be evaluated: {reason}")


def _scores(comparison: Comparison, record: Mapping[str, Any]) -> list[str]:
    """The cells of a row's measures, in percent."""
    if record["kind"] == "quoted" or record["failed"] is not None:
        word = "quoted" if record["kind"] == "quoted" else "failed"
        return [word, *["-"] * len(MEASURES)]
    cells = []
    for measure in MEASURES:
        spread = f" ± {100 * record[f'{measure}_std']:.1f}" if record["seeds"] > 1 else ""
        cells.append(f"{100 * record[measure]:.1f}{spread} %")
    ends = comparison.results[record["row"]].intervals["pooled_accuracy"]
    return [cells[0], "{:.1f} to {:.1f} %".format(*(100 * end for end in ends)), *cells[1:]]


def _paper_accuracy(record: Mapping[str, Any]) -> str:
    accuracy = record["paper_accuracy"]
    return "-" if accuracy is None else f"{100 * accuracy:.2f} %"


def _sizes_section(report: Page, comparison: Comparison, records: list[dict[str, Any]]) -> None:
    """Adds Table V, and how long each network takes."""
    networks = [record for record in records if record["kind"] == "network"]
    if not networks:
        return
    report.section("Table V: sizes and times")
    report.table(
        [
            *("network", "parameters here", "ms for an image", "published: layers", "depth"),
            *("parameters", "MiB at 4 bytes", "at 8 bytes"),
            *("paper's layers", "parameters", "MB"),
        ],
        [
            [
                record["row"],
                "-" if record["parameters"] is None else f"{record['parameters']:,}",
                "-" if record["milliseconds"] is None else f"{record['milliseconds']:.1f}",
                record["published_layers"],
                record["published_depth"],
                f"{record['published_parameters']:,}",
                *(f"{record[f'published_mib_{size}_bytes']:.1f}" for size in (4, 8)),
                *size_marks(record),
            ]
            for record in networks
        ],
        f"Sizes of the networks, and time for one image on {comparison.device}. "
        + " ".join(size_notes(comparison)),
    )
