"""`originet check`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from originet.cli.console import progress_bar, progress_bars
from originet.cli.options import (
    Annotations,
    ClipsFile,
    Frames,
    Jobs,
    MaxPixels,
    MicroOnly,
    Name,
    Root,
    SetName,
    Sheet,
    Task,
)
from originet.system.files import write_atomically


def check_command(
    name: Name,
    root: Root,
    annotations: Annotations = None,
    sheet: Sheet = None,
    frames: Frames = None,
    task: Task = None,
    clips: ClipsFile = None,
    micro_only: MicroOnly = False,
    set_name: SetName = None,
    pictures: Annotated[
        bool,
        typer.Option(help="Read every picture: it must be complete, and each clip of one size."),
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file as JSON.")
    ] = None,
    max_pixels: MaxPixels = None,
    jobs: Jobs = None,
) -> None:
    """Compare a data set with its annotations and the paper's counts.

    Exit code 1 if anything is missing.
    """
    from originet import datasets
    from originet.datasets import check

    found = datasets.survey(
        name,
        root,
        annotations=annotations,
        sheet=sheet,
        frames=frames,
        task=task,
        micro_only=micro_only,
        clips=clips,
        set_name=set_name,
    )
    with progress_bars() as bars:
        result = check.validate(
            found,
            pictures=pictures,
            jobs=os.cpu_count() or 1 if jobs is None else jobs,
            progress=progress_bar(bars, "clips"),
        )
    print(check.to_text(result))  # not through rich, so that it can be redirected to a file
    if json_file is not None:
        write_atomically(json_file, json.dumps(check.to_json(result), indent=1).encode())
    if not result.sound:
        raise typer.Exit(1)
