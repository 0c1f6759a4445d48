"""Options that several commands have."""

from typing import Annotated

import typer

from originet.train import Config
from originet_ext import METHODS

DEFAULTS = Config()

Method = Annotated[str, typer.Option(help=f"Reading of the active image: {', '.join(METHODS)}.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; the GPU, if there is one, by default.")
]
