"""The README is short, and its code runs; tests/test_docs.py looks at what it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", PYTHON)
def test_python_blocks_run(code):
    exec(compile(code, "README.md", "exec"), {})


def test_there_are_blocks_to_run():
    assert len(PYTHON) == 2


def test_it_takes_five_minutes_to_read():
    assert len(README.splitlines()) <= 120


def test_there_are_exactly_two_set_up_commands():
    setups = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(setups) == 2
    assert setups[0].endswith("originet demo") and setups[1].endswith("pytest")
