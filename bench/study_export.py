"""What 8 bits cost: OrigiNet in float32 and exported as int8, on the same semi-synthetic folds.

    python bench/study_export.py          # evaluates what results/studies/export.csv lacks
    python bench/study_export.py --draw   # the table in docs, from the CSV
    python bench/study_export.py --check  # exit code 1 if the table is not what the CSV gives

In each fold of leave-one-subject-out, the network is trained on the other subjects' clips. The
exported network's ranges are set by the same clips. Both answer for the clips of the test subject.
"""

import dataclasses
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from study_rows import ROOT, STUDIES, put_table, read_rows, write_rows

from originet.datasets import load_dataset, synth
from originet.datasets.prepare import Settings, images_by_method
from originet.deploy import runtimes
from originet.deploy.model import Model
from originet.evaluation.metrics import uar
from originet.evaluation.splits import SortedClips, sort_clips, subject_splits
from originet.system.device import set_seed
from originet.system.environment import environment
from originet.training.augment import augmented_views
from originet.training.config import Config
from originet.training.networks.table import factory_of
from originet.training.protocol import Parts, all_copies
from originet.training.train import Training, fit_together

RESULTS = STUDIES / "export.csv"
COMMAND = "python bench/study_export.py"
DOCS = ROOT / "docs" / "models.md"

SEEDS = 3
SUBJECTS, CLIPS_PER_CLASS = 8, 2
# As in study_methods.py, where "cumulative" is right in about 0.92 of the clips.
CONFIG = Config(
    epochs=6,
    batch_size=16,
    rotations=(-15, 0, 15),
    equalize=False,
    image_size=48,
    validation_fraction=0,
    select="last",
)


@dataclass(frozen=True)
class Run:
    """All folds of one seed in one runtime: a row of the CSV."""

    runtime: str
    seed: int
    """Of the clips and of the training."""
    clips: int
    uar_float32: float
    """Of the model itself."""
    uar_int8: float
    agreement: float
    """Share of the clips for which both give the same class."""
    max_difference: float
    """The largest difference between two probabilities."""
    torch: str
    commit: str
    date: str


def main(
    draw: Annotated[bool, typer.Option("--draw", help="Evaluate nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing.")] = False,
) -> None:
    runs = read_rows(RESULTS, Run)
    if not (draw or check):
        torch.set_num_threads(1)
        for seed in range(SEEDS):
            if seed not in {run.seed for run in runs}:
                start = time.perf_counter()
                runs += evaluate(seed)
                write_rows(RESULTS, sorted(runs, key=lambda run: (run.runtime, run.seed)))
                print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    put_table(DOCS, "int8", table_of(runs), check=check, command=f"{COMMAND} --draw")


def evaluate(seed: int) -> list[Run]:
    """Trains, exports and evaluates all folds of one seed."""
    config = dataclasses.replace(CONFIG, seeds=(seed,))
    clips = clips_of(seed)
    images, subjects = clips.images[config.method], clips.subjects
    views = torch.from_numpy(augmented_views(images, config.rotations, config.equalize))
    shape = (len(images), len(clips.classes))
    found = {name: np.zeros(shape, np.float32) for name in ("originet", "onnx", "openvino")}
    for train, test in subject_splits(subjects):
        model = Model(
            clips.classes,
            Settings((config.method,), config.image_size),
            None,
            (trained(views, clips, train, config, seed),),
            {},
        )
        onnx = runtimes.quantise(runtimes.to_onnx(model), images[train])
        files = {"onnx": (onnx,), "openvino": runtimes.to_openvino(onnx)}
        found["originet"][test] = model.probabilities(images[test])
        for runtime, each in files.items():
            found[runtime][test] = runtimes.load(runtime, each, 1)(images[test])
    told = environment(torch.device("cpu"))
    expected = found.pop("originet")
    chosen = expected.argmax(axis=1)
    return [
        Run(
            runtime=runtime,
            seed=seed,
            clips=len(images),
            uar_float32=round(uar(clips.labels, chosen), 4),
            uar_int8=round(uar(clips.labels, each.argmax(axis=1)), 4),
            agreement=round(float((each.argmax(axis=1) == chosen).mean()), 4),
            max_difference=round(float(np.abs(each - expected).max()), 4),
            torch=told["torch"],
            commit=told["commit"],
            date=told["date"],
        )
        for runtime, each in found.items()
    ]


def clips_of(seed: int) -> SortedClips:
    """Makes the clips of one seed and their images."""
    with tempfile.TemporaryDirectory() as folder:
        generated = synth.generate(
            Path(folder) / "clips", subjects=SUBJECTS, clips_per_class=CLIPS_PER_CLASS, seed=seed
        )
        table = load_dataset("synthetic", generated)
        images = images_by_method(table, Settings((CONFIG.method,), CONFIG.image_size))
    return sort_clips(table, images, CONFIG.image_size)


def trained(
    views: torch.Tensor, clips: SortedClips, train: np.ndarray, config: Config, seed: int
) -> torch.nn.Module:
    """Trains the network of one fold."""
    set_seed(seed)
    nothing = np.zeros(0, dtype=np.int64)
    training = Training(
        factory_of(config)(len(clips.classes)),
        views,
        np.arange(len(clips.labels)),
        clips.labels,
        config,
        seed=seed,
        classes=len(clips.classes),
        parts=Parts(*all_copies(train, config), nothing, nothing),
    )
    (history,) = fit_together([training])
    if isinstance(history, Exception):
        raise history
    return training.model.eval()


def table_of(runs: list[Run]) -> str:
    """Writes the means over the seeds as a table, in Markdown."""
    first = runs[0]
    made = [sorted({getattr(run, name) for run in runs}) for name in ("torch", "commit", "date")]
    seeds = len({run.seed for run in runs})
    lines = ["| runtime | UAR float32 | UAR int8 | same class |", "| --- | ---: | ---: | ---: |"]
    for runtime in sorted({run.runtime for run in runs}):
        mine = [run for run in runs if run.runtime == runtime]
        means = [
            statistics.mean(getattr(run, name) for run in mine)
            for name in ("uar_float32", "uar_int8", "agreement")
        ]
        cells = (f"{means[0]:.4f}", f"{means[1]:.4f}", f"{100 * means[2]:.1f} %")
        lines.append(f"| {runtime} | {' | '.join(cells)} |")
    note = (
        f"Means over {seeds} seeds of {SUBJECTS} subjects and {first.clips} clips each. Torch "
        f"{', '.join(made[0])}, commit {', '.join(made[1])}, {', '.join(made[2])}."
    )
    return "\n".join(lines) + f"\n\n{note}"


if __name__ == "__main__":
    typer.run(main)
