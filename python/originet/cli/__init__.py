"""The command line, `originet`: bad input ends in one line and exit code 2."""

import sys

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
from originet.console import complain
from originet.errors import InputError

app = typer.Typer(
    help="Active images, OrigiNet and leave-one-subject-out evaluation for micro-expressions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(evaluate.demo_command)
app.command("image")(pictures.image)
app.command("synth")(data.synth_command)
app.command("check")(data.check)
app.command("prepare")(data.prepare_command)
app.command("loso")(evaluate.loso_command)
app.command("ablation")(ablation.ablation_command)
app.command("report")(report.report_command)
app.command("compare")(compare.compare_command)
app.command("reproduce")(reproduce.reproduce_command)
app.command("bench")(kernels.bench_command)
app.command("doctor")(kernels.doctor_command)


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except (InputError, OSError) as error:
        complain(str(error))
        sys.exit(2)
