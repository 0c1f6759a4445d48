"""`originet reproduce`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from originet.cli import options
from originet.cli.console import complain_of, console, progress_bar, progress_bars
from originet.system.choices import COMPARED, QUICK_ROWS
from originet.system.words import counted


@options.with_run_options
def reproduce_command(
    run: options.Run,
    out: options.Results,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="As for `originet loso`; if omitted, semi-synthetic clips are generated.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="One epoch, no augmentation: checks that everything runs."),
    ] = False,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Row of Tables III and IV: {', '.join(COMPARED)}; repeatable, all by default, "
            f"with --quick {', '.join(QUICK_ROWS)}."
        ),
    ] = None,
) -> None:
    """Make the paper's tables and figures from your clips.

    They are written to one report. An interrupted run resumes where it stopped. Row WDy needs
    active images by method rank.
    """
    from originet.cli.inputs import read_clips
    from originet.evaluation.compute import Compute
    from originet.paper import ablation, comparison, reproduce

    config = run.config
    config = reproduce.quick_config(config) if quick else config
    rows = comparison.rows_named(network, papers_only=True) if network else None
    methods = ablation.methods_of(ablation.ROWS, config)
    with progress_bars() as bars:
        shown: dict[str, Callable[[int, int | None], None]] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in shown:
                shown[what] = progress_bar(bars, what)
            shown[what](done, total)

        if not paths:
            paths = [
                reproduce.synthetic_clips(
                    out, quick=quick, progress=lambda *counts: progress("clips", *counts)
                )
            ]
        clips = read_clips(
            paths,
            methods,
            **run.clips,
            opens_frames=True,
        )
        config = clips.configure(config)
        made = reproduce.run_reproduction(
            clips.sort(),
            config,
            Compute(run.device, run.executor, progress=progress),
            out=out,
            rows=rows,
            quick=quick,
        )
    console.print(f"Report: {made.report}", soft_wrap=True)
    if made.failed:
        complain_of(f"{counted(len(made.failed), 'part')} could not be made:", made.failed)
        raise typer.Exit(2)
