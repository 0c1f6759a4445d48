"""What the reports of the comparison and of the ablations share: rows beside the paper's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from originet.datasets.folder import is_semi_synthetic
from originet.datasets.titles import dataset_title
from originet.drawing.page import Page
from originet.evaluation import by_dataset
from originet.evaluation.report import (
    INTERVAL,
    MEASURES,
    cautions,
    headline,
    made_with_section,
    settings_section,
)
from originet.system.words import counted, percent, percents
from originet.training.config import OWN, Config

HEADER = ("accuracy", INTERVAL, "mean of folds", "UF1", "UAR", "paper's accuracy")


class Evaluation(NamedTuple):
    """What the rows of a study have in common.

    Attributes:
        config: The settings.
        dataset: Name of the data set; several names are joined by "+".
        classes: Class names.
        clips: How many clips there are.
        majority_accuracy: Share of the commonest class, 0..1.
        clip_list_sha256: Hash of the clip list.
        results: By the names of the rows that were evaluated, at least one.
        failed: Why the others were not, by name.
    """

    config: Config
    dataset: str
    classes: Sequence[str]
    clips: int
    majority_accuracy: float
    clip_list_sha256: str
    results: Mapping[str, by_dataset.Evaluated]
    failed: Mapping[str, str]

    @property
    def several(self) -> bool:
        """Whether there are several seeds."""
        return len(self.config.seeds) > 1


def start_report(study: Evaluation, title: str) -> Page:
    """Starts the page of a study with its headline.

    Args:
        study: What the rows have in common.
        title: What was done, to stand before "on" and the data set.

    Returns:
        The page.
    """
    report = Page(f"{title} on {dataset_title(study.dataset)}, {study.config.describe()}")
    study_headline(report, study)
    return report


def finish_report(
    report: Page, study: Evaluation, made_with: Mapping[str, str], path: str | Path
) -> None:
    """Adds where a study's results come from, and writes the page.

    Args:
        report: The page.
        study: What the rows have in common.
        made_with: Versions and the like, by name.
        path: The HTML file; replaced if it exists.

    Raises:
        OSError: The file cannot be written there.
    """
    facts = {"clips": study.clips, "clip list (SHA-256)": study.clip_list_sha256}
    settings_section(report, study.config, facts)
    made_with_section(report, made_with)
    report.write(path)


def study_headline(report: Page, study: Evaluation, *lines: str) -> None:
    """Puts OrigiNet's accuracy first on the page, or the best row's where OrigiNet is no row.

    Args:
        report: The page.
        study: What the rows have in common.
        lines: What a reader must be warned of besides leaks and generated clips.
    """
    best = max(study.results, key=lambda name: study.results[name].metrics["pooled_accuracy"])
    name = OWN if OWN in study.results else best
    chosen = "" if name == OWN else f", the best of {counted(len(study.results), 'row')}"
    headline(
        report,
        study.results[name],
        f"{name}{chosen}: accuracy over all clips",
        study.majority_accuracy,
        f"{counted(study.clips, 'clip')} in {counted(len(study.classes), 'class')}, "
        f"{dataset_title(study.dataset)}, {study.config.describe()}, leave-one-subject-out.",
        *lines,
        *cautions(study.config, semi_synthetic=is_semi_synthetic(study.dataset)),
    )


def scores_table(
    report: Page,
    study: Evaluation,
    names: Sequence[str],
    records: Sequence[Mapping[str, Any]],
) -> None:
    """Adds the scores of every row beside the paper's, of every data set, and what failed.

    Args:
        report: Where to add them.
        study: What the rows have in common.
        names: The fields of a record that stand before its scores, with "row" first.
        records: One a row, as the studies give them.
    """
    report.table(
        [*names, *HEADER],
        [[*(each[name] for name in names), *_scores(study, each)] for each in records],
        "Leave-one-subject-out: accuracy over all clips pooled, its interval by a bootstrap over "
        "subjects, and accuracy as the mean of the folds"
        + (", means and standard deviations over the seeds. " if study.several else ". ")
        + f"The majority baseline has {percent(study.majority_accuracy)}.",
    )
    by_dataset.add_table(
        report, study.results, study.classes, study.majority_accuracy, several=study.several
    )
    for name, reason in study.failed.items():
        report.text(f"{name} could not be evaluated: {reason}")


def notes(study: Evaluation) -> list[str]:
    """Says what a terminal shows beside the scores, and a report in its headline and settings.

    Args:
        study: What the rows have in common.

    Returns:
        A sentence each.
    """
    return [
        *cautions(study.config, semi_synthetic=False),
        f"Majority-class baseline: {100 * study.majority_accuracy:.2f} %",
        f"Clip list: sha256 {study.clip_list_sha256}",
    ]


def _scores(study: Evaluation, record: Mapping[str, Any]) -> list[str]:
    """The cells below `HEADER`."""
    paper = record["paper_accuracy"]
    printed = "-" if paper is None else f"{100 * paper:.2f} %"
    quoted = record.get("kind") == "quoted"
    if quoted or record["failed"] is not None:
        return ["quoted" if quoted else "failed", *["-"] * len(MEASURES), printed]
    spread = {name: record[f"{name}_std"] if study.several else None for name in MEASURES}
    accuracy, *others = (percent(record[name], spread[name]) for name in MEASURES)
    interval = study.results[record["row"]].intervals["pooled_accuracy"]
    return [accuracy, percents(interval), *others, printed]
