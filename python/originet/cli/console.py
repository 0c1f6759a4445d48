"""Where the command line prints: results on stdout, errors and progress bars on stderr.

A string is text and nothing else here, whoever it comes from: markup is off, and characters that a
terminal would obey are shown instead, as are line breaks, so that no name makes up a line of its
own. Style, and lines that are meant, come as `rich.text.Text`.
"""

import datetime
import math
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from originet.system.words import printable


class Terminal(Console):
    """A console whose strings cannot act; rich makes its texts of them in one place, here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Makes a text of a string; rich calls it for whatever is printed and for table cells."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Ends the process; rich calls it."""
        leave_quietly()


console = Terminal()
errors = Terminal(stderr=True)


def speak_plainly() -> None:
    """Makes this process's other ways to print as harmless as the two consoles.

    That is for a process of the command line's own: characters that the streams' encoding lacks are
    written as Python does, and warnings and tracebacks show what a terminal would obey.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed before the start
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    warnings.formatwarning = _warning
    sys.excepthook = _print_bug


def leave_quietly() -> NoReturn:
    """Ends the process as its reader has gone, as `head` does: there is nobody to tell anything."""
    # Python flushes both streams once more at its end, which must not fail.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    sys.exit(141)  # 128 and the number of SIGPIPE, as shells count


def _warning(message: Warning | str, *_: Any, **__: Any) -> str:
    """Writes a warning as `warn` does; `warnings` calls it."""
    return f"warning: {printable(str(message))}\n"


def _print_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if sys.stderr is not None:
        text = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
        print(*map(printable, text.split("\n")), sep="\n", file=sys.stderr)


def complain(text: str) -> None:
    """Prints an error on stderr, in one line."""
    errors.print(Text("error:", style="bold red"), text, soft_wrap=True, highlight=False)


class TimeLeft(ProgressColumn):
    """How long a bar will take from now on, by its pace so far.

    rich's own column knows the last 30 seconds alone, in which a fold may not end.
    """

    max_refresh = 0.5  # seconds

    def render(self, task: Task) -> Text:
        """Writes the time; nothing before there is a pace, and at the end. rich calls it."""
        ends = task.fields.get("ends")
        if ends is None or task.finished:
            return Text()
        seconds = max(math.ceil(ends - time.monotonic()), 0)
        return Text(f"{datetime.timedelta(seconds=seconds)} left", style="progress.remaining")


class Rate(ProgressColumn):
    """How many of something a second."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def render(self, task: Task) -> Text:
        """Writes the rate of the last seconds; rich calls it."""
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text()
        number = f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"
        return Text(f"{number} {self._name}/s", style="progress.data.speed")


def complain_of(summary: str, failed: Mapping[str, str]) -> None:
    """Tells on stderr what failed, a line each.

    Args:
        summary: The first line, which says how much failed.
        failed: The reasons, each in one line, by what failed.
    """
    complain(summary)
    _list(failed)


def warn(text: str) -> None:
    """Prints a warning on stderr, in one line."""
    errors.print(Text("warning:", style="bold yellow"), text, soft_wrap=True, highlight=False)


def warn_of(summary: str, reasons: Mapping[str, str]) -> None:
    """Tells on stderr what a reader should know of things that did not fail; nothing if none.

    Args:
        summary: The first line.
        reasons: What there is to know, each in one line, by what it is about.
    """
    if reasons:
        warn(summary)
        _list(reasons)


def _list(reasons: Mapping[str, str]) -> None:
    for name, reason in reasons.items():
        errors.print(f"  {name}: {reason}", soft_wrap=True, highlight=False)


@contextmanager
def progress_bars(*more: ProgressColumn) -> Iterator[Progress]:
    """Progress bars on stderr; they appear with the first progress and go if there is an error."""
    bar = BarColumn(max(min(errors.width - 60, 40), 8))  # what the other columns leave of a line
    columns = (TextColumn("{task.description:<22}", markup=False), bar, MofNCompleteColumn())
    bars = Progress(*columns, TimeElapsedColumn(), *more, TimeLeft(), console=errors)
    try:
        yield bars
    except BaseException:
        bars.live.transient = True
        bars.live.stop()
        raise
    if bars.live.is_started:
        bars.stop()


def progress_bar(bars: Progress, name: str) -> Callable[[int, int | None], None]:
    """Adds a bar; the function returned moves it, and may be called after every frame."""
    task = bars.add_task(printable(name), total=None, visible=False)
    shown = -math.inf
    first: tuple[float, int] | None = None  # what an earlier run did says nothing of the pace

    def update(done: int, total: int | None) -> None:
        nonlocal shown, first
        now = time.monotonic()
        first = first or (now, done)
        if done != total and now - shown < 0.05:  # a frame may take less time than showing it
            return
        shown = now
        bars.start()
        start, before = first
        ends = None
        if total is not None and done > before:
            ends = now + (now - start) * (total - done) / (done - before)
        bars.update(task, completed=done, total=total, visible=True, ends=ends)

    return update
