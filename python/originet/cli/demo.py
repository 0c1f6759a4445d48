"""`originet demo`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from originet.cli import options
from originet.cli.console import console, progress_bar, progress_bars
from originet.cli.loso import print_loso
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

    It covers the active images of a video, LOSO on generated clips with every method, kernel
    timings, and what the network, trained on these clips, finds in the video.
    """
    from originet.cli import demonstration

    start = time.perf_counter()
    with progress_bars() as bars:
        stages = {name: progress_bar(bars, name) for name in demonstration.STAGES}
        result = demonstration.run_demo(
            out,
            device=device,
            progress=lambda stage, done, total: stages[stage](done, total),
        )
    print_loso(result.loso)
    _print_methods(result.methods)
    seconds = time.perf_counter() - start
    console.print(f"Movements in the video: {result.spotted}", soft_wrap=True)
    console.print(f"Report: {result.report} ({seconds:.0f} s)", soft_wrap=True)


def _print_methods(methods: Mapping[str, "LosoResult"]) -> None:
    from originet.evaluation import metrics

    first = next(iter(methods.values()))
    table = Table(
        title=f"Every active-image method on the same {counted(len(first.clips), 'clip')}"
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
