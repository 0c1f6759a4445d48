"""What is printed is text and no more, whatever names it holds; and how long there is to wait."""

import io
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from originet.cli import console
from originet.cli.console import Terminal

HOSTILE = "a\x1b[31m\x1b]0;title\x07\nerror: b\r\x9b2J\u202e [bold]c :smile: \udc80"
SHOWN = r"a\x1b[31m\x1b]0;title\x07\nerror: b\r\x9b2J\u202e [bold]c :smile: \udc80"
OWN = re.compile("\x1b\\[[0-9;]*m")  # rich's colours


@pytest.fixture
def screen(monkeypatch):
    """Both consoles as a wide terminal; returns what it shows, without rich's own colours."""
    file = io.StringIO()
    terminal = Terminal(file=file, width=300, force_terminal=True)
    monkeypatch.setattr(console, "console", terminal)
    monkeypatch.setattr(console, "errors", terminal)
    return lambda: OWN.sub("", file.getvalue())


def test_messages_are_one_line_each(screen):
    console.complain(HOSTILE)
    console.warn(HOSTILE)
    console.complain_of("failed:", {HOSTILE: HOSTILE})
    told = [f"error: {SHOWN}", f"warning: {SHOWN}", "error: failed:", f"  {SHOWN}: {SHOWN}"]
    assert screen().splitlines() == told


def test_tables_hold_names_as_they_are(screen):
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_column(Text("two\nlines"))
    table.add_row(HOSTILE, "x")
    console.console.print(table)
    lines = screen().splitlines()
    assert [SHOWN in line for line in lines] == [True, False, False, True, False, True, False, True]
    assert "two" in lines[2] and "lines" in lines[3]


def test_bars_are_named_as_they_are(screen):
    with console.progress_bars() as bars:
        console.progress_bar(bars, HOSTILE)(1, 2)
    shown = re.sub("\x1b\\[\\??[0-9]*[A-Zhl]|\r", "", screen())  # how rich moves about
    assert SHOWN in shown and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\udc80]", shown)


# A program with the console's rules in place, whose last line is what a test is about.
PROGRAM = """
import sys, warnings
from originet.cli.console import complain, console, speak_plainly
speak_plainly()
name = {name!r}
{line}
"""


def ended(line, **environment):
    """Runs a line; returns exit code and both streams, as bytes."""
    program = PROGRAM.format(name=HOSTILE + " Überraschung", line=line)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=environment or None
    )
    return done.returncode, done.stdout, done.stderr


def test_warnings_are_one_line():
    code, _, err = ended("warnings.warn(name)")
    assert code == 0 and err.decode() == f"warning: {SHOWN} Überraschung\n"


def test_a_bug_shows_its_traceback_and_no_more():
    code, _, err = ended("raise KeyError(name + chr(27))\n")
    assert code == 1 and err.startswith(b"Traceback (most recent call last):\n")
    assert b"\nKeyError: " in err and b"\x1b" not in err
    code, _, err = ended("raise ZeroDivisionError(name)\n")
    assert b"\x1b" not in err and b"\nZeroDivisionError: a\\x1b[31m" in err


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONUTF8": "0"}]
)
def test_terminals_without_a_letter_get_its_escape(environment):
    paths = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    code, out, err = ended(
        "console.print(name, '±', soft_wrap=True); complain(name)", **environment, **paths
    )
    assert code == 0, err
    assert SHOWN.encode() in out and SHOWN.encode() in err
    if environment == {"PYTHONIOENCODING": "ascii"}:
        assert out.isascii() and rb"\xdcberraschung \xb1" in out


@pytest.fixture
def lines(monkeypatch):
    """What a bar of 80 columns shows, by how much of what was done by when."""

    def call(*states: tuple[float, int], total: int = 100, more=()) -> str:
        monkeypatch.setattr(console, "errors", Console(width=80, file=sys.stderr))
        clock = [0.0]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        with console.progress_bars(*more) as bars:
            update = console.progress_bar(bars, "ResNet-50, epochs")
            for seconds, done in states:
                clock[0] = seconds
                update(done, total)
            screen = Console(width=80, file=None)
            with screen.capture() as captured:
                screen.print(bars.get_renderable())
        return captured.get()

    return call


def test_bars_tell_the_time_left_by_the_whole_pace(lines):
    assert "left" not in lines((0, 0))
    assert "0:01:30 left" in lines((0, 0), (10, 10))
    # Steps of minutes, of which rich's own estimate would have forgotten all but the last.
    assert "1:20:00 left" in lines((0, 0), (600, 1), (1200, 2), total=10)
    assert "left" not in lines((0, 0), (10, 100))


def test_time_left_does_not_count_what_an_earlier_run_did(lines):
    assert "0:00:10 left" in lines((0, 80), (10, 90))


def test_bars_fit_into_80_columns(lines):
    for more in ((), (console.Rate("frames"),)):
        shown = lines((0, 0), (5000, 1200), total=12_000, more=more)
        assert shown.count("\n") == 1 and "…" not in shown and "left" in shown, shown
        assert "1200/12000" in shown
