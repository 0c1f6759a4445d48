"""Which settings of training help: a search on training subjects, and its effects on others.

    python bench/study_recipes.py         # evaluates what results/studies/recipes.csv lacks
    python bench/study_recipes.py --draw  # the table in docs, from the CSV
    python bench/study_recipes.py --check # exit code 1 if the table is not what the CSV gives

Each seed makes its own semi-synthetic subjects. One half of them is searched on: beginning with
the paper's settings, the part that helps most is added, as long as one helps by `MARGIN`. The other
half is evaluated only then, with what the search chose and with each part by itself. Every
evaluation leaves one subject out within its half, so the search sees no clip of the other half.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from study_rows import ROOT, STUDIES, put_table, read_rows, write_rows

from originet.bench.summary import markdown
from originet.clips.channels import joined
from originet.datasets import load_dataset, synth
from originet.datasets.prepare import Settings, images_by_method
from originet.evaluation.compute import Compute
from originet.evaluation.executors import Processes
from originet.evaluation.run import Variant
from originet.evaluation.splits import SortedClips, sort_clips
from originet.evaluation.study import run_study
from originet.system.channels import sources_of
from originet.system.environment import environment
from originet.training.config import Config
from originet.training.networks.table import factory_of

RESULTS = STUDIES / "recipes.csv"
COMMAND = "python bench/study_recipes.py"
DOCS = ROOT / "docs" / "evaluation.md"

SEEDS = 8
SUBJECTS = 8  # of each half
# Clips of a subject by class: unequal, as in every recorded set.
CLIPS = {"negative": 3, "others": 2, "positive": 1, "surprise": 2}
PAPER = Config(epochs=16, batch_size=16, rotations=(-15, 0, 15), equalize=False, image_size=48)
# Amplitude in pixels. With that of `originet synth`, the paper's settings leave little to gain: see
# the table over head motion that study_methods.py writes.
HEAD_MOTION = 0.5
MARGIN = 0.02  # of UAR, by which a part must help to be added
RESAMPLES = 10_000  # of the bootstrap over subjects

PARTS: dict[str, dict[str, Any]] = {
    "two methods": {"method": "cumulative,rank"},
    "balanced sampling": {"sampling": "balanced"},
    "fixed budget": {"select": "last", "validation_fraction": 0.0},
    "label smoothing": {"label_smoothing": 0.1},
    "mixup": {"mixup_alpha": 0.2},
    "translation": {"translation": 0.03},
}
SEARCH, TEST = "search", "test"

Arm = frozenset[str]
"""Parts that are added to the paper's settings."""


@dataclass(frozen=True)
class Row:
    """One arm on one half of a seed's subjects: a row of the CSV."""

    half: str
    """`SEARCH` or `TEST`."""
    arm: str
    """Its parts, joined by " + "; "paper" for none."""
    seed: int
    """Of the clips and of the training."""
    uar: float
    right: str
    """How many clips of each subject are right, by class: a digit for each of `CLIPS`."""
    torch: str
    commit: str
    date: str


def main(
    draw: Annotated[bool, typer.Option("--draw", help="Evaluate nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that train folds.")] = 2,
) -> None:
    rows = read_rows(RESULTS, Row)
    if not (draw or check):
        rows = evaluate(rows, workers)
    put_table(DOCS, "recipes", table_of(rows), check=check, command=f"{COMMAND} --draw")


def name_of(arm: Arm) -> str:
    """Names an arm by its parts."""
    return " + ".join(part for part in PARTS if part in arm) or "paper"


def settings_of(arm: Arm) -> dict[str, Any]:
    """The fields of `Config` that an arm sets."""
    return {field: value for part in PARTS if part in arm for field, value in PARTS[part].items()}


def search(scores: Callable[[Sequence[Arm]], Mapping[Arm, float]]) -> Arm:
    """Adds the part that helps most, as long as one helps by `MARGIN`.

    Args:
        scores: returns the mean UAR of arms.
    """
    arm: Arm = frozenset()
    best = scores([arm])[arm]
    while wider := [arm | {part} for part in PARTS if part not in arm]:
        found = scores(wider)
        next_arm = max(wider, key=lambda each: found[each])
        if found[next_arm] < best + MARGIN:
            break
        arm, best = next_arm, found[next_arm]
    return arm


def arms_to_test(chosen: Arm) -> list[Arm]:
    """The paper's settings, each part by itself, what was chosen, and that without each part."""
    single = [frozenset({part}) for part in PARTS]
    without = [chosen - {part} for part in PARTS if part in chosen]
    return list(dict.fromkeys([frozenset(), *single, chosen, *without]))


def evaluate(rows: list[Row], workers: int) -> list[Row]:
    """Searches, and evaluates what was chosen; keeps what is done."""
    sets: dict[int, SortedClips] = {}

    def need(half: str, arms: Iterable[Arm]) -> None:
        nonlocal rows
        for seed in range(SEEDS):
            done = {row.arm for row in rows if (row.half, row.seed) == (half, seed)}
            lacking = [arm for arm in arms if name_of(arm) not in done]
            if not lacking:
                continue
            start = time.perf_counter()
            if seed not in sets:
                sets[seed] = make_clips(seed)
            rows = rows + evaluate_arms(half, lacking, seed, sets[seed], workers)
            write_rows(RESULTS, sorted(rows, key=place))
            spent = time.perf_counter() - start
            print(f"{half}, seed {seed}, {len(lacking)} arms: {spent:.0f} s", flush=True)

    def scores(arms: Sequence[Arm]) -> dict[Arm, float]:
        need(SEARCH, arms)
        return mean_scores(rows, arms)

    chosen = search(scores)
    print(f"chosen: {name_of(chosen)}", flush=True)
    need(TEST, arms_to_test(chosen))
    return sorted(rows, key=place)


def make_clips(seed: int) -> SortedClips:
    """Makes the subjects of both halves, and the images of all arms."""
    both = PARTS["two methods"]["method"]
    methods = sources_of(both)
    with tempfile.TemporaryDirectory() as folder:
        generated = synth.generate(
            Path(folder) / "clips",
            subjects=2 * SUBJECTS,
            clips_per_class=max(CLIPS.values()),
            seed=seed,
            head_motion=HEAD_MOTION,
        )
        table = load_dataset("synthetic", generated)
        number = table.groupby(["subject", "label"]).cumcount()
        table = table[number < table["label"].map(CLIPS)].reset_index(drop=True)
        images = images_by_method(table, Settings(methods, PAPER.image_size))
    images[both] = joined(images, methods)
    return sort_clips(table, images, PAPER.image_size)


def half_of(clips: SortedClips, half: str) -> SortedClips:
    """The clips of one half of the subjects."""
    subjects = sorted(set(clips.subjects))
    chosen = subjects[:SUBJECTS] if half == SEARCH else subjects[SUBJECTS:]
    kept = np.flatnonzero(np.isin(clips.subjects, chosen))
    images = {method: each[kept] for method, each in clips.images.items()}
    return sort_clips(clips.rows.iloc[kept].reset_index(drop=True), images, clips.image_size)


def evaluate_arms(
    half: str, arms: Sequence[Arm], seed: int, clips: SortedClips, workers: int
) -> list[Row]:
    """Evaluates arms on one half of a seed's subjects."""
    clips = half_of(clips, half)
    variants = []
    for arm in arms:
        config = dataclasses.replace(PAPER, seeds=(seed,), **settings_of(arm))
        variants.append(Variant(name_of(arm), factory_of(config), config))
    study = run_study(clips, variants, Compute("cpu", Processes(workers, threads=1)))
    if study.failed:
        raise RuntimeError(f"{half} seed {seed}: {study.failed}")
    told = environment(torch.device("cpu"))
    made_with = [told[name] for name in ("torch", "commit", "date")]
    rows = []
    for name, result in study.results.items():
        right = []
        for fold in result.folds:
            true, predicted = np.array(fold["true"]), np.array(fold["predicted"])
            counts = np.bincount(true[true == predicted], minlength=len(CLIPS))
            right.append("".join(map(str, counts)))
        uar = round(result.metrics["uar"], 4)
        rows.append(Row(half, name, seed, uar, " ".join(right), *made_with))
    return rows


def mean_scores(rows: Iterable[Row], arms: Iterable[Arm]) -> dict[Arm, float]:
    """The mean UAR of arms over the seeds, on the half that is searched on."""
    found = {(row.arm, row.seed): row.uar for row in rows if row.half == SEARCH}
    return {
        arm: float(np.mean([found[name_of(arm), seed] for seed in range(SEEDS)])) for arm in arms
    }


def recalls(rows: Iterable[Row], arm: Arm) -> NDArray[np.float64]:
    """The share of each subject's clips of each class that are right, on the half that is tested.

    Returns:
        [subjects of all seeds, classes].
    """
    chosen = [row for row in rows if (row.half, row.arm) == (TEST, name_of(arm))]
    chosen.sort(key=lambda row: row.seed)
    digits = [list(map(int, subject)) for row in chosen for subject in row.right.split()]
    return np.array(digits) / list(CLIPS.values())


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """The mean and its 95 % interval: percentile bootstrap over the subjects.

    Args:
        values: the recalls of `recalls`, or differences of them; all subjects have as many clips of
            a class, so that the mean over subjects and classes is the UAR of all seeds.
    """
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values.mean(1)[draws].mean(1), (2.5, 97.5))
    return float(values.mean()), float(low), float(high)


def table_of(rows: Sequence[Row]) -> str:
    """Writes the effects of the parts, in Markdown."""
    chosen = search(lambda arms: mean_scores(rows, arms))
    made = [sorted({getattr(row, name) for row in rows}) for name in ("torch", "commit", "date")]
    paper = recalls(rows, frozenset())
    strong = recalls(rows, chosen)
    lines = []
    for part in PARTS:
        added = interval(recalls(rows, frozenset({part})) - paper)
        taken = "not in it"
        if part in chosen:
            taken = _signed(interval(recalls(rows, chosen - {part}) - strong))
        fields = ", ".join(f"{field}={value!r}" for field, value in PARTS[part].items())
        lines.append((f"{part}: `{fields}`", _signed(added), taken))
    table = markdown(("part", "added to `paper`", "taken from `strong`"), lines)
    scores = [
        f"`{name}` {mean:.3f} ({low:.3f} to {high:.3f})"
        for name, (mean, low, high) in (("paper", interval(paper)), ("strong", interval(strong)))
    ]
    gain = _signed(interval(strong - paper))
    return (
        f"UAR on the subjects that the search did not see: {scores[0]}, {scores[1]}, difference "
        f"{gain}. {SEEDS} seeds of {SUBJECTS} subjects and {SUBJECTS * sum(CLIPS.values())} clips, "
        f"with 95 % intervals (percentile bootstrap over the subjects of all seeds, paired for "
        f"differences). Torch {', '.join(made[0])}, commit {', '.join(made[1])}, "
        f"{', '.join(made[2])}.\n\n{table}"
    )


def _signed(values: tuple[float, float, float]) -> str:
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*values)


def place(row: Row) -> tuple[bool, int, str, int]:
    """Returns where a row stands in the CSV, so that a run more changes its own lines alone."""
    return row.half == TEST, row.arm.count("+") + (row.arm != "paper"), row.arm, row.seed


if __name__ == "__main__":
    typer.run(main)
