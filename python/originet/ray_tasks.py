"""Folds as Ray tasks; imported by `originet.executors.Ray` alone, since Ray is an extra."""

import logging
import math
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from originet.fold import FoldFailure, FoldOutcome, try_in_worker
from originet.system.errors import InputError, one_line

if TYPE_CHECKING:
    from originet.executors import Outcomes, Ray, Task

try:
    import ray
except ImportError as error:
    raise InputError(
        f"executor ray needs the package ray, pip install 'originet[ray]': {error}"
    ) from error


def run_tasks(settings: "Ray", tasks: Iterator["Task"]) -> "Outcomes":
    """Computes folds on a cluster, see `originet.executors.Executor.run`.

    Args:
        settings: The cluster and the tasks' resources.
        tasks: The folds.

    Yields:
        Outcomes as they come.

    Raises:
        InputError: If there is no cluster at the address, or no node with a task's resources.
    """
    ours = not ray.is_initialized()
    if ours:
        _connect(settings.address)
    function: Any = try_in_worker  # Ray's own types count no arguments with defaults
    remote = ray.remote(function).options(
        num_cpus=settings.cpus_per_task,
        num_gpus=settings.gpus_per_task,
        max_retries=settings.retries,
    )
    stored: dict[int, tuple[Any, Any]] = {}  # views by id, which lives as long as they do
    running: dict[Any, Task] = {}
    try:
        while True:
            # Twice as many as can run: nodes never wait, and few are lost when a run fails.
            room = 2 * _slots(settings) - len(running)
            for task in (task for _, task in zip(range(room), tasks, strict=False)):
                if id(task.views) not in stored:
                    stored[id(task.views)] = task.views, ray.put(task.views)
                reference = stored[id(task.views)][1]
                running[remote.remote(task.job, reference, settings.cpus_per_task)] = task
            if not running:
                return
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            task = running.pop(done)
            yield task.key, _outcome(done, task, settings.retries)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if ours:
            ray.shutdown()


def _connect(address: str | None) -> None:
    # A cluster of somebody else keeps its own settings; one that starts here tells nobody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        address = address or os.environ.get("RAY_ADDRESS") or "local"
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host and port.isdigit():  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"address: no Ray cluster at {address!r}: {one_line(error)}") from error


def _slots(settings: "Ray") -> int:
    """How many tasks the nodes that are alive can run at a time."""
    wanted = {"CPU": settings.cpus_per_task, "GPU": settings.gpus_per_task}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    slots = sum(
        min(math.floor(node.get(kind, 0) / each) for kind, each in wanted.items() if each > 0)
        for node in nodes
    )
    if slots == 0:
        have = "; ".join(f"{n.get('CPU', 0):g} CPUs, {n.get('GPU', 0):g} GPUs" for n in nodes)
        raise InputError(
            f"no Ray node has the cpus_per_task {settings.cpus_per_task} and gpus_per_task "
            f"{settings.gpus_per_task:g} of a fold, they have {have or 'nothing'}"
        )
    return slots


def _outcome(reference: Any, task: "Task", retries: int) -> FoldOutcome | FoldFailure:
    """Fetches what a task came to; a mistake inside a task is raised here as it was there."""
    try:
        outcome: FoldOutcome | FoldFailure = ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", error)  # of an exception that was raised inside a task
        if not isinstance(cause, ray.exceptions.RayError):
            raise
        reason = f"{task.job.name}: lost by Ray after {retries} retries: {one_line(error)}"
        return FoldFailure(f"{reason}; a smaller batch_size or more cpus_per_task may help")
    return outcome
