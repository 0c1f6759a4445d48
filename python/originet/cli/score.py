"""`originet score`."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from originet.cli.console import errors
from originet.system.errors import InputError
from originet.system.files import write_atomically
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.evaluation.spotting import Interval, Score


def score_command(
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH",
            help="CSV file of the true intervals: video, onset, offset; and subject, label, kind.",
        ),
    ],
    predicted: Annotated[
        list[Path],
        typer.Argument(
            metavar="INTERVALS",
            help="CSV files of spotted intervals, or folders written by `originet spot`.",
        ),
    ],
    loso: Annotated[
        bool,
        typer.Option(
            "--loso", help="Choose the lowest score that counts for each subject on the others."
        ),
    ] = False,
    iou: Annotated[float, typer.Option(help="The overlap from which an interval is right.")] = 0.5,
    compatible: Annotated[
        bool,
        typer.Option("--compatible", help="Count as the public program of the reference does."),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores to this file as JSON.")
    ] = None,
) -> None:
    """Score spotted intervals by the rules of the MEGC challenges."""
    from originet.evaluation import spotting
    from originet.evaluation.interval_files import read_predicted, read_truth

    if loso and compatible:
        raise InputError("--compatible takes all intervals: omit --loso")
    true = read_truth(truth)
    found = read_predicted(predicted, true)
    intervals, lowest = found.intervals, {}
    if loso:
        if found.unknown:
            raise InputError(
                f"{truth} does not say whose video {sorted(found.unknown)[0]} is: --loso needs "
                "the subject of every video, in the truth"
            )
        lowest = spotting.thresholds(intervals, true.intervals, min_iou=iou)
        intervals = spotting.above(intervals, lowest)
    scores = {
        kind: spotting.score(
            _of_kind(intervals, kind),
            _of_kind(true.intervals, kind),
            min_iou=iou,
            compatible=compatible,
        )
        for kind in ("all", *_kinds(intervals, true.intervals))
    }
    for line in _table(scores):
        print(line)
    if found.others:
        several = ", ".join(f"{count} {kind}" for kind, count in sorted(found.others.items()))
        errors.print(f"left out, as they are no expressions: {several}", highlight=False)
    if found.unknown:
        names = ", ".join(sorted(found.unknown)[:3])
        errors.print(
            f"{counted(len(found.unknown), 'video')} not in {truth}: {names}"
            f"{', ...' if len(found.unknown) > 3 else ''}",
            highlight=False,
            soft_wrap=True,
        )
    if json_file is not None:
        written: dict[str, Any] = {kind: _record(each) for kind, each in scores.items()}
        written["thresholds"] = {
            subject: None if math.isinf(value) else value for subject, value in lowest.items()
        }
        write_atomically(json_file, json.dumps(written, indent=1, allow_nan=False).encode())


def _kinds(predicted: "list[Interval]", true: "list[Interval]") -> list[str]:
    """Names the kinds to score by themselves: none unless every interval has one."""
    if not all(each.kind for each in (*predicted, *true)):
        return []
    return [kind for kind in ("micro", "macro") if any(each.kind == kind for each in true)]


def _of_kind(intervals: "list[Interval]", kind: str) -> "list[Interval]":
    return [each for each in intervals if kind in ("all", each.kind)]


def _table(scores: "dict[str, Score]") -> list[str]:
    heads = ["TP", "FP", "FN", "precision", "recall", "F1"]
    if scores["all"].analysis is not None:
        heads += ["F1 classes", "UF1", "UAR", "STRS"]
    rows = [["intervals", *heads]]
    for kind, each in scores.items():
        shares = [each.spotting.precision, each.spotting.recall, each.spotting.f1]
        if each.analysis is not None and each.strs is not None:
            shares += [each.analysis.f1, each.analysis.uf1, each.analysis.uar, each.strs]
        rows.append([kind, *map(str, each.spotting), *(f"{share:.4f}" for share in shares)])
    widths = [
        max(len(row[place]) for row in rows if place < len(row)) for place in range(len(rows[0]))
    ]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]


def _record(score: "Score") -> dict[str, Any]:
    spotting, analysis = score.spotting, score.analysis
    values: dict[str, Any] = spotting._asdict()
    values |= {name: getattr(spotting, name) for name in ("precision", "recall", "f1")}
    values["analysis"] = None
    if analysis is not None:
        values["analysis"] = {name: _finite(value) for name, value in analysis._asdict().items()}
    return values | {"strs": None if score.strs is None else _finite(score.strs)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
