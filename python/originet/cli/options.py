"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from originet.datasets import DATASETS, TASKS
from originet.train import Config
from originet_ext import METHODS

DEFAULTS = Config()

Method = Annotated[str, typer.Option(help=f"Reading of the active image: {', '.join(METHODS)}.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; the GPU, if there is one, by default.")
]

# Of the commands that read a data set.
Name = Annotated[str, typer.Argument(help=f"The data set: {', '.join(DATASETS)}.")]
Root = Annotated[
    Path, typer.Argument(help="Its folder: annotations and frames are found at any depth.")
]
Annotations = Annotated[
    Path | None, typer.Option(help="The workbook (for folder: a CSV file) to read.")
]
Frames = Annotated[
    Path | None, typer.Option(help="The folder of the frames, if the root holds several.")
]
Task = Annotated[
    str | None,
    typer.Option(help=f"How emotions become classes: {', '.join(TASKS)}; the paper's by default."),
]
Jobs = Annotated[int | None, typer.Option(help="Clips at a time; by default as many as cores.")]
CropFace = Annotated[
    bool | None,
    typer.Option(
        "--crop-face/--no-crop-face",
        help="Cut out the face first; by default where a data set's frames show more than it.",
    ),
]
