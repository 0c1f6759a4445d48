"""That the fuzzer sees a reader that fails, in whatever way; `tests/fuzz` itself runs thousands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"

START = f"""
import sys, tempfile, time
from pathlib import Path
sys.path[:0] = [{str(FUZZ)!r}, {str(FUZZ.parent / "helpers")!r}]
import harness
from mutations import mutate_bytes
from originet.system.errors import InputError
from targets import Target

harness.SECONDS = 2

def read(path):
    if path.read_bytes() != b"sound":
        {{end}}

with tempfile.TemporaryDirectory() as folder:
    target = Target(Path(folder) / "file", read, [b"sound"], mutate_bytes)
    sys.exit(harness.run(target, "target", 0, 50))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "told"),
    [
        ('raise KeyError("lost")', "KeyError: 'lost'"),
        ("raise InputError('no name')", "AssertionError: names no file: no name"),
        ("bytearray(2**31)", "MemoryError"),
        ("time.sleep(60)", "Timeout (0:00:02)!"),
        ("import os; os.abort()", "target: case 0 of seed 0"),
    ],
)
def test_a_reader_that_fails_is_seen(end, told):
    code = START.replace("{end}", end)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0 and told in done.stdout + done.stderr


def test_readers_that_end_well_are_counted():
    code = START.replace("{end}", "raise InputError(f'{path} is damaged')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search("50 cases: [0-9] read, [45][0-9] refused, 0 failed", done.stdout), done.stdout
