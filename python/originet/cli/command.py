"""The base of all commands: types in their help, error messages, and messages after Ctrl-C."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from originet.cli.console import complain, errors, leave_quietly
from originet.system.errors import is_foreseen, names_itself, one_line

RESUMES = {
    "prepare": "Finished clips are kept in {out}.",
    "loso": "Finished folds are kept in {out}.",
    "train": "Finished networks are kept in {out}.",
    "spot": "Finished videos and stretches of two minutes are kept in {out}.",
    "ablation": "Finished folds are kept in {out}.",
    "compare": "Finished folds, and LBP-TOP once it is finished, are kept in {out}.",
    "reproduce": "Generated clips, finished folds and trained networks are kept in {out}.",
    "demo": "Generated clips and finished folds are kept in {out}.",
}
"""What an interrupted command keeps, for commands that resume when they are run again."""

STARTS_AGAIN = {
    "image": "Finished clips are kept in {out}, but the same command starts over.",
    "predict": "{out} is as it was: it is written when all clips are answered.",
    "export": "Nothing was written: files are moved into place only when all of them are finished.",
    "synth": "Nothing was written: clips are moved into place only when all of them are finished.",
    "bench": "Rows measured so far are kept in {out}, but the same command starts over; choose the "
    "remaining subjects with --subject.",
}
"""What an interrupted command keeps, for commands that start over."""


class Command(TyperCommand):
    """A command of `originet`."""

    def get_help(self, ctx: Any) -> str:
        """Returns the help, with the type of a single value for repeatable options.

        For example <int> instead of Python's <list[int]>. Columns stay aligned.
        """

        def one(found: re.Match[str]) -> str:
            return f"<{found[1].lower()}>".ljust(len(found[0]))

        return re.sub(r"<list\[(\w+)\]>", one, super().get_help(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Runs the command.

        Ctrl-C prints what is kept and how to resume, and exits with code 130. `say_why` prints any
        other failure in one line.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            for line in after_interrupt(str(self.name), ctx.params.get("out"), sys.argv[1:]):
                errors.print(line, soft_wrap=True, highlight=False)
            raise typer.Exit(130) from None  # 128 plus the number of SIGINT, as in shells
        except BrokenPipeError:
            leave_quietly()
        except Exception as error:
            raise typer.Exit(say_why(error, f"{self.name}: ")) from None


def say_why(error: Exception, doing: str = "") -> int:
    """Prints in one line why a command failed.

    Args:
        error: The exception.
        doing: Prefix for a message that does not name its subject.

    Returns:
        The exit code.

    Raises:
        Exception: The error itself, if `originet.system.errors.is_foreseen` does not expect it.
    """
    if not is_foreseen(error):
        raise error
    complain(one_line(error) if names_itself(error) else doing + one_line(error))
    return 2


def after_interrupt(command: str, out: Path | None, arguments: list[str]) -> list[str]:
    """Describes what an interrupted command leaves behind.

    Args:
        command: Its name.
        out: Where it writes; None for a command that writes only at its end.
        arguments: The arguments of the command line, starting with the command's name.

    Returns:
        The lines to print.
    """
    if out is None or not out.exists():
        return ["Interrupted. Nothing was written."]
    if command == "image" and out.is_file():
        return [f"Interrupted. {out} is unchanged."]
    if command in RESUMES:
        again = shlex.join(["originet", *arguments])
        return [f"Interrupted. {RESUMES[command].format(out=out)} To resume:", f"  {again}"]
    return [f"Interrupted. {STARTS_AGAIN[command].format(out=out)}"]
