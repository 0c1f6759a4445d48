"""Runs for other processes, which are killed: those can import this file, but no test file."""

import contextlib
import fcntl
import multiprocessing
import os
import signal
from pathlib import Path

import torch
from folds import SIZE, run, small_set, with_dropout
from stores import nth_write
from torch import nn

from originet.evaluation.compute import Compute
from originet.evaluation.executors import Executor, Processes, Serial
from originet.evaluation.splits import SortedClips
from originet.paper import reproduce
from originet.system import files
from originet.training.config import Config

ONE = Serial(threads=1)
TWO = Processes(workers=2, threads=1)
SUBJECTS = 4

PROCESSES = multiprocessing.get_context("forkserver")
# The latter two are otherwise imported by the first training of each process, which takes longer
# than all the rest.
PROCESSES.set_forkserver_preload(
    ["originet.paper.reproduce", "sklearn.model_selection", "torch._dynamo"]
)


def complete(out: Path, executor: Executor = ONE) -> None:
    run(*small_set(SUBJECTS), model=with_dropout, out=out, executor=executor)


def kill_itself(out: Path, moment: str, number: int) -> None:
    """Runs, and dies in the middle of a write or before a file is moved into place."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "write":
        Path.write_bytes = nth_write(number, kill)
    else:
        calls, replace = iter(range(1, number + 1)), os.replace

        def counted(*arguments):
            if next(calls) == number:
                kill()
            return replace(*arguments)

        assert files.os is os
        os.replace = counted
    complete(out)


def kill_the_parent(out: Path, alive: Path) -> None:
    """Runs in workers that lock a file as long as they live, and kill this process."""
    here = os.getpid()

    def model(num_classes: int) -> nn.Module:
        if os.getpid() != here:
            fcntl.flock(os.open(alive, os.O_RDONLY), fcntl.LOCK_SH)
            with contextlib.suppress(ProcessLookupError):
                os.kill(here, signal.SIGKILL)
        # Of more weights than a pipe takes before somebody reads.
        return nn.Sequential(
            nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 64), nn.Linear(64, num_classes)
        )

    run(*small_set(SUBJECTS), model=model, out=out, executor=TWO)


QUICK_LOOK = Config(epochs=1, image_size=16, rotations=(0,), equalize=False, select="last")


def reproduce_some(clips: SortedClips, out: Path) -> reproduce.Reproduction:
    reproduce.PICTURED = ("OrigiNet",)  # the others take longer and are kept in the same way
    return reproduce.run_reproduction(
        clips, QUICK_LOOK, Compute(), out=out, rows=["OrigiNet"], quick=True
    )


def kill_reproduction(clips: SortedClips, out: Path, part: str) -> None:
    """Reproduces, and dies when a file with this part in its name would be moved into place."""
    torch.set_num_threads(1)
    move = os.replace

    def replace(source, target):
        if part in str(target):
            os.kill(os.getpid(), signal.SIGKILL)
        return move(source, target)

    assert files.os is os
    os.replace = replace
    reproduce_some(clips, out)
