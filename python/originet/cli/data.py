"""`originet synth` and `originet check`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from originet import datasets, synth, validate
from originet.cli.options import Annotations, Frames, Jobs, Name, Root, Task
from originet.console import console, progress_bar, progress_bars
from originet.files import write_atomically


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


def check(
    name: Name,
    root: Root,
    annotations: Annotations = None,
    frames: Frames = None,
    task: Task = None,
    pictures: Annotated[
        bool, typer.Option(help="Read every picture: are they whole, and of one size a clip?")
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file, as JSON.")
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Hold a data set against its annotations and the paper's counts; exit code 1 if it lacks."""
    found = datasets.survey(name, root, annotations=annotations, frames=frames, task=task)
    with progress_bars() as bars:
        result = validate.validate(
            found,
            pictures=pictures,
            jobs=os.cpu_count() or 1 if jobs is None else jobs,
            progress=progress_bar(bars, "clips"),
        )
    print(validate.to_text(result))  # as it is, so that it may be sent to a file
    if json_file is not None:
        write_atomically(json_file, json.dumps(validate.to_json(result), indent=1).encode())
    if not result.sound:
        raise typer.Exit(1)
