"""`originet demo` and `originet loso`."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from originet import demo, loso
from originet.cli import options
from originet.cli.clips import read_clips
from originet.cli.options import DEFAULTS
from originet.console import console, progress_bar, progress_bars
from originet.train import pick_device


def demo_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path(
        "originet-demo"
    ),
    device: options.Device = None,
) -> None:
    """Run the whole road once: video, active images, LOSO, kernel timings, one report."""
    start = time.perf_counter()
    with progress_bars() as bars:
        stages = {name: progress_bar(bars, name) for name in demo.STAGES}
        result = demo.run_demo(
            out,
            device=device,
            progress=lambda stage, done, total: stages[stage](done, total),
        )
    _print_loso(result.loso)
    console.print(f"Report: {result.report} ({time.perf_counter() - start:.0f} s)", soft_wrap=True)


def loso_command(
    paths: options.Paths,
    out: options.Results,
    dataset: options.Dataset = None,
    annotations: options.Annotations = None,
    frames: options.Frames = None,
    task: options.Task = None,
    device: options.Device = None,
    epochs: options.Epochs = DEFAULTS.epochs,
    batch_size: options.BatchSize = DEFAULTS.batch_size,
    learning_rate: options.LearningRate = DEFAULTS.learning_rate,
    weight_decay: options.WeightDecay = DEFAULTS.weight_decay,
    rotation: options.Rotation = None,
    equalize: options.Equalize = DEFAULTS.equalize,
    validation_fraction: options.ValidationFraction = DEFAULTS.validation_fraction,
    select: options.Select = DEFAULTS.select,
    seed: options.Seed = None,
    method: options.Method = DEFAULTS.method,
    image_size: options.ImageSize = None,
    crop_face: options.CropFace = None,
    variant: options.Variant = DEFAULTS.variant,
) -> None:
    """Evaluate OrigiNet by leaving one subject out; an interrupted run goes on where it was."""
    config = options.config_of(locals())
    where = pick_device(device)
    clips = read_clips(
        paths,
        [method],
        dataset=dataset,
        annotations=annotations,
        frames=frames,
        task=task,
        image_size=image_size,
        crop_face=crop_face,
    )
    config = dataclasses.replace(config, image_size=clips.image_size, crop_face=clips.crop_face)
    with progress_bars() as bars:
        result = loso.run_loso(
            clips.table,
            config=config,
            images=clips.images[method],
            out=out,
            device=where,
            progress=progress_bar(bars, "epochs"),
        )
    _print_loso(result)
    console.print(f"Results: {out}", soft_wrap=True)


def _print_loso(result: loso.LosoResult) -> None:
    title = f"Leave-one-subject-out on {result.dataset}: {len(result.clips)} clips"
    table = Table(title=title)
    table.add_column("measure")
    table.add_column("value", justify="right")
    names = {
        "pooled_accuracy": "accuracy, pooled",
        "fold_accuracy": "accuracy, mean of folds",
        "uf1": "UF1",
        "uar": "UAR",
    }
    for key, name in names.items():
        spread = f" ± {result.metrics[key + '_std']:.3f}" if len(result.seeds) > 1 else ""
        table.add_row(name, f"{result.metrics[key]:.3f}{spread}")
    table.add_row("majority-class baseline", f"{result.majority_accuracy:.3f}")
    console.print(table)
    confusion = Table(title="Confusion (rows: true)")
    for name in ("", *result.classes):
        confusion.add_column(name, justify="right")
    for name, row in zip(result.classes, result.confusion, strict=True):
        confusion.add_row(name, *(str(count) for count in row))
    console.print(confusion)
    console.print(f"Clip list: sha256 {result.clip_list_sha256}", soft_wrap=True)
