"""Whatever ends a run, its finished folds stay, and the next run ends as an undisturbed one."""

import errno
import fcntl
import os
import random
import signal
import time
from pathlib import Path

import pytest
from folds import contents
from interrupted import ONE, PROCESSES, SUBJECTS, TWO, complete, kill_itself, kill_the_parent
from stores import nth_write

from originet.system.errors import InputError

WRITES = 1 + 2 * SUBJECTS + 2  # config.json, weights and record of each fold, results, predictions


def finished(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "folds").glob("*.json"))


def without_leftovers(out: Path) -> dict[str, bytes]:
    """The run's files, but for parts that a killed process was writing."""
    return {name: data for name, data in contents(out).items() if not name.endswith(".tmp")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    complete(out)
    return contents(out)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["write", "move"])
def test_a_run_killed_at_any_write_is_completed(tmp_path, undisturbed, moment):
    for number in range(1, WRITES + 1):
        out = tmp_path / str(number)
        process = PROCESSES.Process(target=kill_itself, args=(out, moment, number))
        process.start()
        process.join(600)
        assert process.exitcode == -signal.SIGKILL
        names = finished(out)
        assert len(names) == min(max(number - 2, 0) // 2, SUBJECTS)
        before = {name: (out / "folds" / name).read_bytes() for name in names}
        complete(out)
        assert without_leftovers(out) == undisturbed
        assert all((out / "folds" / name).read_bytes() == data for name, data in before.items())


@pytest.mark.slow
@pytest.mark.parametrize("executor", [ONE, TWO], ids=["serial", "processes"])
def test_a_run_killed_at_a_random_moment_is_completed(tmp_path, undisturbed, executor):
    rng = random.Random(0)
    for number in range(3 if executor is ONE else 1):
        out = tmp_path / str(number)
        process = PROCESSES.Process(target=complete, args=(out, executor))
        process.start()
        while not finished(out):
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.join(600)
        complete(out, executor)
        assert without_leftovers(out) == undisturbed


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    alive = tmp_path / "alive"
    alive.touch()
    process = PROCESSES.Process(target=kill_the_parent, args=(tmp_path / "out", alive))
    process.start()
    process.join(600)
    assert process.exitcode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    with alive.open() as file:
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                assert time.monotonic() < deadline, "a worker lives on"
                time.sleep(0.1)


@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_full_disk_is_told_and_the_next_run_completes(tmp_path, monkeypatch, undisturbed, number):
    def no_space() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", nth_write(number, no_space))
        with pytest.raises(InputError) as told:
            complete(tmp_path)
    assert str(told.value) == f"out: cannot write to {tmp_path}: No space left on device"
    assert len(finished(tmp_path)) == min(max(number - 2, 0) // 2, SUBJECTS)
    complete(tmp_path)
    assert contents(tmp_path) == undisturbed
