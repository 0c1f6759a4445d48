"""The report of the ablations: Table VI, our figures beside the paper's."""

from collections.abc import Mapping
from pathlib import Path

from originet.drawing.page import Page
from originet.paper import study_report
from originet.paper.ablation import Ablation


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
    study = evaluation(ablation)
    report = study_report.start_report(study, "Ablations of Table VI")
    ablation_section(report, ablation)
    study_report.finish_report(report, study, made_with, path)


def ablation_section(
    report: Page, ablation: Ablation, title: str = "OrigiNet with one part exchanged"
) -> None:
    """Adds the table of the rows, the paper's figures beside ours.

    Args:
        report: Where to add it.
        ablation: The rows' results.
        title: The section's title.
    """
    report.section(title)
    report.text(*_remarks(ablation))
    records = [{"exchanged": each["change"], **each} for each in ablation.records()]
    study_report.scores_table(report, evaluation(ablation), ["row", "exchanged"], records)
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


def evaluation(ablation: Ablation) -> study_report.Evaluation:
    """Returns what the rows have in common."""
    shared = ablation.any_result
    return study_report.Evaluation(
        config=ablation.config,
        dataset=shared.dataset,
        classes=shared.classes,
        clips=len(shared.clips),
        majority_accuracy=shared.majority_accuracy,
        clip_list_sha256=shared.clip_list_sha256,
        results=ablation.results,
        failed=ablation.failed,
    )


def notes(ablation: Ablation) -> list[str]:
    """Says what a reader of the figures must know, a sentence each.

    Args:
        ablation: The rows' results.

    Returns:
        The sentences.
    """
    return [*study_report.notes(evaluation(ablation)), *_remarks(ablation)]


def _remarks(ablation: Ablation) -> list[str]:
    """Those of the notes that only ablations have."""
    lines = ["≠: ours, rounded or truncated, differs from the paper's figure."]
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


def _beside(paper: float, unit: str, agrees: bool) -> str:
    return f"{'' if agrees else '≠ '}{paper}{unit}"
