"""The README's code runs, and its files and commands are there."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from originet import cli
from originet.datasets import synth

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [
    line
    for language, text in BLOCKS
    if language == "sh"
    for line in text.splitlines()
    if line.startswith("originet ")
]
# Options which the test adds, so that a command ends in seconds: the last of two counts.
QUICK = {
    "synth": "--subjects 3 --clips-per-class 1",
    "prepare": "--image-size 16",
    "loso": "--epochs 1 --rotation 0 --no-equalize",
    "ablation": "--epochs 1 --rotation 0 --no-equalize",
    "compare": "--epochs 1 --rotation 0 --no-equalize --network MobileNetV2 --network LBP-TOP",
    "reproduce": "--image-size 32 --network OrigiNet",
}


@pytest.mark.parametrize("code", PYTHON)
def test_python_blocks_run(code, capsys):
    exec(compile(code, "README.md", "exec"), {})


def test_there_are_blocks_to_run():
    assert len(PYTHON) == 4 and len(COMMANDS) == 15


def test_commands_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(synth.carphone_path(), "clip.mp4")
    for command in COMMANDS:
        words = shlex.split(command)
        words += shlex.split(QUICK.get(words[1], ""))
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code, command
    files = ("active.png", "methods.png", "phases.png", "motion.gif")
    made = ("results/report.html", "ablation/ablation.csv", "comparison/compare.csv")
    for name in (*files, *made, "reproduction/report.html"):
        assert Path(name).exists()
    assert len(list(Path("active-images").rglob("*.png"))) == 12


def test_there_are_exactly_two_set_up_commands():
    setups = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(setups) == 2
    assert setups[0].endswith("originet demo") and setups[1].endswith("pytest")


def test_linked_and_named_files_exist():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"(?:bench|tests|docs|csrc)/[\w./-]*\w", README):
        assert (ROOT / path).exists(), path
