"""The report of the ablations: Table VI, ours beside the paper's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from originet.drawing.page import Page
from originet.evaluation import by_dataset
from originet.evaluation.metrics import LEVEL
from originet.evaluation.report import GENERATED, made_with_section, settings_section
from originet.paper.ablation import MEASURES, Ablation
from originet.training.protocol import LEAK


def write_ablation_report(
    path: str | Path, ablation: Ablation, made_with: Mapping[str, str]
) -> None:
    """Writes the report of the ablations.

    Args:
        path: The HTML file; replaced if it exists.
        ablation: The rows' results.
        made_with: Versions and the like, by name.

    Raises:
        OSError: The file cannot be written there.
    """
    shared = ablation.any_result
    report = Page(f"Ablations of Table VI on {shared.dataset}, {ablation.config.describe()}")
    ablation_section(report, ablation)
    facts = {"clips": len(shared.clips), "clip list (SHA-256)": shared.clip_list_sha256}
    settings_section(report, ablation.config, facts)
    made_with_section(report, made_with)
    report.write(path)


def ablation_section(
    report: Page, ablation: Ablation, title: str = "OrigiNet with one part exchanged"
) -> None:
    """Adds the table of the rows, the paper's figures beside ours.

    Args:
        report: Where to add it.
        ablation: The rows' results.
        title: The section's title.
    """
    shared = ablation.any_result
    report.section(title)
    if shared.semi_synthetic:
        report.text(GENERATED)
    report.text(*notes(ablation))
    level = f"{100 * LEVEL:.0f} %"
    measures = ("accuracy", f"{level} interval", "mean of folds", "UF1", "UAR")
    records = ablation.records()
    report.table(
        ["row", "exchanged", *measures, "paper's accuracy"],
        [
            [
                *(each["row"], each["change"], *_scores(ablation, each)),
                f"{100 * each['paper_accuracy']:.2f} %",
            ]
            for each in records
        ],
        "Leave-one-subject-out; accuracy over all clips pooled, its interval by a bootstrap over "
        "subjects, accuracy as the mean of the folds"
        + (", means and standard deviations over the seeds." if len(shared.seeds) > 1 else "."),
    )
    by_dataset.add_table(
        report,
        ablation.results,
        shared.classes,
        shared.majority_accuracy,
        several=len(shared.seeds) > 1,
    )
    report.table(
        ["row", "parameters", "paper's", "memory in MiB", "paper's MB"],
        [
            [
                *(each["row"], f"{each['parameters']:,}"),
                _beside(each["paper_parameters_millions"], "M", each["parameters_agree"]),
                f"{each['memory_mib']:.1f}",
                _beside(each["paper_memory_mb"], "", each["memory_agrees"]),
            ]
            for each in records
        ],
        "Sizes of the networks.",
    )
    for name, reason in ablation.failed.items():
        report.text(f"Row {name} failed: {reason}")


def notes(ablation: Ablation) -> list[str]:
    """Says what a reader must know of the figures, a sentence each.

    Args:
        ablation: The rows' results.

    Returns:
        The sentences.
    """
    shared = ablation.any_result
    lines = [
        *([LEAK] if ablation.config.leaky else []),
        f"Majority-class baseline: {100 * shared.majority_accuracy:.2f} %",
        f"Clip list: sha256 {shared.clip_list_sha256}",
        "≠: ours, rounded or cut off, is not the paper's figure.",
    ]
    if ablation.departures:
        setting = "CASME II, four classes, 128 pixels, protocol paper"
        lines.append(f"Not as the paper's figures ({setting}): {', '.join(ablation.departures)}.")
    if "LFC" in ablation.results:
        both, small = (ablation.lfc_forms()[variant] for variant in ("paper", "authors"))
        lines.append(
            f"LFC has {both.parameters:,} parameters ({both.memory_mib:.1f} MiB) on both branches "
            f"(variant paper), {small.parameters:,} ({small.memory_mib:.1f} MiB) on the small one "
            "alone (variant authors)."
        )
    return lines


def _scores(ablation: Ablation, record: Mapping[str, Any]) -> list[str]:
    """The cells of a row's measures, in percent."""
    if record["failed"] is not None:
        return ["failed", *["-"] * len(MEASURES)]
    cells = []
    for measure in MEASURES:
        spread = f" ± {100 * record[f'{measure}_std']:.1f}" if record["seeds"] > 1 else ""
        cells.append(f"{100 * record[measure]:.1f}{spread} %")
    ends = ablation.results[record["row"]].intervals["pooled_accuracy"]
    return [cells[0], "{:.1f} to {:.1f} %".format(*(100 * end for end in ends)), *cells[1:]]


def _beside(paper: float, unit: str, agrees: bool) -> str:
    return f"{'' if agrees else '≠ '}{paper}{unit}"
