"""Executors compute folds: one after the other, in several processes, or on a Ray cluster.

An executor takes folds as plain data (`originet.evaluation.fold.FoldJob`) and yields their outcomes
as they finish, in any order. Every fold sets its own seeds. On the CPU, every executor therefore
gives the same numbers, bit for bit, with the same number of threads. Only the caller writes files.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.typing import NDArray

from originet.evaluation.fold import (
    FoldFailure,
    FoldJob,
    FoldOutcome,
    Outcomes,
    Progress,
    Task,
    try_folds,
    try_in_worker,
)
from originet.evaluation.ray_executor import Ray
from originet.system.device import pick_device
from originet.system.limits import check_count


class Executor(Protocol):
    """Computes folds."""

    def fold_threads(self) -> int:
        """Returns the number of threads a fold computes with on the CPU."""

    def pick_device(self, device: str | torch.device | None) -> torch.device:
        """Returns the device that folds use, given the user's choice or None."""

    def run(self, tasks: Iterator[Task], count: int, progress: Progress) -> Outcomes:
        """Computes folds.

        Args:
            tasks: The folds, each taken when there is room for it; the iterator may end early.
            count: Maximum number of tasks.
            progress: Called as progress(key, epochs done, epochs) if folds run in this process.

        Yields:
            Outcomes as folds finish.
        """


@dataclass(frozen=True)
class Serial:
    """Computes folds in this process, in order; on a GPU several at once."""

    threads: int | None = None
    """Threads per fold; None means torch's number."""
    folds_at_once: int | None = None
    """Folds whose steps take turns on the device. None means 1 on the CPU, where more gain nothing,
    and 8 on a GPU, its default number of queues."""
    cuda_graph: bool = True
    """On a GPU, launch training steps as CUDA graphs."""

    def __post_init__(self) -> None:
        """Checks the values."""
        check_count(1, threads=self.threads, folds_at_once=self.folds_at_once)

    def fold_threads(self) -> int:
        """Returns the number of threads a fold computes with on the CPU."""
        return self.threads or torch.get_num_threads()

    def pick_device(self, device: str | torch.device | None) -> torch.device:
        """Returns the device, as `originet.system.device.pick_device` does."""
        return pick_device(device)

    def run(self, tasks: Iterator[Task], count: int, progress: Progress) -> Outcomes:
        """Computes folds, see `Executor.run`."""
        for group in self._groups(tasks):

            def report(done: int, epochs: int, group: list[Task] = group) -> None:
                for task in group:
                    progress(task.key, done, epochs)

            jobs = [task.job for task in group]
            outcomes = try_folds(
                *(jobs, group[0].views, self.threads), cuda_graph=self.cuda_graph, progress=report
            )
            yield from zip((task.key for task in group), outcomes, strict=True)

    def _groups(self, tasks: Iterator[Task]) -> Iterator[list[Task]]:
        """Splits the tasks into groups that can be trained at once."""
        group: list[Task] = []
        for task in tasks:
            first = group[0] if group else task
            if task.views is not first.views or task.job.config.epochs != first.job.config.epochs:
                yield group
                group = []
            group.append(task)
            if len(group) == (self.folds_at_once or (8 if task.job.device.type == "cuda" else 1)):
                yield group  # before taking the next task: it may become unnecessary
                group = []
        if group:
            yield group


@dataclass(frozen=True)
class Processes:
    """Computes folds in parallel processes on this machine, with joblib; images are shared."""

    workers: int | None = None
    """Number of processes; None means one per core."""
    threads: int | None = None
    """Threads per fold; None divides the cores among the workers."""
    cuda_graph: bool = True
    """On a GPU, launch training steps as CUDA graphs."""

    def __post_init__(self) -> None:
        """Checks the values."""
        check_count(1, workers=self.workers, threads=self.threads)

    def _workers(self) -> int:
        return self.workers or joblib.cpu_count()

    def fold_threads(self) -> int:
        """Returns the number of threads a fold computes with on the CPU."""
        return self.threads or max(joblib.cpu_count() // self._workers(), 1)

    def pick_device(self, device: str | torch.device | None) -> torch.device:
        """Returns the device, as `originet.system.device.pick_device` does."""
        return pick_device(device)

    def run(self, tasks: Iterator[Task], count: int, progress: Progress) -> Outcomes:
        """Computes folds, see `Executor.run`; `progress` is not called."""
        started: dict[int, FoldJob] = {}

        def calls() -> Iterator[Any]:
            for key, job, views in tasks:
                started[key] = job
                how = self.fold_threads(), self.cuda_graph
                yield joblib.delayed(_with_key)(key, job, views, *how)

        while True:
            # Batches of one: a fold takes seconds, and `started` then names the running folds.
            pool = joblib.Parallel(
                min(self._workers(), max(count, 1)),
                backend="loky",
                batch_size=1,
                pre_dispatch="n_jobs",
                return_as="generator_unordered",
                idle_worker_timeout=60,  # seconds, in case the session continues
                initializer=_end_with,
                initargs=(os.getpid(),),
            )
            try:
                with closing(pool(calls())) as outcomes:
                    for key, outcome in outcomes:
                        del started[key]
                        yield key, outcome
                return
            except TerminatedWorkerError:
                # It is unknown which fold's worker was killed; all running folds are lost.
                names = "; ".join(job.name for job in started.values())
                reason = (
                    "a worker process was killed, often because memory ran out, while these folds "
                    f"were running: {names}; fewer workers or a smaller batch_size may help"
                )
                lost, started = list(started), {}
                yield from ((key, FoldFailure(reason)) for key in lost)


EXECUTORS: Mapping[str, type[Serial] | type[Processes] | type[Ray]] = {
    "serial": Serial,
    "processes": Processes,
    "ray": Ray,
}
"""Executors by their names on the command line."""


def _with_key(
    key: int, job: FoldJob, views: NDArray[Any], threads: int, cuda_graph: bool
) -> tuple[int, FoldOutcome | FoldFailure]:
    return key, try_in_worker(job, views, threads, cuda_graph)


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent, however the parent ended.

    Otherwise the workers of a killed parent would wait forever to deliver their results.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
