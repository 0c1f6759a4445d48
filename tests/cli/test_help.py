"""The help of every command, the version, and what a shell completes."""

import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from originet import cli

COMMANDS = {command.name: command.callback for command in cli.app.registered_commands}


@pytest.fixture
def shown(run, monkeypatch):
    """Help as it is shown in so many columns."""

    def call(*arguments: str, columns: int = 80) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERMINAL_WIDTH", str(columns))  # typer's own
        code, out, err = run(*arguments)
        assert code == 0 and not err
        return out

    return call


def options_of(command: str) -> set[str]:
    """The names of a command's options, as its parser has them."""
    import typer.main

    parser = typer.main.get_command(cli.app).commands[command]
    params = [param for param in parser.params if param.param_type_name == "option"]
    return {name for param in params for name in (*param.opts, *param.secondary_opts)}


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_name_of_an_option_is_cut_off(shown, command, columns):
    page = shown(command, "--help", columns=columns)
    assert "…" not in page and max(map(len, page.splitlines())) <= max(columns, 50)
    names = options_of(command)
    assert names <= set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", page)), page
    assert {"--validation-fraction", "--no-equalize"} <= names or command != "loso"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_nothing_of_python(shown, command):
    page = shown(command, "--help")
    for shape in (r"\('", r"\['", r"\bNone\b", r"list\[", r"tuple\[", r"',\)"):
        assert not re.search(shape, page), page


def test_the_list_of_commands_has_whole_sentences(shown):
    page = shown("--help")
    lines = page.partition("Commands:")[2].strip().splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines), page


@pytest.mark.parametrize("command", [(), *((command,) for command in COMMANDS)])
def test_h_is_help(shown, command):
    assert shown(*command, "-h") == shown(*command, "--help")


def test_version(run):
    assert run("--version") == (0, f"originet {version('originet')}\n", "")


def test_module_is_the_command_line():
    module = [sys.executable, "-m", "originet", "--version"]
    assert subprocess.check_output(module, text=True) == f"originet {version('originet')}\n"


@pytest.mark.slow
def test_shells_complete_commands_and_options():
    def completed(words: str) -> str:
        return subprocess.check_output(
            [sys.executable, "-m", "originet"],
            text=True,
            env={
                **os.environ,
                "_ORIGINET_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            },
        )

    assert completed("originet ab").split() == ["ablation"]
    assert completed("originet loso --valid").split() == ["--validation-fraction"]
