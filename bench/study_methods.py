"""Which reading of the active image sees a micro-expression: all methods on the same clips.

    python bench/study_methods.py         # evaluates what results/studies/methods.csv lacks, draws
    python bench/study_methods.py --draw  # the figure and the tables in docs, from the CSV
    python bench/study_methods.py --check # exit code 1 if the tables are not what the CSV gives

One condition of the semi-synthetic clips is varied at a time, the others stay as `originet synth`
has them: what is left of the movement in the last frames, how far the head moves, how much the
light drifts. Sets of one seed show the same faces, movements and noise under every condition. Each
method is evaluated by strict leave-one-subject-out, with OrigiNet and the same settings.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from study_rows import ROOT, STUDIES, put_table, read_rows, write_rows

from originet.bench.summary import markdown
from originet.datasets import load_dataset, synth
from originet.datasets.prepare import Settings, images_by_method
from originet.drawing import figures
from originet.drawing.figures import new_figure
from originet.evaluation.compute import Compute
from originet.evaluation.executors import Processes
from originet.evaluation.run import Variant
from originet.evaluation.splits import sort_clips
from originet.evaluation.study import run_study
from originet.system.environment import environment
from originet.training.config import Config
from originet.training.networks.table import factory_of
from originet_ext import METHODS

RESULTS = STUDIES / "methods.csv"
COMMAND = "python bench/study_methods.py"
DOCS = ROOT / "docs" / "active-images.md"

SEEDS = 5
SUBJECTS, CLIPS_PER_CLASS = 8, 2
CONFIG = Config(
    epochs=6,
    batch_size=16,
    rotations=(-15, 0, 15),
    equalize=False,
    image_size=48,
    validation_fraction=0,
    select="last",
)
RESAMPLES = 10_000  # of the bootstrap over subjects

# The values of each condition. Those of `originet synth` are evaluated once for all axes.
AXES: dict[str, tuple[float, ...]] = {
    "residual": (0.0, 0.25, 0.5, 0.85),
    "head_motion": (synth.HEAD_MOTION, 0.5, 1.5),
    "light_drift": (synth.LIGHT_DRIFT, 0.1, 0.3),
}
NAMES = {
    "residual": "share of the peak left in the last frames",
    "head_motion": "amplitude of the head's motion, pixels",
    "light_drift": "light drift over a clip, deviation",
}
USUAL = {"head_motion": synth.HEAD_MOTION, "light_drift": synth.LIGHT_DRIFT}


@dataclass(frozen=True)
class Run:
    """One method on one set: a row of the CSV."""

    axis: str
    """What is varied, "usual" for the set as `originet synth` makes it."""
    value: float
    """Its value."""
    method: str
    seed: int
    """Of the clips and of the training."""
    clips: int
    majority: float
    """Accuracy of always answering the commonest class."""
    accuracy: float
    """Pooled."""
    uar: float
    right: str
    """How many clips of each subject are right, in the subjects' order."""
    torch: str
    commit: str
    date: str

    @property
    def condition(self) -> tuple[str, float]:
        """What is varied, and its value."""
        return self.axis, self.value


def main(
    draw: Annotated[bool, typer.Option("--draw", help="Evaluate nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that train folds.")] = 2,
) -> None:
    runs = read_rows(RESULTS, Run)
    if not (draw or check):
        runs = evaluate(runs, workers)
    put_table(DOCS, "study", tables_of(runs), check=check, command=f"{COMMAND} --draw")
    if not check:
        figures.save(figure_of(runs), RESULTS.with_suffix(".png"))


def conditions() -> Iterator[tuple[str, float]]:
    """Each set of clips: the usual one, then one axis after the other."""
    yield "usual", 0.0
    for axis, values in AXES.items():
        for value in values:
            if value != USUAL.get(axis):
                yield axis, value


def evaluate(runs: list[Run], workers: int) -> list[Run]:
    """Evaluates all methods under the conditions that are not among `runs`; keeps what is done."""
    done = {(*run.condition, run.seed, run.method) for run in runs}
    for seed in range(SEEDS):
        for axis, value in conditions():
            if all((axis, value, seed, method) in done for method in METHODS):
                continue
            start = time.perf_counter()
            runs = [run for run in runs if (*run.condition, run.seed) != (axis, value, seed)]
            runs += evaluate_set(axis, value, seed, workers)
            write_rows(RESULTS, sorted(runs, key=place))
            print(f"{axis} {value:g}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    return runs


def evaluate_set(axis: str, value: float, seed: int, workers: int) -> list[Run]:
    """Makes one set of clips and evaluates all methods on it."""
    varied: dict[str, Any] = {}
    if axis != "usual":
        varied[axis] = (value, value) if axis == "residual" else value
    with tempfile.TemporaryDirectory() as folder:
        generated = synth.generate(
            Path(folder) / "clips",
            subjects=SUBJECTS,
            clips_per_class=CLIPS_PER_CLASS,
            seed=seed,
            **varied,
        )
        table = load_dataset("synthetic", generated)
        images = images_by_method(table, Settings(METHODS, CONFIG.image_size))
    clips = sort_clips(table, images, CONFIG.image_size)
    config = dataclasses.replace(CONFIG, seeds=(seed,))
    variants = [
        Variant(method, factory_of(config), dataclasses.replace(config, method=method))
        for method in METHODS
    ]
    study = run_study(clips, variants, Compute("cpu", Processes(workers, threads=1)))
    if study.failed:
        raise RuntimeError(f"{axis} {value} seed {seed}: {study.failed}")
    told = environment(torch.device("cpu"))
    made_with = [told[name] for name in ("torch", "commit", "date")]
    runs = []
    for method, result in study.results.items():
        right = [
            sum(t == p for t, p in zip(fold["true"], fold["predicted"], strict=True))
            for fold in result.folds
        ]
        scores = result.metrics["pooled_accuracy"], result.metrics["uar"]
        runs.append(
            Run(
                *(axis, value, method, seed, len(table), round(result.majority_accuracy, 4)),
                *(round(score, 4) for score in scores),
                " ".join(map(str, right)),
                *made_with,
            )
        )
    return runs


def interval(runs: Sequence[Run]) -> tuple[float, float, float]:
    """Mean accuracy of some seeds, and its 95 % interval: percentile bootstrap over subjects.

    The subjects of all seeds are drawn together, each with all its clips.
    """
    right = np.array([int(count) for run in runs for count in run.right.split()])
    each = 4 * CLIPS_PER_CLASS  # clips of a subject
    draws = np.random.default_rng(0).integers(len(right), size=(RESAMPLES, len(right)))
    low, high = np.percentile(right[draws].mean(1) / each, (2.5, 97.5))
    return float(right.mean() / each), float(low), float(high)


def series(runs: Iterable[Run], axis: str, method: str) -> list[tuple[float, list[Run]]]:
    """The runs of one method along one axis, by its values."""
    by_value: dict[float, list[Run]] = {}
    for run in runs:
        if run.method != method or run.axis not in (axis, "usual"):
            continue
        value = run.value if run.axis == axis else USUAL.get(axis)
        if value is not None:  # the usual clips keep a share between 0 and 0.1
            by_value.setdefault(value, []).append(run)
    return sorted(by_value.items())


def figure_of(runs: Sequence[Run]) -> Figure:
    """Draws accuracy over each axis, a line for each method."""
    figure = new_figure(11, 4.4)
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axes, axis in zip(panels, AXES, strict=True):
        for place, method in enumerate(METHODS):
            _line(axes, method, series(runs, axis, method), place)
        axes.axhline(0.25, color=figures.GREY, linewidth=1, linestyle="--")
        axes.set_xlabel(NAMES[axis], fontsize=9)
        axes.set_xticks(range(len(AXES[axis])), [f"{value:g}" for value in AXES[axis]])
        axes.set_ylim(0, 1.02)
        axes.grid(axis="y", color="#e5e5e5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("accuracy (dashed: chance)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=9, frameon=False)
    return figure


# Colour, marker and width: the two readings of the paper's equations stand out.
_STYLES = {
    "cumulative": (figures.BLUE, "o", 2.4),
    "telescoped": (figures.ORANGE, "s", 2.4),
    "authors": ("#8a6d00", "^", 1.2),
    "absolute": ("#cc79a7", "D", 1.2),
    "rectified": ("#cc79a7", "d", 1.2),
    "rank": ("#009e73", "v", 1.6),
    "rank-simple": ("#b8860b", "<", 1.2),
    "learnet": ("#56b4e9", "P", 1.2),
}


def _line(axes: Axes, method: str, points: list[tuple[float, list[Run]]], place: int) -> None:
    colour, marker, width = _STYLES[method]
    # Side by side, or the intervals would hide each other.
    x = np.arange(len(points)) + 0.05 * (place - (len(METHODS) - 1) / 2)
    mean, low, high = np.array([interval(found) for _, found in points]).T
    dashes = "--" if method in ("rectified", "rank-simple") else "-"
    axes.errorbar(
        x,
        mean,
        yerr=(mean - low, high - mean),
        label=method,
        color=colour,
        marker=marker,
        markersize=4.5,
        linewidth=width,
        linestyle=dashes,
        elinewidth=0.8,
    )


def tables_of(runs: Sequence[Run]) -> str:
    """Writes what the figure shows as tables, in Markdown."""
    first = runs[0]
    made = [sorted({getattr(run, name) for run in runs}) for name in ("torch", "commit", "date")]
    seeds = len({run.seed for run in runs})
    parts = [
        f"Mean accuracy over {seeds} seeds of {SUBJECTS} subjects and {first.clips} clips each, "
        f"with the 95 % interval (percentile bootstrap over the subjects of all seeds); the "
        f"majority baseline is {first.majority:.2f}. Torch {', '.join(made[0])}, commit "
        f"{', '.join(made[1])}, {', '.join(made[2])}.",
    ]
    for axis in AXES:
        values = [value for value, _ in series(runs, axis, METHODS[0])]
        header = ["method", *(f"{value:g}" for value in values)]
        lines = []
        for method in METHODS:
            cells = [
                "{:.2f} ({:.2f}-{:.2f})".format(*interval(found))
                for _, found in series(runs, axis, method)
            ]
            lines.append([f"`{method}`", *cells])
        parts += [f"{NAMES[axis][0].upper()}{NAMES[axis][1:]}:", markdown(header, lines)]
    spread = statistics.mean(
        statistics.stdev(run.accuracy for run in found)
        for axis in AXES
        for method in METHODS
        for _, found in series(runs, axis, method)
        if len(found) > 1
    )
    parts.append(f"The accuracy of one seed deviates by {spread:.2f} from the mean of them.")
    return "\n\n".join(parts)


def place(run: Run) -> tuple[int, int, int]:
    """Returns where a row stands in the CSV, so that a run more changes its own lines alone."""
    return list(conditions()).index(run.condition), METHODS.index(run.method), run.seed


if __name__ == "__main__":
    typer.run(main)
