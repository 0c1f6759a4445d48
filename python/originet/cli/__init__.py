"""The command line, `originet`: every failure but a bug ends in one line and exit code 2."""

import functools
import sys
from typing import Annotated, Any

import typer
from typer.main import get_command

from originet.cli import (
    ablation,
    bench,
    check,
    compare,
    demo,
    doctor,
    export,
    image,
    loso,
    predict,
    prepare,
    report,
    reproduce,
    score,
    spot,
    synth,
    train,
)
from originet.cli.command import Command, say_why
from originet.cli.console import complain, errors, leave_quietly, speak_plainly


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # here, since it takes a tenth of a command's start-up time

        print(f"originet {importlib.metadata.version('originet')}")
        raise typer.Exit


app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # rich truncates the names of options in narrow columns
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def originet(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Active images, OrigiNet and leave-one-subject-out evaluation for micro-expressions."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


_command = functools.partial(app.command, cls=Command)
_command("demo")(demo.demo_command)
_command("image")(image.image_command)
_command("synth")(synth.synth_command)
_command("check")(check.check_command)
_command("prepare")(prepare.prepare_command)
_command("loso")(loso.loso_command)
_command("train")(train.train_command)
_command("predict")(predict.predict_command)
_command("export")(export.export_command)
_command("score")(score.score_command)
_command("spot")(spot.spot_command)
_command("ablation")(ablation.ablation_command)
_command("report")(report.report_command)
_command("compare")(compare.compare_command)
_command("reproduce")(reproduce.reproduce_command)
_command("bench")(bench.bench_command)
_command("doctor")(doctor.doctor_command)


# The class from click, or from the copy of click inside newer versions of typer.
_UsageError: Any = typer.BadParameter.__base__


def main() -> None:
    """Runs the command line, and ends the process with an exit code.

    The exit code is 2 for errors that the user can correct, 130 after Ctrl-C, and 141 after a
    broken pipe. It is 1 if a command finds a problem, as `check` may, or for a bug, with its
    traceback.
    """
    speak_plainly()
    command = get_command(app)  # calling `app` would install typer's excepthook
    try:
        code = command.main(prog_name="originet", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # reports a full disk here, not while Python exits
    except _UsageError as error:
        _print_usage(error)
        code = 2
    except BrokenPipeError:
        leave_quietly()
    except Exception as error:
        code = say_why(error)
    sys.exit(code)


def _print_usage(error: Any) -> None:
    """Prints the usage, a hint at the help, and what was wrong with the command line."""
    context = error.ctx
    if context is not None:
        help_option = context.help_option_names[0]
        for line in context.get_usage().split("\n"):
            errors.print(line, soft_wrap=True, highlight=False)
        hint = f"Try '{context.command_path} {help_option}' for help."
        errors.print(hint, soft_wrap=True, highlight=False)
    complain(error.format_message())
