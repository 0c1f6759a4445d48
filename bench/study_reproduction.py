"""The whole paper on semi-synthetic clips: what docs/reproduction.md shows.

    python bench/study_reproduction.py --folder FOLDER # makes all of it, in hours, and the page
    python bench/study_reproduction.py --draw          # the page's tables, from the CSVs
    python bench/study_reproduction.py --check         # exit code 1 if they are not what these give

All settings are those of `originet reproduce`, but for bfloat16 and for fewer clips than it makes
without data. FOLDER keeps the clips, the runs and the report. A run that was interrupted goes on
where it stopped when the same command is started again.
"""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from study_rows import ROOT, STUDIES, put_table, read_rows, write_rows

from originet.bench.summary import markdown
from originet.datasets import synth
from originet.system.environment import environment
from originet.system.words import percent, percents

RESULTS = STUDIES / "reproduction"
RUNS = RESULTS / "runs.csv"
COMMAND = "python bench/study_reproduction.py"
DOCS = ROOT / "docs" / "reproduction.md"
PICTURES = ROOT / "docs" / "pictures" / "reproduction"

SUBJECTS, CLIPS_PER_CLASS = 6, 2
SETTINGS = ("--precision", "bfloat16", "--device", "cpu")


@dataclass(frozen=True)
class Run:
    """What a row's evaluation says beside the report's tables: a row of runs.csv."""

    study: str
    """`compare` or `ablation`."""
    row: str
    low: float
    """Of the 95 % interval of the pooled accuracy: bootstrap over the subjects."""
    high: float
    seconds: float
    """Of a fold: the fastest, as other programs may have slowed some."""
    device: str
    torch: str
    commit: str
    """With which the report was written; an interrupted run may have begun with another."""
    date: str


def main(
    folder: Annotated[Path | None, typer.Option(help="For the clips, runs and report.")] = None,
    draw: Annotated[bool, typer.Option("--draw", help="Evaluate nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
) -> None:
    if not (draw or check):
        if folder is None:
            raise typer.BadParameter("--folder is needed to make the results")
        keep(reproduced(folder))
    for name, table in tables().items():
        put_table(DOCS, name, table, check=check, command=f"{COMMAND} --draw")


def reproduced(folder: Path) -> Path:
    """Makes the clips, the runs and the report, as far as they are missing.

    Returns:
        The folder of the report.
    """
    clips = synth.generate_once(
        folder / "clips", subjects=SUBJECTS, clips_per_class=CLIPS_PER_CLASS
    )
    out = folder / "reproduction"
    command = [sys.executable, "-m", "originet", "reproduce", str(clips), "-o", str(out), *SETTINGS]
    subprocess.run(command, check=True)
    return out


def keep(out: Path) -> None:
    """Copies the tables and figures of a report, and notes the intervals and times of its rows."""
    runs = runs_of(out)  # first, so that what cannot be read removes nothing
    for source, kind, target in (("tables", "csv", RESULTS), ("figures", "png", PICTURES)):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in sorted((out / source).glob(f"*.{kind}")):
            shutil.copyfile(path, target / path.name)
    write_rows(RUNS, runs)


def runs_of(out: Path) -> list[Run]:
    """Reads the intervals and times of a report's rows."""
    told = environment(torch.device("cpu"))
    found = []
    for path in sorted(out.glob("*/*/results.json")):
        study, row = path.parts[-3:-1]
        result = json.loads(path.read_bytes())
        low, high = (round(bound, 4) for bound in result["intervals"]["pooled_accuracy"])
        # LBP-TOP keeps no times of its folds.
        folds = [fold["seconds"] for fold in result.get("folds", ())]
        seconds = round(min(folds, default=result["seconds"] / SUBJECTS), 1)
        made_with = (told[name] for name in ("device_name", "torch", "commit", "date"))
        found.append(Run(study, row, low, high, seconds, *made_with))
    return found


def tables() -> dict[str, str]:
    """Makes the page's tables from the committed results, by the names of their blocks."""
    runs = read_rows(RUNS, Run)
    return {
        "compared": compared_table(runs),
        "ablation": ablation_table(runs),
        "sizes": size_table(),
    }


def table_of(name: str) -> list[dict[str, str]]:
    """Reads one of the report's tables."""
    with (RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def compared_table(runs: Sequence[Run]) -> str:
    """Writes Tables III and IV."""
    printed = {row["method"]: row["casme2"] for row in table_of("table3_4_printed")}
    return scores_table(
        "compare",
        runs,
        [
            (
                row,
                f"{int(row['parameters']):,}" if row["parameters"] else "",
                printed.get(row["row"]),
            )
            for row in table_of("table3_4")
        ],
        "parameters",
        texts=1,
    )


def ablation_table(runs: Sequence[Run]) -> str:
    """Writes Table VI."""
    rows = [(row, row["change"], row["paper_accuracy"]) for row in table_of("table6")]
    return scores_table("ablation", runs, rows, "what is changed", texts=2)


def scores_table(
    study: str,
    runs: Sequence[Run],
    rows: Sequence[tuple[Mapping[str, str], str, str | None]],
    told: str,
    *,
    texts: int,
) -> str:
    """Writes the scores of a study's rows.

    Args:
        study: its name in `Run`.
        runs: of both studies.
        rows: of the report, what else is said of each, and the paper's accuracy on CASME II.
        told: what is said, the column's title.
        texts: number of text columns.
    """
    by_row = {run.row: run for run in runs if run.study == study}
    hours = sum(run.seconds for run in by_row.values()) * SUBJECTS / 3600
    device, version, date = (
        ", ".join(sorted({getattr(run, name) for run in by_row.values()}))
        for name in ("device", "torch", "date")
    )
    header = ("row", told, "accuracy", "95 % interval", "UF1", "UAR", "paper", "seconds a fold")
    lines = [
        (
            row["row"],
            what,
            percent(float(row["pooled_accuracy"])),
            percents((by_row[row["row"]].low, by_row[row["row"]].high)),
            f"{float(row['uf1']):.3f}",
            f"{float(row['uar']):.3f}",
            percent(float(paper)) if paper else "",
            f"{by_row[row['row']].seconds:.0f}",
        )
        for row, what, paper in rows
    ]
    return (
        f"{SUBJECTS} folds of each row take {hours:.1f} hours, if all are as fast as the fastest. "
        f"{device}, torch {version}, {date}.\n\n{markdown(header, lines, texts)}"
    )


def size_table() -> str:
    """Writes Table V."""
    return markdown(
        ("network", "layers", "parameters", "paper: layers", "paper: parameters"),
        [
            (
                row["network"],
                row["layers"],
                f"{int(row['parameters']):,}",
                row["paper_layers"],
                f"{float(row['paper_parameters_millions']):g} M",
            )
            for row in table_of("table5")
        ],
    )


if __name__ == "__main__":
    typer.run(main)
