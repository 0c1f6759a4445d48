"""`originet demo` and `originet loso`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from originet.cli import options
from originet.console import console, progress_bar, progress_bars
from originet.system.words import counted

if TYPE_CHECKING:
    from originet.evaluation.result import LosoResult


def demo_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path(
        "originet-demo"
    ),
    device: options.Device = None,
) -> None:
    """Run the whole pipeline once and write one report.

    From a video and generated clips: active images, LOSO by every method, and kernel timings.
    """
    from originet import demo

    start = time.perf_counter()
    with progress_bars() as bars:
        stages = {name: progress_bar(bars, name) for name in demo.STAGES}
        result = demo.run_demo(
            out,
            device=device,
            progress=lambda stage, done, total: stages[stage](done, total),
        )
    _print_loso(result.loso)
    _print_methods(result.methods)
    seconds = time.perf_counter() - start
    console.print(f"Report: {result.report} ({seconds:.0f} s)", soft_wrap=True)


@options.with_run_options
def loso_command(
    run: options.Run,
    paths: options.Paths,
    out: options.Results,
    weights: options.Weights = True,
) -> None:
    """Evaluate OrigiNet by leaving one subject out.

    An interrupted run resumes where it stopped.
    """
    from originet.cli.clips import read_clips
    from originet.evaluation import loso, report
    from originet.evaluation.result import clip_images

    config = run.config
    clips = read_clips(
        paths,
        [config.method],
        **run.clips,
    )
    config = clips.configure(config)
    with progress_bars() as bars:
        result = loso.run_loso(
            clips.table,
            config=config,
            images=clips.images[config.method],
            out=out,
            keep_weights=weights,
            device=run.device,
            executor=run.executor,
            progress=progress_bar(bars, "epochs"),
        )
    images = clip_images(result, clips.table, clips.images[config.method])
    report.write_loso_report(out / report.NAME, result, report.made_with(run.device), images)
    _print_loso(result)
    console.print(f"Results: {out}, to be read in {out / report.NAME}", soft_wrap=True)


def _print_methods(methods: Mapping[str, "LosoResult"]) -> None:
    from originet.evaluation import metrics

    first = next(iter(methods.values()))
    table = Table(
        title=f"Every reading of the active image, on the same {counted(len(first.clips), 'clip')}"
    )
    table.add_column("method")
    for heading in ("accuracy", f"{100 * metrics.LEVEL:.0f} % interval", "UAR"):
        table.add_column(heading, justify="right")
    for name, result in methods.items():
        low, high = result.intervals["pooled_accuracy"]
        scores = (result.metrics[key] for key in ("pooled_accuracy", "uar"))
        accuracy, uar = (f"{score:.3f}" for score in scores)
        table.add_row(name, accuracy, f"{low:.3f} to {high:.3f}", uar)
    accuracy, uar = (f"{first.baseline[key]:.3f}" for key in ("pooled_accuracy", "uar"))
    table.add_row("majority baseline", accuracy, "", uar)
    console.print(table)


def _print_loso(result: "LosoResult") -> None:
    from originet.cli.by_dataset import print_datasets
    from originet.evaluation import metrics
    from originet.training.protocol import LEAK, describe, is_leaky

    several = len(result.seeds) > 1
    level = f"{100 * metrics.LEVEL:.0f} %"
    notes = [
        f"{level} interval: percentile bootstrap over subjects, {metrics.RESAMPLES:,} resamples",
        *(["value: mean ± standard deviation over the seeds"] if several else []),
        *([LEAK] if is_leaky(result.config.protocol) else []),
    ]
    table = Table(
        title=f"Leave-one-subject-out on {result.dataset}: {counted(len(result.clips), 'clip')}, "
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
    network, majority = {result.model["class"]: result}, result.majority_accuracy
    print_datasets(network, result.classes, majority, several=several)
    classes = Table(title="By class" + (", all seeds together" if several else ""))
    classes.add_column("class")
    for heading in ("precision", "recall", "F1", "support"):
        classes.add_column(heading, justify="right")
    for name, row in result.per_class.items():
        shares = (row["precision"], row["recall"], row["f1"])
        cells = ("-" if share is None else f"{share:.3f}" for share in shares)
        classes.add_row(name, *cells, str(row["support"]))
    console.print(classes)
    confusion = Table(title="Confusion (rows: true)")
    for name in ("", *result.classes):
        confusion.add_column(name, justify="right")
    for name, counts in zip(result.classes, result.confusion, strict=True):
        confusion.add_row(name, *(str(count) for count in counts))
    console.print(confusion)
    console.print(f"Clip list: sha256 {result.clip_list_sha256}", soft_wrap=True)
