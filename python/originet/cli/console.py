"""Output of the command line: results on stdout, errors and progress bars on stderr.

Every string is printed as plain text, wherever it comes from. Markup is off, and control characters
and line breaks are escaped, so that no name can forge a line. For styles and intended line breaks,
pass a `rich.text.Text`.
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
    """A console that escapes all strings, in the one method where rich converts them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Converts a string to a text; rich calls it for everything printed, even table cells."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Ends the process; rich calls it."""
        leave_quietly()


console = Terminal()
errors = Terminal(stderr=True)


def speak_plainly() -> None:
    """Makes this process's other output as harmless as that of the two consoles.

    Characters that the streams cannot encode are escaped as in Python, and so are control
    characters in warnings and tracebacks. Only for a process that belongs to the command line.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None if it was closed before the start
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    warnings.formatwarning = _warning
    sys.excepthook = _print_bug


def leave_quietly() -> NoReturn:
    """Ends the process silently because its reader has gone, for example `head`."""
    # Python flushes both streams once more at exit, which must not fail.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    sys.exit(141)  # 128 plus the number of SIGPIPE, as in shells


def _warning(message: Warning | str, *_: Any, **__: Any) -> str:
    """Formats a warning like `warn`; called by `warnings`."""
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
    """The remaining time of a bar, from its pace so far.

    rich's own column uses only the last 30 seconds, in which no fold may end.
    """

    max_refresh = 0.5  # seconds

    def render(self, task: Task) -> Text:
        """Returns the time; empty before there is a pace, and at the end. Called by rich."""
        ends = task.fields.get("ends")
        if ends is None or task.finished:
            return Text()
        seconds = max(math.ceil(ends - time.monotonic()), 0)
        return Text(f"{datetime.timedelta(seconds=seconds)} left", style="progress.remaining")


class Rate(ProgressColumn):
    """A rate per second."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def render(self, task: Task) -> Text:
        """Returns the rate over the last seconds. Called by rich."""
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text()
        number = f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"
        return Text(f"{number} {self._name}/s", style="progress.data.speed")


def complain_of(summary: str, failed: Mapping[str, str]) -> None:
    """Prints a list of failures on stderr, one per line.

    Args:
        summary: The first line, which says how many failed.
        failed: A one-line reason for each name.
    """
    complain(summary)
    _list(failed)


def warn(text: str) -> None:
    """Prints a warning on stderr, in one line."""
    errors.print(Text("warning:", style="bold yellow"), text, soft_wrap=True, highlight=False)


def warn_of(summary: str, reasons: Mapping[str, str]) -> None:
    """Prints a list of warnings on stderr, one per line; nothing if there are none.

    Args:
        summary: The first line.
        reasons: A one-line warning for each name.
    """
    if reasons:
        warn(summary)
        _list(reasons)


def _list(reasons: Mapping[str, str]) -> None:
    for name, reason in reasons.items():
        errors.print(f"  {name}: {reason}", soft_wrap=True, highlight=False)


@contextmanager
def progress_bars(*more: ProgressColumn) -> Iterator[Progress]:
    """Shows progress bars on stderr, from the first progress on; an error removes them."""
    bar = BarColumn(max(min(errors.width - 60, 40), 8))  # the space that other columns leave
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
    """Adds a bar and returns the function that moves it, cheap enough to call for every frame."""
    task = bars.add_task(printable(name), total=None, visible=False)
    shown = -math.inf
    first: tuple[float, int] | None = None  # excludes an earlier run's progress from the pace

    def update(done: int, total: int | None) -> None:
        nonlocal shown, first
        now = time.monotonic()
        first = first or (now, done)
        if done != total and now - shown < 0.05:  # drawing may take longer than a frame
            return
        shown = now
        bars.start()
        start, before = first
        ends = None
        if total is not None and done > before:
            ends = now + (now - start) * (total - done) / (done - before)
        bars.update(task, completed=done, total=total, visible=True, ends=ends)

    return update
