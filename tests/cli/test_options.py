"""Options that several commands have."""

import functools
import inspect
from pathlib import Path

import pytest
import torch
import typer
from clips import random_frames, write_folder

from originet.cli import options
from originet.evaluation.executors import Processes, Ray, Serial
from originet.system import limits, lock
from originet.system.errors import InputError
from originet.training.config import Config


@pytest.mark.parametrize(
    ("command", "code"), [("image", 2), ("prepare", 2), ("check", 1), ("loso", 2)]
)
def test_commands_that_read_frames_have_the_option(run, tmp_path, command, code):
    for number, clip in enumerate(("happy/s1/a", "happy/s2/b", "sad/s1/c", "sad/s2/d")):
        write_folder(tmp_path / "set" / clip, random_frames(3, (200, 300), seed=number))
    root, out = tmp_path / "set", tmp_path / "out"
    arguments = ("folder", root) if command in ("check", "prepare") else (root,)
    if command != "check":
        arguments = (*arguments, "-o", out)
    ended, printed, errors = run(command, *arguments, "--max-pixels", 50_000)
    assert ended == code
    assert "frames of 300x200 have 60,000 pixels, more than the limit of 50,000" in printed + errors
    assert limits.max_pixels() == limits.MAX_PIXELS
    ended, _, errors = run(command, *arguments, "--max-pixels", 0)
    assert ended == 2 and errors == ("error: --max-pixels must be above 0 and below 10^18, got 0\n")


OPTIONS = dict.fromkeys(
    "threads folds_at_once cuda_graph workers address cpus_per_task gpus_per_task retries".split()
)


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [
        ("serial", {"folds_at_once": 3, "threads": 2}, Serial),
        ("serial", {"cuda_graph": False}, Serial),
        ("processes", {"workers": 2}, Processes),
        ("processes", {"cuda_graph": False}, Processes),
        ("ray", {"cuda_graph": False, "cpus_per_task": 2}, Ray),
    ],
)
def test_an_executor_gets_the_options_that_were_given(name, given, kind):
    made = options.executor_of(OPTIONS | given | {"executor": name, "epochs": 3})
    assert made == kind(**given)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("cluster", {}, r"--executor must be one of serial, .*, got 'cluster'"),
        ("serial", {"workers": 2}, "--workers 2 is for --executor processes, not serial"),
        ("ray", {"folds_at_once": 2}, "--folds-at-once 2 is for --executor serial, not"),
        ("ray", {"threads": 2}, "--threads 2 is for --executor serial or processes, not ray"),
        ("processes", {"gpus_per_task": 0.5}, r"--gpus-per-task 0\.5 is for --executor ray, not"),
        ("processes", {"workers": 0}, "workers must be at least 1, got 0"),
    ],
)
def test_options_of_another_executor_are_refused(name, given, message):
    with pytest.raises(InputError, match=message):
        options.executor_of(OPTIONS | given | {"executor": name})


def test_a_run_has_the_settings_that_were_given_and_the_defaults():
    run = options.run_of(
        epochs=3, seed=[4, 5], rotation=[], image_size=32, task="three", device="cpu", threads=1
    )
    assert run.config == Config(epochs=3, seeds=(4, 5), image_size=32)
    assert run.executor == Serial(threads=1) and run.device == torch.device("cpu")
    assert {name for name, value in run.clips.items() if value} == {"task", "image_size"}


def test_a_command_has_the_options_of_a_run_beside_its_own(tmp_path):
    seen = []

    @options.with_run_options
    def command(run: options.Run, out: Path, more: int = 1) -> None:
        seen.append((run.config.epochs, out, more, (out / lock.NAME).exists()))

    names = list(inspect.signature(command).parameters)
    shared = inspect.signature(options.run_of).parameters
    assert names == ["context", "out", "more", *shared] and list(command.__annotations__) == names
    app = typer.Typer()
    app.command()(command)
    out = tmp_path / "out"
    app([str(out), "--epochs", "2", "--more", "5"], standalone_mode=False)
    assert seen == [(2, out, 5, True)] and not out.exists()  # since nothing was written


@pytest.mark.parametrize(
    ("paths", "camera", "seconds", "live"),
    [
        (["a.mp4", "b"], None, None, False),
        (["-"], None, 3.0, True),
        ([], 0, 3.0, True),
        ([], None, None, "give videos or folders, or - for a pipe, or --camera N"),
        (["a.mp4"], 0, None, "give videos or folders"),
        (["-", "a.mp4"], None, None, "- reads one video from a pipe: give no other path"),
        (["a.mp4"], None, 2.5, "--seconds 2.5 is for - and --camera"),
    ],
)
def test_a_stream_or_files_not_both(paths, camera, seconds, live):
    paths = [Path(path) for path in paths]
    if isinstance(live, str):
        with pytest.raises(InputError, match=live):
            options.is_live(paths, camera, seconds)
    else:
        assert options.is_live(paths, camera, seconds) is live


@pytest.fixture
def settings(run, tmp_path, monkeypatch):
    """The settings that a command line gives."""

    class Seen(Exception):
        pass

    def settings(*arguments):
        monkeypatch.setattr(options, "run_of", functools.partial(see, made := []))
        with pytest.raises(Seen):
            run("loso", tmp_path, "-o", tmp_path / "out", *arguments)
        return made[0].config

    run_of = options.run_of

    def see(made, **given):
        made.append(run_of(**given))
        raise Seen

    return settings


def test_a_recipe_gives_what_no_option_says(settings, monkeypatch):
    recipe = {"epochs": 7, "sampling": "balanced", "rotations": (0, 5), "method": "rank"}
    monkeypatch.setitem(options.RECIPES, "strong", recipe)
    assert settings() == settings("--recipe", "paper") == Config()
    assert settings("--recipe", "strong") == Config(**recipe)
    # Also where an option says what is the default elsewhere.
    given = ("--sampling", "shuffled", "--rotation", "0", "--batch-size", "8")
    told = {"sampling": "shuffled", "rotations": (0,), "batch_size": 8}
    assert settings("--recipe", "strong", *given) == Config(**recipe | told)


def test_an_unknown_recipe_is_one_line(run, tmp_path):
    code, _, errors = run("train", tmp_path, "-o", tmp_path / "out", "--recipe", "weak")
    assert (code, errors) == (2, "error: recipe must be one of paper, strong, got 'weak'\n")
    assert not (tmp_path / "out").exists()
