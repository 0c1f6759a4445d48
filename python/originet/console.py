"""Where the command line prints: results on stdout, errors and progress bars on stderr."""

import datetime
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
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

console = Console()
errors = Console(stderr=True)


def complain(text: str) -> None:
    """Prints an error on stderr, in one line."""
    errors.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True, highlight=False)


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
    errors.print(f"[bold yellow]warning:[/] {escape(text)}", soft_wrap=True, highlight=False)


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
        errors.print(escape(f"  {name}: {reason}"), soft_wrap=True, highlight=False)


@contextmanager
def progress_bars(*more: ProgressColumn) -> Iterator[Progress]:
    """Progress bars on stderr; they appear with the first progress and go if there is an error."""
    bar = BarColumn(max(min(errors.width - 60, 40), 8))  # what the other columns leave of a line
    columns = (TextColumn("{task.description:<22}"), bar, MofNCompleteColumn())
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
    task = bars.add_task(name, total=None, visible=False)
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
