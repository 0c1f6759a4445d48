"""One run at a time in a folder, whatever ended the one before."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from folds import QUICK, contents, small_set
from folds import run as evaluate
from stores import make, write_tree

from originet.datasets import synth
from originet.evaluation import metrics
from originet.system import lock
from originet.system.errors import InputError
from originet.system.lock import NAME, held
from originet.training.config import Config

HOLD = """
import sys
from originet.system.lock import held
with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_run(folder):
    """A process that holds a folder for a while."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.stdin.close()
        process.wait(60)


def is_free(folder) -> bool:
    """Whether another thread, which is another run, gets the lock."""
    got = []

    def take():
        try:
            with held(folder):
                got.append(True)
        except InputError:
            got.append(False)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(60)
    return got == [True]


def test_the_second_run_is_told_who_holds_the_folder_and_leaves_his_word(tmp_path):
    out = tmp_path / "out"
    with another_run(out) as process:
        before = (out / NAME).read_bytes()
        who = f"process {process.pid} on {platform.node()} since 20"
        for _ in range(2):
            with pytest.raises(InputError) as told, held(out):
                pass
            assert str(told.value).startswith(f"{out} is in use by {who}")
            assert "\n" not in str(told.value)
        assert (out / NAME).read_bytes() == before
    assert not out.exists()
    with held(out):
        assert (out / NAME).is_file()


def test_the_lock_of_a_killed_run_stands_in_nobodys_way(tmp_path):
    with another_run(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert str(process.pid) in (tmp_path / NAME).read_text()
        with held(tmp_path):
            assert str(os.getpid()) in (tmp_path / NAME).read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_thread_may_hold_a_folder_twice_and_no_other_thread_may(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    with held(tmp_path / "out") as outer:
        with held("out") as inner, held(tmp_path / "link"):
            assert inner is outer
        assert not is_free(tmp_path / "out")
    assert is_free(tmp_path / "out")


def test_what_the_lock_made_is_gone_and_what_the_run_made_is_not(tmp_path):
    with held(tmp_path / "a" / "b"):
        pass
    with pytest.raises(KeyError), held(tmp_path / "a" / "b"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with held(tmp_path / "empty"), held(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").touch()
    assert sorted(tmp_path.rglob("*")) == [tmp_path / each for each in ("a", "a/file", "empty")]


def test_a_folder_that_is_gone_is_told_once_and_not_made_again(tmp_path):
    out = tmp_path / "out"
    for harm in (shutil.rmtree, lambda out: out.rename(tmp_path / "moved")):
        with pytest.raises(InputError, match=f"^{out} was deleted or moved away"), held(out):
            harm(out)
        assert not out.exists()
    with pytest.raises(InputError, match="was deleted"), held(out):
        shutil.rmtree(out)
        out.mkdir()  # which may well have the number of the one before
        (out / "file").touch()
    with held(out) as place:
        (tmp_path / "moved" / "file").touch()
        out.rename(tmp_path / "elsewhere")
        (tmp_path / "moved").rename(out)
        with pytest.raises(InputError, match="was deleted or moved away"):
            place.check()
    assert [path.name for path in out.iterdir()] == ["file"]


def test_a_link_in_the_locks_place_leads_nowhere(tmp_path):
    (tmp_path / "mine").write_text("text")
    out = tmp_path / "out"
    out.mkdir()
    (out / NAME).symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=f"^out: cannot write to {out}: "), held(out):
        pass
    assert (tmp_path / "mine").read_text() == "text"


def test_what_another_run_wrote_as_its_name_is_one_line(tmp_path):
    with another_run(tmp_path):
        (tmp_path / NAME).write_bytes(b"\x1b[31m\n" + b"\xff" * 10**6)
        with pytest.raises(InputError) as told, held(tmp_path):
            pass
        assert "\n" not in str(told.value) and "\x1b" not in str(told.value)
        assert len(str(told.value)) < 1000


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(lock.errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with pytest.warns(UserWarning, match=f"{tmp_path} is on a file system without locks"):
        with held(tmp_path):
            pass


@pytest.mark.parametrize(
    "command",
    [
        *(f"{name} {{none}} -o" for name in ("loso", "ablation", "compare")),
        *("reproduce -o", "demo -o", "synth", "prepare folder {tree} -o"),
    ],
)
def test_every_command_ends_at_once_where_another_runs(run, tmp_path, command):
    out = tmp_path / "out"
    if "{tree}" in command:
        write_tree(tmp_path / "tree")
    words = [
        word.format(none=tmp_path / "none", tree=tmp_path / "tree") for word in command.split()
    ]
    with another_run(out) as process:
        code, printed, err = run(*words, out)
        assert (code, printed) == (2, "")
        *_, last = err.splitlines()
        assert last.startswith(f"error: {out} is in use by process {process.pid} on ")
        assert [path.name for path in out.iterdir()] == [NAME]
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["tree"])


def test_the_lock_of_a_killed_run_is_no_content_of_a_folder(tmp_path):
    for name in ("store", "clips"):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_text("process 1")
    make(write_tree(tmp_path / "tree"), tmp_path / "store")
    synth.generate(tmp_path / "clips", subjects=1, clips_per_class=1)
    assert not list(tmp_path.rglob(NAME))


SHORT = Config.from_dict(QUICK.to_dict() | {"epochs": 1})


def _emptied(out):
    for path in out.iterdir():
        if path.name != NAME:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def evaluate_small(out: Path, **arguments):
    return evaluate(*small_set(3), config=SHORT, out=out, **arguments)


HARMS = {
    "deleted": (shutil.rmtree, "{out} was deleted or moved away during the run"),
    "moved": (lambda out: out.rename(out.with_name("moved")), "{out} was deleted or moved away"),
    "emptied": (_emptied, "{out}/config.json was deleted or moved away during the run"),
    "one file": (
        lambda out: (out / "folds" / "seed0_000_s00.safetensors").unlink(),
        "{out}/folds/seed0_000_s00.safetensors was deleted or moved away during the run",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("moment", ["second fold", "results"])
def test_a_run_whose_folder_is_taken_away_ends_with_an_error(tmp_path, monkeypatch, harm, moment):
    out = tmp_path / "out"
    damage, message = HARMS[harm]

    def progress(done, total):
        if moment == "second fold" and done == 2:  # of epochs, one a fold: the first is written
            damage(out)

    def intervals(*arguments, original=metrics.bootstrap_intervals):
        damage(out)
        return original(*arguments, resamples=9)

    if moment == "results":
        monkeypatch.setattr(metrics, "bootstrap_intervals", intervals)
    with pytest.raises(InputError, match=re.escape(message.format(out=out))):
        evaluate_small(out, progress=progress)
    assert out.exists() == (harm == "one file")
    assert not (out / "results.json").exists()


def test_a_run_that_was_moved_away_resumes_where_it_is(tmp_path, monkeypatch):
    out, moved = tmp_path / "out", tmp_path / "moved"
    with pytest.raises(InputError, match="was deleted or moved away"):
        evaluate_small(out, progress=lambda done, _: done == 2 and out.rename(moved))
    evaluate_small(moved)
    evaluate_small(out)
    assert contents(moved) == contents(out)


def test_the_report_does_not_make_a_deleted_folder_again_without_a_word(run, tmp_path, monkeypatch):
    make(write_tree(tmp_path / "tree", subjects=3), tmp_path / "store")
    out = tmp_path / "out"
    monkeypatch.setattr(
        "originet.evaluation.report.write_loso_report", lambda *_: shutil.rmtree(out)
    )
    code, _, err = run(
        *("loso", tmp_path / "store", "-o", out, "--epochs", 1, "--rotation", 0, "--no-equalize")
    )
    assert code == 2 and f"error: {out} was deleted or moved away during the run" in err
    assert not out.exists()
