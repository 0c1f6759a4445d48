"""`originet synth`."""

from pathlib import Path
from typing import Annotated

import typer

from originet.cli.console import console, progress_bar, progress_bars
from originet.system.choices import RESIDUAL
from originet.system.words import counted


def synth_command(
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    subjects: Annotated[int, typer.Option(help="Number of faces.")] = 12,
    clips_per_class: Annotated[int, typer.Option(help="Clips per class and subject.")] = 3,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    residual: Annotated[
        tuple[float, float],
        typer.Option(
            metavar="LOW HIGH",
            help="Share of the peak left in a clip's last frames, drawn between LOW and HIGH.",
        ),
    ] = RESIDUAL,
) -> None:
    """Write a semi-synthetic data set: real faces, warped."""
    from originet import datasets
    from originet.datasets import synth

    with progress_bars() as bars:
        synth.generate(
            out,
            subjects=subjects,
            clips_per_class=clips_per_class,
            seed=seed,
            residual=residual,
            progress=progress_bar(bars, "clips"),
        )
    count = len(datasets.load_dataset("synthetic", out))
    console.print(f"{out}: {counted(count, 'clip')}", soft_wrap=True)
