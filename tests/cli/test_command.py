"""What every command says after Ctrl-C, and of a failure."""

import pytest

from originet import cli
from originet.cli import command
from originet.system.errors import InputError

RESUMES = ("prepare", "loso", "train", "spot", "ablation", "compare", "reproduce", "demo")


def test_every_command_that_writes_says_what_it_keeps():
    told = command.RESUMES.keys() | command.STARTS_AGAIN.keys()
    names = [each.name for each in cli.app.registered_commands]
    assert told == set(names) - {"check", "report", "score", "doctor"}
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


def test_a_failure_that_may_happen_is_one_line_and_exit_code_2(capsys):
    assert command.say_why(InputError("a.csv: line 3\nis bad")) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert command.say_why(MemoryError(), "prepare: ") == 2
    assert capsys.readouterr().err.startswith("error: prepare: ")


def test_a_mistake_in_the_program_is_not_hidden(capsys):
    mistake = ZeroDivisionError("division by zero")
    with pytest.raises(ZeroDivisionError) as raised:
        command.say_why(mistake)
    assert raised.value is mistake and capsys.readouterr() == ("", "")


def test_what_starts_again_says_so(tmp_path):
    assert command.after_interrupt("bench", None, ["bench"]) == [
        "Interrupted. Nothing was written."
    ]
    (line,) = command.after_interrupt("image", tmp_path, ["image"])
    assert line.startswith(f"Interrupted. Finished clips are kept in {tmp_path}, but the same")
    (tmp_path / "a.png").touch()
    (line,) = command.after_interrupt("image", tmp_path / "a.png", ["image"])
    assert line == f"Interrupted. {tmp_path / 'a.png'} is unchanged."
