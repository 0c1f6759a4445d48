"""`originet reproduce`: the paper's tables and figures from the available clips, in one report.

`run_reproduction` first computes all findings; the sections then write them down. The slow parts
(the ablation, the comparison and the networks of the pictures) are kept in directories of their own
and reused by a later run of the same command.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from originet.datasets import synth
from originet.evaluation.compute import Compute
from originet.evaluation.identity import study_identity
from originet.evaluation.run_files import claim
from originet.evaluation.splits import SortedClips
from originet.paper import ablation, baselines, comparison
from originet.paper.reproduce import activations, responses, shown_clips
from originet.paper.reproduce.book import Book
from originet.paper.reproduce.comparison_section import comparison_section
from originet.paper.reproduce.findings import Findings
from originet.paper.reproduce.picture_sections import (
    active_image_section,
    first_layer_section,
    response_section,
)
from originet.paper.reproduce.table_sections import (
    ablation_section,
    activation_section,
    complexity_section,
    count_section,
    opening_section,
    settings,
    source_section,
)
from originet.system.choices import QUICK_ROWS
from originet.system.errors import InputError, one_line
from originet.system.files import writing
from originet.system.lock import Held, held
from originet.training.config import Config

__all__ = ["PICTURED", "Reproduction", "quick_config", "run_reproduction", "synthetic_clips"]

PICTURED = ("OrigiNet", "VGG-19", "MobileNet")
"""The networks of Fig. 5."""
QUICK: dict[str, Any] = {"epochs": 1, "rotations": (0,), "equalize": False, "select": "last"}
"""The settings of a quick look."""
CLIPS = "clips"  # the folder of the semi-synthetic clips

Made = TypeVar("Made")


class Reproduction(NamedTuple):
    """The result of a reproduction.

    Attributes:
        report: The page's path.
        failed: The reason, in one line, for each part that failed, by the part's name.
    """

    report: Path
    failed: dict[str, str]


def quick_config(config: Config) -> Config:
    """Reduces settings for a quick look: one epoch, no augmentation.

    Args:
        config: The requested settings.

    Returns:
        The settings of a quick look.

    Raises:
        InputError: If the request changes one of the reduced settings.
    """
    usual = Config()
    for name in QUICK:
        if (value := getattr(config, name)) != getattr(usual, name):
            raise InputError(f"a quick look sets {name} itself, got {value!r}: drop one of them")
    return replace(config, **QUICK)


def synthetic_clips(
    out: str | Path, *, quick: bool = False, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Generates the clips that are used if no data are given, unless they already exist.

    Args:
        out: The folder of the reproduction; the clips go to its subfolder `clips`.
        quick: Generates fewer: 4 subjects with 2 clips per class instead of 12 with 3.
        progress: Called as progress(done, total) after each clip.

    Returns:
        The clips' folder.

    Raises:
        InputError: As `originet.datasets.synth.generate_once`.
    """
    subjects, each = (4, 2) if quick else (12, 3)
    return synth.generate_once(
        Path(out) / CLIPS, subjects=subjects, clips_per_class=each, progress=progress
    )


def run_reproduction(
    clips: SortedClips,
    config: Config,
    compute: Compute,
    *,
    out: str | Path,
    rows: Sequence[str] | None = None,
    quick: bool = False,
) -> Reproduction:
    """Makes every table and figure that the clips allow, and a report with all of them.

    Args:
        clips: The clips, with images by the settings' method and by `ablation.DYNAMIC`, and with
            the cuts for the parts that use frames.
        config: Settings of every training.
        compute: How the tables' folds are computed; their weights are not kept. The networks of
            the pictures are trained in this process. Progress is mostly counted in epochs.
        out: Folder for report.html, tables/*.csv, figures/*.png and the runs behind them. An
            interrupted run resumes when started again with the same arguments.
        rows: Rows of Tables III and IV, from `comparison.ROWS`; None means all, or a few if
            `quick`.
        quick: Whether the settings are those of a quick look; the report then says so.

    Returns:
        The report's path, and the parts that failed.

    Raises:
        InputError: If images are missing, or `out` belongs to another run, is in use by one,
            cannot be written, or is deleted during the run.
    """
    out = Path(out)
    for method in ablation.methods_of(ablation.ROWS, config):
        clips.check_images(replace(config, method=method))
    names = comparison.rows_named(rows or (QUICK_ROWS if quick else None), papers_only=True)
    shown = shown_clips.choose_clips(clips)
    hashes = dict(sorted(clips.images_sha256.items()))
    identity = study_identity(config, clips, compute, quick=quick, images_sha256=hashes)
    failed: dict[str, str] = {}
    with held(out) as place:
        claim(out, identity)
        found = Findings(
            clips=clips,
            config=config,
            quick=quick,
            device=compute.here,
            checks=[activations.check(activation) for activation in activations.ACTIVATIONS],
            erratum=activations.erratum(),
            shown=shown,
            phases=shown_clips.phase_rows(clips, shown, config, failed),
            complexity=_attempt(place, failed, "Table V", baselines.table_v) or [],
            responses=_responses(clips, config, shown, place, compute, failed),
            comparison=_attempt(
                place,
                failed,
                "Tables III and IV",
                lambda: comparison.run_comparison(
                    clips, config, _named(compute, "comparison"), rows=names, out=out / "compare"
                ),
            ),
            ablation=_attempt(
                place,
                failed,
                "Table VI",
                lambda: ablation.run_ablation(
                    clips, config, _named(compute, "ablation"), out=out / "ablation"
                ),
            ),
            failed=failed,
        )
        for what, study in (("Tables III and IV", found.comparison), ("Table VI", found.ablation)):
            if study is not None:
                failed |= {f"{what}, {name}": why for name, why in study.failed.items()}
        place.check()
        with writing(out):
            return Reproduction(_write(found, out), failed)


def _write(found: Findings, out: Path) -> Path:
    """Writes the page, the tables and the figures; returns the page's path."""
    book = Book(found.title, out)
    for section in (
        opening_section,
        activation_section,
        count_section,
        active_image_section,
        comparison_section,
        complexity_section,
        ablation_section,
        first_layer_section,
        response_section,
        source_section,
        settings,
    ):
        section(book, found)
    path = out / "report.html"
    book.report.write(path)
    return path


def _responses(
    clips: SortedClips,
    config: Config,
    shown: shown_clips.Shown,
    place: Held,
    compute: Compute,
    failed: dict[str, str],
) -> dict[str, responses.Responses]:
    """Trains the networks of the pictures; `failed` receives the reasons of those that fail."""
    networks = {network.name: network for network in baselines.NETWORKS}
    answered = {}
    for name in PICTURED:
        make = partial(
            responses.network_responses,
            name,
            networks[name].model(config),
            clips.images[config.method],
            clips.labels,
            shown,
            config,
            folder=place.folder / "responses",
            device=compute.here,
            progress=compute.progress_of(f"pictures: {name}"),
        )
        found = _attempt(place, failed, f"Figs. 4 and 5, {name}", make)
        if found is not None:
            answered[name] = found
    return answered


def _attempt(
    place: Held, failed: dict[str, str], name: str, make: Callable[[], Made]
) -> Made | None:
    """Returns the result of `make`; if it fails, returns None and records the reason in `failed`.

    Raises:
        InputError: If the reproduction's folder is gone: the parts made so far would be missing.
    """
    place.check()
    try:
        return make()
    # Errors that may end a single part: a missing package, failed training, a full device.
    except (InputError, MemoryError, RuntimeError) as error:
        failed[name] = one_line(error)
        return None


def _named(compute: Compute, study: str) -> Compute:
    """Keeps no weights, and tells rows of two studies apart, which may share names."""
    progress = compute.progress
    named = progress and (lambda row, done, total: progress(f"{study}: {row}", done, total))
    return replace(compute, keep_weights=False, progress=named)
