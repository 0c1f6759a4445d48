"""The command line, `originet`: bad input ends in one line and exit code 2."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.progress import TimeRemainingColumn
from rich.table import Table

from originet import bench, datasets, demo, doctor, loso, prepare, render, synth, timing
from originet.bench import summary
from originet.bench.compare import Comparison
from originet.console import Rate, complain, console, errors, progress_bar, progress_bars
from originet.errors import InputError
from originet.model import VARIANTS
from originet.train import SELECTIONS, Config, pick_device
from originet_ext import METHODS

app = typer.Typer(
    help="Active images, OrigiNet and leave-one-subject-out evaluation for micro-expressions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
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
        complain(str(error))
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
    with progress_bars() as bars:
        stages = {name: progress_bar(bars, name) for name in demo.STAGES}
        result = demo.run_demo(
            out,
            device=device,
            progress=lambda stage, done, total: stages[stage](done, total),
        )
    _print_loso(result.loso)
    console.print(f"Report: {result.report} ({time.perf_counter() - start:.0f} s)", soft_wrap=True)


@app.command()
def image(
    source: Annotated[
        Path, typer.Argument(help="A video, a folder of numbered frames, or a folder of clips.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A .png, .npy (float32) or .gif; for a folder of clips a folder."
        ),
    ],
    method: Annotated[
        str | None, typer.Option(help=f"{', '.join(METHODS)}; {DEFAULTS.method} by default.")
    ] = None,
    normalize: Annotated[
        str, typer.Option(help="Map to 0..255: minmax stretches, clip saturates; or none.")
    ] = "minmax",
    all_methods: Annotated[
        bool, typer.Option("--all-methods", help="Draw the active images of all methods.")
    ] = False,
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Draw onset, apex, offset and the active image."),
    ] = False,
    gif: Annotated[
        bool, typer.Option("--gif", help="Animate the clip beside its growing active image.")
    ] = False,
    apex: Annotated[
        int | None,
        typer.Option(help="The apex frame; by default the one least like the onset."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="First frame: a number, or a time as 12.5s or 1:02:03.5.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Last frame, likewise; it is included.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second; by default as the video says.")
    ] = None,
    crop_face: Annotated[
        bool, typer.Option("--crop-face", help="Cut out the face first, one box for all frames.")
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="Resize frames first, to so many pixels both ways.")
    ] = None,
    color: Annotated[
        bool, typer.Option("--color", help="Keep the colours (a .npy has blue, green, red).")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Clips at a time, of a folder; by default as many as cores.")
    ] = None,
) -> None:
    """Make the active image of a clip, or of each clip in a folder."""
    flags = {"all-methods": all_methods, "side-by-side": side_by_side, "gif": gif}
    kinds = [kind for kind, chosen in flags.items() if chosen]
    if len(kinds) > 1:
        raise InputError(f"--{kinds[0]} and --{kinds[1]} make two files: choose one")
    if all_methods and method is not None:
        raise InputError(f"--all-methods leaves no choice: omit --method {method}")
    options = render.Options(
        kind=kinds[0] if kinds else "gif" if out.suffix.lower() == ".gif" else "image",
        method=method or DEFAULTS.method,
        normalize=normalize,
        apex=apex,
        start=start,
        end=end,
        fps=fps,
        color=color,
        crop_face=crop_face,
        size=size,
    )
    clips = render.find_clips(source)
    if clips == [source]:
        if jobs is not None:
            raise InputError(f"--jobs {jobs} is for a folder of clips, {source} is one clip")
        with progress_bars(Rate("frames"), TimeRemainingColumn()) as bars:
            made = render.render_file(source, out, options, progress_bar(bars, "frames"))
        console.print(escape(f"{out}: {made}"), soft_wrap=True)
        return
    workers = os.cpu_count() or 1 if jobs is None else jobs
    files = render.plan_files(source, clips, out, options)
    with progress_bars(Rate("clips"), TimeRemainingColumn()) as bars:
        failed = render.render_files(files, options, workers, progress_bar(bars, "clips"))
    done = f"{out}: {len(files) - len(failed)} of {len(files)} clips"
    console.print(escape(done), soft_wrap=True)
    if failed:
        complain(f"{len(failed)} of {len(files)} clips failed:")
        for clip, reason in failed.items():
            errors.print(f"  {escape(f'{clip}: {reason}')}", soft_wrap=True, highlight=False)
        raise typer.Exit(2)


@app.command("synth")
def synth_command(
    out: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or an empty one.")],
    subjects: Annotated[int, typer.Option(help="Number of faces.")] = 12,
    clips_per_class: Annotated[int, typer.Option(help="Clips of each class and subject.")] = 3,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
) -> None:
    """Write a semi-synthetic data set: real faces, warped by made-up expressions."""
    with progress_bars() as bars:
        synth.generate(
            out,
            subjects=subjects,
            clips_per_class=clips_per_class,
            seed=seed,
            progress=progress_bar(bars, "clips"),
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

        with progress_bars() as bars:
            for name, jobs in work.items():
                rows += bench.run_jobs(jobs, progress_bar(bars, f"bench {name}"), save)
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
