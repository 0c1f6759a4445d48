"""Ctrl-C: exit code 130, what is kept, and how to go on."""

import shlex
from pathlib import Path

import pytest
from clips import random_frames, write_folder

QUICK = ("--epochs", 1, "--image-size", 16, "--rotation", 0, "--no-equalize", "--select", "last")


@pytest.fixture
def clips(tmp_path) -> Path:
    for number, (emotion, subject) in enumerate((e, s) for e in ("sad", "happy") for s in "abc"):
        frames = random_frames(4, (20, 20), seed=number)
        write_folder(tmp_path / "clips" / emotion / subject / "clip", frames)
    return tmp_path / "clips"


@pytest.fixture
def interrupt(monkeypatch):
    """Interrupts a command when a bar is moved for the so-manieth time, and counts the moves."""

    def start(module: str, moves: float) -> list[int]:
        seen: list[int] = []

        def bar(*_):
            def update(done, total):
                seen.append(done)
                if len(seen) >= moves:
                    raise KeyboardInterrupt

            return update

        monkeypatch.setattr(f"originet.cli.{module}.progress_bar", bar)
        return seen

    return start


def resumed(run, err: str) -> tuple[int, str, str]:
    """Runs the command that the last line says."""
    again = shlex.split(err.splitlines()[-1])
    assert again[0] == "originet"
    return run(*again[1:])


@pytest.mark.slow
def test_loso_resumes(run, clips, tmp_path, interrupt, monkeypatch):
    out = tmp_path / "out[1]"  # a name that rich would take for markup
    arguments = ("loso", clips, "-o", out, *QUICK)
    seen = interrupt("loso", 2)
    code, _, err = run(*arguments)
    assert code == 130 and len(seen) == 2
    kept = f"Interrupted. Finished folds are kept in {out}. To resume:"
    assert err.splitlines()[-2:] == [kept, "  " + shlex.join(map(str, ("originet", *arguments)))]
    finished = sorted((out / "folds").glob("*.json"))
    assert 0 < len(finished) < 3
    before = [path.stat().st_mtime_ns for path in finished]
    monkeypatch.undo()
    code, _, err = resumed(run, err)
    assert code == 0, err
    assert [path.stat().st_mtime_ns for path in finished] == before
    assert len(list((out / "folds").glob("*.json"))) == 3


def test_prepare_resumes(run, clips, tmp_path, interrupt, monkeypatch):
    out = tmp_path / "store"
    interrupt("prepare", 3)
    code, _, err = run("prepare", "folder", clips, "-o", out, "--image-size", 16, "--jobs", 1)
    assert code == 130 and f"Finished clips are kept in {out}. To resume:" in err
    assert len(list((out / ".parts").glob("*.safetensors"))) >= 2
    monkeypatch.undo()
    code, printed, err = resumed(run, err)
    assert code == 0 and "6 of 6 clips" in printed, err


def test_image_of_a_folder_keeps_its_files_and_says_that_it_starts_again(
    run, clips, tmp_path, interrupt
):
    out = tmp_path / "out"
    interrupt("image", 2)
    code, _, err = run("image", clips, "-o", out, "--jobs", 1)
    assert code == 130 and len(list(out.rglob("*.png"))) >= 2
    last = f"Interrupted. Finished clips are kept in {out}, but the same command starts over."
    assert err.splitlines()[-1] == last


def test_image_of_one_clip_leaves_the_file_as_it_was(run, clips, tmp_path, interrupt):
    out = tmp_path / "a.png"
    out.write_bytes(b"old")
    interrupt("image", 2)
    code, _, err = run("image", clips / "sad" / "a" / "clip", "-o", out)
    assert code == 130 and err.splitlines()[-1] == f"Interrupted. {out} is unchanged."
    assert out.read_bytes() == b"old"


@pytest.mark.slow
def test_synth_leaves_nothing(run, tmp_path, interrupt):
    out = tmp_path / "set"
    interrupt("synth", 1)
    code, _, err = run("synth", out, "--subjects", 1, "--clips-per-class", 1)
    assert code == 130 and err.splitlines()[-1] == "Interrupted. Nothing was written."
    assert list(tmp_path.iterdir()) == []


def test_bench_keeps_its_rows(run, tmp_path, interrupt):
    out = tmp_path / "bench"
    interrupt("bench", 1)
    quick = ("--quick", "--subject", "rrelu", "--dtype", "float32", "--threads", 1)
    code, _, err = run("bench", "-o", out, *quick)
    assert code == 130 and f"Rows measured so far are kept in {out}" in err
    assert len((out / "rrelu.csv").read_text().splitlines()) > 1
