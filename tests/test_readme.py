"""The README is short, and its code runs; tests/test_docs.py looks at what it names."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from folds import QUICK, small_set

from originet import synth
from originet.deploy.train_model import train_model
from originet.evaluation.splits import sort_clips
from originet.system.lock import held

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def at_hand(tmp_path, monkeypatch):
    """A model of one epoch and a clip, where the README has them."""
    monkeypatch.chdir(tmp_path)
    table, images = small_set()
    clips = sort_clips(table, {QUICK.method: images}, QUICK.image_size)
    with held("model") as place:
        train_model(clips, QUICK, place, device=torch.device("cpu"))
    shutil.copy(synth.carphone_path(), "clip.mp4")


@pytest.mark.usefixtures("at_hand")
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
