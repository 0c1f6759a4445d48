"""`originet synth`."""

from pathlib import Path
from typing import Annotated

import typer

from originet import datasets, synth
from originet.console import console, progress_bar, progress_bars


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
