"""`originet demo` and `originet loso`."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from originet import datasets, demo, loso, metrics, prepare, store
from originet.balance import CLASS_WEIGHTS, SAMPLINGS
from originet.cli.options import DEFAULTS, Annotations, CropFace, Device, Frames, Method, Task
from originet.console import console, errors, progress_bar, progress_bars
from originet.errors import InputError
from originet.model import VARIANTS
from originet.protocol import LEAK, PROTOCOLS, describe, is_leaky
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
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="Stores of `originet prepare`, or a data set's root: <emotion>/<subject>/<clip>, "
            "a CSV, or what --dataset says.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    dataset: Annotated[
        str | None,
        typer.Option(help=f"What a root holds: {', '.join(datasets.DATASETS)}; folder by default."),
    ] = None,
    annotations: Annotations = None,
    frames: Frames = None,
    task: Task = None,
    device: Device = None,
    protocol: Annotated[
        str,
        typer.Option(
            help=f"How images are split, {PROTOCOLS}: paper augments before it, which leaks."
        ),
    ] = DEFAULTS.protocol,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = DEFAULTS.epochs,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = DEFAULTS.batch_size,
    learning_rate: Annotated[float, typer.Option(help="Adam's step.")] = DEFAULTS.learning_rate,
    weight_decay: Annotated[float, typer.Option(help="L2 penalty.")] = DEFAULTS.weight_decay,
    class_weights: Annotated[
        str, typer.Option(help=f"Weights in the loss: {CLASS_WEIGHTS}.")
    ] = DEFAULTS.class_weights,
    sampling: Annotated[
        str, typer.Option(help=f"Images of an epoch: {SAMPLINGS}.")
    ] = DEFAULTS.sampling,
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
    image_size: Annotated[
        int | None, typer.Option(help=f"Pixels; of a root {DEFAULTS.image_size} by default.")
    ] = None,
    crop_face: CropFace = None,
    variant: Annotated[
        str, typer.Option(help=f"OrigiNet's variant: {VARIANTS}.")
    ] = DEFAULTS.variant,
) -> None:
    """Evaluate OrigiNet by leaving one subject out; an interrupted run goes on where it was."""
    config = Config(
        protocol=protocol,
        class_weights=class_weights,
        sampling=sampling,
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
        image_size=DEFAULTS.image_size if image_size is None else image_size,
        variant=variant,
    )
    of_a_root = {"dataset": dataset, "annotations": annotations, "frames": frames, "task": task}
    if any(map(store.is_store, paths)):
        for option, value in of_a_root.items():
            if value is not None:
                raise InputError(f"--{option} {value} is for a data set's root, not for a store")
        stored = _read_stores(paths, method, image_size, crop_face)
        table, images = stored.table, stored.images[method]
        config = dataclasses.replace(
            config, image_size=stored.image_size, crop_face=stored.crop_face
        )
    elif len(paths) > 1:
        raise InputError(f"several paths must all be stores, {paths[0]} is none")
    else:
        found = datasets.survey(
            dataset or "folder", paths[0], annotations=annotations, frames=frames, task=task
        )
        datasets.check_usable(found)
        table, images = found.table, None
        crop_face = not found.cropped if crop_face is None else crop_face
        config = dataclasses.replace(config, crop_face=crop_face)
        if found.unusable:
            clips = f"{len(found.unusable)} of {len(found.unusable) + len(table)} clips"
            note = f"{clips} cannot be used: `originet check` tells why"
            errors.print(note, highlight=False)
    loso.check_table(table)  # before the minutes that the images may take
    where = pick_device(device)
    with progress_bars() as bars:
        if images is None:
            images = prepare.active_images(
                table,
                method=method,
                image_size=config.image_size,
                crop_face=config.crop_face,
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


def _read_stores(
    paths: Sequence[Path], method: str, image_size: int | None, crop_face: bool | None
) -> store.Store:
    """Reads stores as one; options that were given must be what they were made with."""
    stores = [store.read_store(path) for path in paths]
    for path, each in zip(paths, stores, strict=True):
        if method not in each.images:
            raise InputError(f"{path} has no images by {method}, but by {', '.join(each.images)}")
        for option, value in (("image_size", image_size), ("crop_face", crop_face)):
            there = each.manifest["settings"][option]
            if value not in (None, there):
                raise InputError(f"{option} is {there} in {path}, {value} was asked for")
    return store.combine_stores(stores)


def _print_loso(result: loso.LosoResult) -> None:
    several = len(result.seeds) > 1
    level = f"{100 * metrics.LEVEL:.0f} %"
    notes = [
        f"{level} interval: percentile bootstrap over subjects, {metrics.RESAMPLES:,} resamples",
        *(["value: mean ± standard deviation over the seeds"] if several else []),
        *([LEAK] if is_leaky(result.config.protocol) else []),
    ]
    table = Table(
        title=f"Leave-one-subject-out on {result.dataset}: {len(result.clips)} clips, "
        f"{describe(result.config)}",
        caption="; ".join(notes),
    )
    headings = ("value", f"{level} interval", "majority baseline")
    table.add_column("measure")
    for heading in headings:
        table.add_column(heading, justify="right")
    names = {
        "pooled_accuracy": "accuracy, pooled",
        "fold_accuracy": "accuracy, mean of folds",
        "uf1": "UF1",
        "uar": "UAR",
    }
    for key, name in names.items():
        spread = f" ± {result.metrics[key + '_std']:.3f}" if several else ""
        low, high = result.intervals[key]
        table.add_row(
            *(name, f"{result.metrics[key]:.3f}{spread}"),
            *(f"{low:.3f} to {high:.3f}", f"{result.baseline[key]:.3f}"),
        )
    console.print(table)
    classes = Table(title="By class" + (", all seeds together" if several else ""))
    classes.add_column("class")
    for heading in ("precision", "recall", "F1", "support"):
        classes.add_column(heading, justify="right")
    for name, row in result.per_class.items():
        shares = (row["precision"], row["recall"], row["f1"])
        cells = ("-" if share is None else f"{share:.3f}" for share in shares)
        classes.add_row(escape(name), *cells, str(row["support"]))
    console.print(classes)
    confusion = Table(title="Confusion (rows: true)")
    for name in ("", *result.classes):
        confusion.add_column(escape(name), justify="right")
    for name, counts in zip(result.classes, result.confusion, strict=True):
        confusion.add_row(escape(name), *(str(count) for count in counts))
    console.print(confusion)
    console.print(f"Clip list: sha256 {result.clip_list_sha256}", soft_wrap=True)
