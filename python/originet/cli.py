"""The command line, `originet`: bad input ends in one line and exit code 2."""

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from originet import bench, datasets, demo, doctor, faces, loso, prepare, synth, timing, video
from originet.bench import summary
from originet.bench.compare import Comparison
from originet.errors import InputError
from originet.files import write_atomically
from originet.model import VARIANTS
from originet.train import SELECTIONS, Config, pick_device
from originet_ext import METHODS, NORMALIZATIONS, active_image

app = typer.Typer(
    help="Active images, OrigiNet and leave-one-subject-out evaluation for micro-expressions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
errors = Console(stderr=True)

DEFAULTS = Config()

Method = Annotated[str, typer.Option(help=f"Reading of the active image: {', '.join(METHODS)}.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; the GPU, if there is one, by default.")
]


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except (InputError, OSError) as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path(
        "originet-demo"
    ),
    device: Device = None,
) -> None:
    """Run the whole road once: video, active images, LOSO, kernel timings, one report."""
    start = time.perf_counter()
    with _progress() as bars:
        stages = {name: _bar(bars, name) for name in demo.STAGES}
        result = demo.run_demo(
            out,
            device=device,
            progress=lambda stage, done, total: stages[stage](done, total),
        )
    _print_loso(result.loso)
    console.print(f"Report: {result.report} ({time.perf_counter() - start:.0f} s)", soft_wrap=True)


@app.command()
def image(
    source: Annotated[Path, typer.Argument(help="A video, or a folder of numbered frames.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png, or a .npy of float32.")],
    method: Method = DEFAULTS.method,
    normalize: Annotated[
        str, typer.Option(help="Map to 0..255: minmax stretches, clip saturates; or none.")
    ] = "minmax",
    crop_face: Annotated[bool, typer.Option("--crop-face", help="Cut out the face first.")] = False,
    color: Annotated[bool, typer.Option("--color", help="Keep the colours.")] = False,
) -> None:
    """Make the active image of one clip."""
    for option, value, known in (
        ("--method", method, METHODS),
        ("--normalize", normalize, NORMALIZATIONS),
    ):
        if value not in known:
            raise InputError(f"{option} must be one of {', '.join(known)}, got {value!r}")
    if out.suffix not in (".png", ".npy"):
        raise InputError(f"{out}: the output must end in .png or .npy")
    if out.suffix == ".png" and normalize == "none":
        raise InputError(f"{out}: a PNG holds 0..255; use --normalize minmax or clip, or a .npy")
    clip = video.read_clip(video.clip_frames(source), color=color)
    if crop_face:
        try:
            clip = faces.crop(clip, faces.stable_box(clip))
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
    pixels = active_image(
        torch.from_numpy(np.ascontiguousarray(clip)), method=method, normalize=normalize
    ).numpy()
    write_atomically(out, _encoded(pixels, out.suffix))
    console.print(f"{out}: {len(clip)} frames, {method}, {normalize}", soft_wrap=True)


@app.command("synth")
def synth_command(
    out: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or an empty one.")],
    subjects: Annotated[int, typer.Option(help="Number of faces.")] = 12,
    clips_per_class: Annotated[int, typer.Option(help="Clips of each class and subject.")] = 3,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Write a semi-synthetic data set: real faces, warped by made-up expressions."""
    with _progress() as bars:
        synth.generate(
            out,
            subjects=subjects,
            clips_per_class=clips_per_class,
            seed=seed,
            progress=_bar(bars, "clips"),
        )
    console.print(f"{out}: {len(datasets.load_dataset('synthetic', out))} clips", soft_wrap=True)


@app.command("loso")
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
    with _progress() as bars:
        images = prepare.active_images(
            table,
            method=method,
            image_size=image_size,
            crop_face=crop_face,
            progress=_bar(bars, "active images"),
        )
        result = loso.run_loso(
            table,
            config=config,
            images=images,
            out=out,
            device=where,
            progress=_bar(bars, "epochs"),
        )
    _print_loso(result)
    console.print(f"Results: {out}", soft_wrap=True)


@app.command("bench")
def bench_command(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for CSV files and pictures; rows are added.")
    ] = Path("originet-bench"),
    quick: Annotated[bool, typer.Option("--quick", help="Under a minute, a few cases.")] = False,
    subject: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(bench.SUBJECTS)}; repeatable, all by default."),
    ] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="Of psi, as in bfloat16; repeatable, all by default.")
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(help="Repeatable; 1 and torch's own number by default. The model: the most."),
    ] = None,
    device: Device = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Report ratios worse than the committed; exit code 1.")
    ] = False,
    baseline: Annotated[Path, typer.Option(help="The committed results.")] = Path("bench/results"),
    results: Annotated[
        Path | None, typer.Option(help="Take the CSV files of this folder; measure nothing.")
    ] = None,
    commit: Annotated[str, typer.Option(help="Recorded where the sources are no repository.")] = "",
) -> None:
    """Time the kernels and OrigiNet beside eager, compiled and native functions and a clone."""
    if compare:
        try:  # before --out changes, which may be the same folder
            committed = bench.read_results(baseline)
        except InputError as error:
            hint = "--baseline must name the bench/results of a checkout"
            raise InputError(f"{error}; {hint}") from None
    rows: list[timing.Row] = []
    if results is not None:
        rows = bench.read_results(results)
    else:
        where = pick_device(device)
        dtypes = [bench.dtype(name) for name in dtype] if dtype else None
        work = {
            name: bench.jobs(name, where, dtypes=dtypes, threads=threads, quick=quick)
            for name in subject or bench.SUBJECTS
        }

        def save(timed: list[timing.Row]) -> None:
            bench.write_results(out, [replace(row, commit=row.commit or commit) for row in timed])

        with _progress() as bars:
            for name, jobs in work.items():
                rows += bench.run_jobs(jobs, _bar(bars, f"bench {name}"), save)
        bench.draw_results(out, bench.read_results(out))
    for part in summary.tables(rows):
        table = Table(*part.header, title=part.title, box=box.SIMPLE_HEAD, padding=0)
        for place, column in enumerate(table.columns):
            column.justify, column.overflow = "left" if place < 3 else "right", "fold"
        for line in part.lines:
            table.add_row(*line)
        console.print(table)
    if results is None:
        console.print(f"Results: {out}", soft_wrap=True)
    if compare:
        _print_comparison(bench.compare(rows, committed))


@app.command("doctor")
def doctor_command() -> None:
    """Tell what is installed, what of it works here, and why not."""
    table = Table(show_header=False, box=None)
    findings = doctor.diagnose()
    for finding in findings:
        mark = {True: "[green]ok[/]", False: "[red]broken[/]", None: ""}[finding.ok]
        table.add_row(finding.name, escape(finding.text), mark)
    console.print(table)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Progress bars on stderr, which appear with the first sign of progress."""
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, TimeElapsedColumn(), console=errors)
    try:
        yield bars
    finally:
        if bars.live.is_started:
            bars.stop()


def _bar(bars: Progress, name: str) -> Callable[[int, int], None]:
    task = bars.add_task(name, total=None, visible=False)

    def update(done: int, total: int) -> None:
        bars.start()
        bars.update(task, completed=done, total=total, visible=True)

    return update


def _encoded(pixels: NDArray[np.float32], suffix: str) -> bytes:
    if suffix == ".png":
        return cv2.imencode(".png", pixels.round().astype(np.uint8))[1].tobytes()
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return buffer.getvalue()


def _print_comparison(outcome: Comparison) -> None:
    """Prints what got worse; ends with exit code 1 if anything did."""
    table = Table(title="Worse than committed: time over that of ...")
    for name in ("case", "dtype", "shape", "threads", "over", "committed", "now"):
        table.add_column(name, overflow="fold")
    for row, rival, before, now in outcome.worse:
        case = (f"{row.benchmark} {row.mode}", row.dtype, f"{row.shape} {row.layout}")
        table.add_row(*case, str(row.threads), rival, f"{before:.2f}", f"{now:.2f}")
    if outcome.worse:
        console.print(table)
    for here, there in outcome.devices:
        console.print(f"Measured on {here}, committed on {there}", soft_wrap=True)
    console.print(
        f"Compared: cases {outcome.cases}, ratios {outcome.ratios}; "
        f"worse by more than {bench.TOLERANCE:.0%}: {len(outcome.worse)}",
        soft_wrap=True,
    )
    if outcome.worse:
        raise typer.Exit(1)


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
