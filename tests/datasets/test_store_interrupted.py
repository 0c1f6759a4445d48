"""Whatever ends a run, its clips stay, and the next run's store is that of an undisturbed one."""

import errno
import itertools
import os
from pathlib import Path

import pytest
from stores import contents, count_clips, frame_of, killed_run, limited_run, make, nth_write
from stores import write_tree as write

from originet.datasets import store
from originet.system.errors import InputError

CLIPS = 4


@pytest.fixture
def tree(tmp_path):
    return write(tmp_path / "tree")


@pytest.fixture
def undisturbed(tmp_path, tree):
    make(tree, tmp_path / "undisturbed")
    return contents(tmp_path / "undisturbed")


def with_a_failed_clip(tree, out):
    """Makes a store while a frame is broken, and mends the frame."""
    frame = frame_of(tree)
    data = frame.read_bytes()
    frame.write_bytes(data[:-20])
    made = make(tree, out)
    frame.write_bytes(data)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["write", "move"])
def test_a_run_killed_at_any_moment_is_completed(tmp_path, monkeypatch, tree, undisturbed, moment):
    made = count_clips(monkeypatch)
    for number in itertools.count(1):
        out = tmp_path / str(number)
        if not killed_run(tree, out, moment, number):
            break
        parts = [path for path in contents(out) if len(Path(path).stem) == 64]
        finished = (out / "manifest.json").exists()
        if finished:
            assert len(store.read_store(out).table) == CLIPS
        elif parts:
            with pytest.raises(InputError, match="is unfinished: run the same"):
                store.read_store(out)
        made.clear()
        make(tree, out)
        assert contents(out) == undisturbed
        assert len(made) == (0 if finished else CLIPS - len(parts))
    assert contents(out) == undisturbed
    assert number > 2 * CLIPS  # the moments were met


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["write", "move"])
def test_a_killed_addition_loses_nothing(tmp_path, monkeypatch, tree, undisturbed, moment):
    made = count_clips(monkeypatch)
    for number in itertools.count(1):
        out = tmp_path / str(number)
        with_a_failed_clip(tree, out)
        if not killed_run(tree, out, moment, number):
            break
        made.clear()
        make(tree, out)
        assert contents(out) == undisturbed
        assert len(made) <= 1  # the mended clip, if it was not finished
    assert contents(out) == undisturbed
    assert number > CLIPS


def no_space():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write fails: without a path


@pytest.mark.slow
def test_a_full_disk_is_told_and_a_later_run_completes(tmp_path, monkeypatch, tree, undisturbed):
    for number in itertools.count(1):
        out = tmp_path / str(number)
        with monkeypatch.context() as full:
            full.setattr(Path, "write_bytes", nth_write(number, no_space))
            try:
                make(tree, out)
            except InputError as error:
                text = f"out: cannot write to {out}: No space left on device (finished clips"
                assert str(error).startswith(text) and "\n" not in str(error)
            else:
                break
        assert not [path for path in contents(out) if path.endswith(".tmp")]
        make(tree, out, jobs=3)
        assert contents(out) == undisturbed
    assert number > CLIPS


def test_a_full_disk_leaves_a_finished_store_as_it_was(tmp_path, monkeypatch, tree, undisturbed):
    out = tmp_path / "out"
    with_a_failed_clip(tree, out)
    before = contents(out)
    for number in itertools.count(1):
        with monkeypatch.context() as full:
            full.setattr(Path, "write_bytes", nth_write(number, no_space))
            try:
                make(tree, out)
            except InputError:
                after = contents(out)
                assert {path: after[path] for path in before} == before
                assert len(store.read_store(out).table) == CLIPS - 1
            else:
                break
    assert number > 2
    assert contents(out) == undisturbed


@pytest.mark.slow
def test_a_write_that_the_system_refuses(tmp_path, tree, undisturbed):
    out = tmp_path / "out"
    images = len(undisturbed["images.safetensors"])
    error = limited_run(tree, out, images - 1)
    assert error.startswith(f"InputError: out: cannot write to {out}: File too large")
    assert sum(len(Path(path).stem) == 64 for path in contents(out)) == CLIPS
    assert "manifest.json" not in contents(out)
    make(tree, out)
    assert contents(out) == undisturbed


def test_an_interrupt_keeps_finished_clips(tmp_path, monkeypatch, tree, undisturbed):
    def interrupt(done, total):
        assert total == CLIPS
        if done == 3:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make(tree, out, progress=interrupt)
    made = count_clips(monkeypatch)
    calls = []
    make(tree, out, progress=lambda done, total: calls.append((done, total)))
    assert made == [("cumulative",)]
    assert calls == [(3, 4), (4, 4)]
    assert contents(out) == undisturbed


def test_a_part_that_a_power_cut_left_empty_is_made_again(tmp_path, tree, undisturbed):
    out = tmp_path / "out"
    assert killed_run(tree, out, "write", CLIPS + 1)
    parts = [path for path in (out / ".parts").iterdir() if len(path.stem) == 64]
    parts[0].write_bytes(b"")
    parts[1].write_bytes(parts[1].read_bytes()[:30])
    make(tree, out)
    assert contents(out) == undisturbed
