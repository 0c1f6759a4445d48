"""The command line, `originet`: bad input ends in one line and exit code 2."""

import functools
import sys
from typing import Annotated

import typer

from originet.cli import (
    ablation,
    compare,
    data,
    evaluate,
    kernels,
    pictures,
    report,
    reproduce,
)
from originet.cli.command import Command
from originet.console import complain
from originet.errors import InputError


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # takes a tenth of the time that an answer takes

        print(f"originet {importlib.metadata.version('originet')}")
        raise typer.Exit


app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's columns cut the names of options off where they are narrow
    pretty_exceptions_enable=False,
)


@app.callback()
def originet(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Active images, OrigiNet and leave-one-subject-out evaluation for micro-expressions."""


_command = functools.partial(app.command, cls=Command)
_command("demo")(evaluate.demo_command)
_command("image")(pictures.image)
_command("synth")(data.synth_command)
_command("check")(data.check)
_command("prepare")(data.prepare_command)
_command("loso")(evaluate.loso_command)
_command("ablation")(ablation.ablation_command)
_command("report")(report.report_command)
_command("compare")(compare.compare_command)
_command("reproduce")(reproduce.reproduce_command)
_command("bench")(kernels.bench_command)
_command("doctor")(kernels.doctor_command)


def main() -> None:
    """Runs the command line."""
    try:
        app(prog_name="originet")
    except (InputError, OSError) as error:
        complain(str(error))
        sys.exit(2)
