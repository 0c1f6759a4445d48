"""What all commands have in common: the types in their help, and what they say when interrupted."""

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
    "ablation": "Finished folds are kept in {out}.",
    "compare": "Finished folds, and LBP-TOP once it is finished, are kept in {out}.",
    "reproduce": "Generated clips, finished folds and trained networks are kept in {out}.",
    "demo": "Generated clips and finished folds are kept in {out}.",
}
"""What is kept of an interrupted command that takes it up when it is run again."""

STARTS_AGAIN = {
    "image": "Finished clips are kept in {out}, but the same command makes all of them again.",
    "synth": "Nothing was written: the clips are put in place when all of them are made.",
    "bench": "Rows measured so far are kept in {out}, but the same command measures all of them "
    "again; --subject leaves subjects out.",
}
"""What is kept of one that does not."""


class Command(TyperCommand):
    """A command of `originet`."""

    def get_help(self, ctx: Any) -> str:
        """Returns the help, in which the type of what may be repeated is that of one value.

        That is <int>, not Python's <list[int]>. Columns stay aligned.
        """

        def one(found: re.Match[str]) -> str:
            return f"<{found[1].lower()}>".ljust(len(found[0]))

        return re.sub(r"<list\[(\w+)\]>", one, super().get_help(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; Ctrl-C says what is kept and how to go on, with exit code 130.

        What fails otherwise is told in one line, as `say_why` does.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            for line in after_interrupt(str(self.name), ctx.params.get("out"), sys.argv[1:]):
                errors.print(line, soft_wrap=True, highlight=False)
            raise typer.Exit(130) from None  # 128 and the number of SIGINT, as shells count
        except BrokenPipeError:
            leave_quietly()
        except Exception as error:
            raise typer.Exit(say_why(error, f"{self.name}: ")) from None


def say_why(error: Exception, doing: str = "") -> int:
    """Says in one line why a command failed.

    Args:
        error: What it failed with.
        doing: What stands before a reason that does not name the thing which it is about.

    Returns:
        The exit code.

    Raises:
        Exception: The error itself, if it is not foreseen, see
            `originet.system.errors.is_foreseen`.
    """
    if not is_foreseen(error):
        raise error
    complain(one_line(error) if names_itself(error) else doing + one_line(error))
    return 2


def after_interrupt(command: str, out: Path | None, arguments: list[str]) -> list[str]:
    """Says what an interrupted command leaves behind.

    Args:
        command: Its name.
        out: Where it writes; None for one that writes nothing before its end.
        arguments: Those of the command line, the command's name first.

    Returns:
        The lines.
    """
    if out is None or not out.exists():
        return ["Interrupted. Nothing was written."]
    if command == "image" and out.is_file():
        return [f"Interrupted. {out} is as it was before."]
    if command in RESUMES:
        again = shlex.join(["originet", *arguments])
        return [f"Interrupted. {RESUMES[command].format(out=out)} To resume:", f"  {again}"]
    return [f"Interrupted. {STARTS_AGAIN[command].format(out=out)}"]
