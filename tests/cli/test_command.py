"""What every command says after Ctrl-C, and of a failure."""

import pytest

from originet import cli
from originet.cli import command

RESUMES = ("prepare", "loso", "ablation", "compare", "reproduce", "demo")


def test_every_command_that_writes_says_what_it_keeps():
    told = command.RESUMES.keys() | command.STARTS_AGAIN.keys()
    names = [each.name for each in cli.app.registered_commands]
    assert told == set(names) - {"check", "report", "doctor"}
    assert set(command.RESUMES) == set(RESUMES)


@pytest.mark.parametrize("name", [*RESUMES, "image", "synth", "bench", "check", "doctor"])
def test_before_anything_is_there_nothing_was_written(name, tmp_path):
    lines = command.after_interrupt(name, tmp_path / "out", [name])
    assert lines == ["Interrupted. Nothing was written."]


@pytest.mark.parametrize("name", RESUMES)
def test_what_resumes_names_its_folder_and_the_whole_command(name, tmp_path):
    kept, again = command.after_interrupt(name, tmp_path, [name, "a folder", "-o", str(tmp_path)])
    assert f"kept in {tmp_path}" in kept
    assert again == f"  originet {name} 'a folder' -o {tmp_path}"
