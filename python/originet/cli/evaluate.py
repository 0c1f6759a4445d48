"""`originet demo` and `originet loso`."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from originet import datasets, demo, loso, prepare
from originet.cli.options import DEFAULTS, Device, Method
from originet.console import console, progress_bar, progress_bars
from originet.model import VARIANTS
from originet.train import SELECTIONS, Config, pick_device


def demo_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path(
        "originet-demo"
    ),
    device: Device = None,
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
    root: Annotated[Path, typer.Argument(help="The clips: <emotion>/<subject>/<clip>, or a CSV.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    dataset: Annotated[
        str, typer.Option(help="What the root holds: folder or synthetic.")
    ] = "folder",
    device: Device = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = DEFAULTS.epochs,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = DEFAULTS.batch_size,
    learning_rate: Annotated[float, typer.Option(help="Adam's step.")] = DEFAULTS.learning_rate,
    weight_decay: Annotated[float, typer.Option(help="L2 penalty.")] = DEFAULTS.weight_decay,
    rotation: Annotated[
        list[int] | None, typer.Option(help="An angle of the augmentation; repeatable.")
    ] = None,
    equalize: Annotated[
        bool, typer.Option(help="Add histogram-equalised training images.")
    ] = DEFAULTS.equalize,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the training clips held out.")
    ] = DEFAULTS.validation_fraction,
    select: Annotated[
        str, typer.Option(help=f"Weights to keep, of the best epoch or the last: {SELECTIONS}.")
    ] = DEFAULTS.select,
    seed: Annotated[list[int] | None, typer.Option(help="One whole run; repeatable.")] = None,
    method: Method = DEFAULTS.method,
    image_size: Annotated[int, typer.Option(help="Pixels.")] = DEFAULTS.image_size,
    crop_face: Annotated[bool, typer.Option("--crop-face", help="Cut out the face first.")] = False,
    variant: Annotated[
        str, typer.Option(help=f"OrigiNet's variant: {VARIANTS}.")
    ] = DEFAULTS.variant,
) -> None:
    """Evaluate OrigiNet by leaving one subject out; an interrupted run goes on where it was."""
    config = Config(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        rotations=tuple(rotation or DEFAULTS.rotations),
        equalize=equalize,
        validation_fraction=validation_fraction,
        select=select,
        seeds=tuple(seed or DEFAULTS.seeds),
        method=method,
        image_size=image_size,
        crop_face=crop_face,
        variant=variant,
    )
    table = datasets.load_dataset(dataset, root)
    loso.check_table(table)  # before the minutes that the images may take
    where = pick_device(device)
    with progress_bars() as bars:
        images = prepare.active_images(
            table,
            method=method,
            image_size=image_size,
            crop_face=crop_face,
            progress=progress_bar(bars, "active images"),
        )
        result = loso.run_loso(
            table,
            config=config,
            images=images,
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
