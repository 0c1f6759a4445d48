"""`originet check`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from originet.cli.console import progress_bar, progress_bars
from originet.cli.options import (
    NAME,
    ROOT,
    Annotations,
    ClipsFile,
    Frames,
    Jobs,
    MaxPixels,
    MicroOnly,
    SetName,
    Sheet,
    Task,
)
from originet.system.errors import InputError
from originet.system.files import write_atomically


def check_command(
    name: Annotated[str | None, NAME] = None,
    root: Annotated[Path | None, ROOT] = None,
    everything: Annotated[
        Path | None,
        typer.Option("--all", help="Find which published data sets are under a folder instead."),
    ] = None,
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

    if everything is not None:
        of_one = (name, root, annotations, sheet, frames, task, clips, micro_only, set_name)
        if any(value not in (None, False) for value in of_one):
            raise InputError("--all takes only a folder and --json: it describes no set in detail")
        _check_all(everything, json_file)
        return
    if name is None or root is None:
        raise InputError("give a data set and its folder, or --all and a folder")
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


def _check_all(root: Path, json_file: Path | None) -> None:
    from originet.datasets import under_root

    result = under_root.look_under(root)
    print(under_root.to_text(result))
    if json_file is not None:
        write_atomically(json_file, json.dumps(under_root.all_to_json(result), indent=1).encode())
    if not result.sound:
        raise typer.Exit(1)
