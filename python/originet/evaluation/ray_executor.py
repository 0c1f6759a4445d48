"""Computes folds as tasks of a Ray cluster. Ray is an extra: it is imported when folds run."""

import logging
import math
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from originet.evaluation.fold import (
    FoldFailure,
    FoldOutcome,
    Outcomes,
    Progress,
    Task,
    try_in_worker,
)
from originet.system.errors import InputError, one_line
from originet.system.limits import check_count


@dataclass(frozen=True)
class Ray:
    """Computes folds as tasks of a Ray cluster, or of a local Ray started for them.

    Only this process reads and writes files, so nodes need no shared disk. A fold whose worker or
    node died is computed again elsewhere. A fold that failed by itself is not, since it would fail
    again.
    """

    address: str | None = None
    """Address of the cluster, as for `ray.init`; None means RAY_ADDRESS or a local Ray."""
    cpus_per_task: int = 1
    """Cores reserved for a fold, and its number of threads."""
    gpus_per_task: float = 0
    """GPUs reserved for a fold; with a fraction, folds share one."""
    retries: int = 3
    """How often a fold is restarted after its worker or node died."""
    cuda_graph: bool = True
    """On a GPU, launch training steps as CUDA graphs."""

    def __post_init__(self) -> None:
        """Checks the values."""
        check_count(1, cpus_per_task=self.cpus_per_task)
        check_count(0, gpus_per_task=self.gpus_per_task, retries=self.retries)

    def fold_threads(self) -> int:
        """Returns the number of threads a fold computes with on the CPU."""
        return self.cpus_per_task

    def pick_device(self, device: str | torch.device | None) -> torch.device:
        """Returns the requested device, or the default for the tasks' resources.

        Whether the device exists is only known on the nodes.

        Raises:
            InputError: If there is no such kind of device, or a GPU is requested but
                `gpus_per_task` is 0.
        """
        if device is None:
            return torch.device("cuda" if self.gpus_per_task > 0 else "cpu")
        try:
            picked = torch.device(device)
        except RuntimeError as error:
            raise InputError(f"no device {device!r}: {str(error).splitlines()[0]}") from error
        if picked.type == "cuda" and self.gpus_per_task == 0:
            raise InputError(f"device {str(device)!r} needs gpus_per_task above 0")
        return picked

    def run(self, tasks: Iterator[Task], count: int, progress: Progress) -> Outcomes:
        """Computes folds, see `Executor.run`; `progress` is not called.

        Raises:
            InputError: If Ray is not installed, there is no cluster at the address, or no node has
                a task's resources.
        """
        ray = _import_ray()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, self.address)
        function: Any = try_in_worker  # Ray's type hints do not allow default arguments
        remote = ray.remote(function).options(
            num_cpus=self.cpus_per_task, num_gpus=self.gpus_per_task, max_retries=self.retries
        )
        stored: dict[int, tuple[Any, Any]] = {}  # by id of the views, which are kept alive here
        running: dict[Any, Task] = {}
        try:
            while True:
                # Twice as many as can run: nodes never wait, and a failing run wastes little.
                room = 2 * _slots(ray, self) - len(running)
                for task in (task for _, task in zip(range(room), tasks, strict=False)):
                    if id(task.views) not in stored:
                        stored[id(task.views)] = task.views, ray.put(task.views)
                    reference = stored[id(task.views)][1]
                    how = self.cpus_per_task, self.cuda_graph
                    running[remote.remote(task.job, reference, *how)] = task
                if not running:
                    return
                (done, *_), _ = ray.wait(list(running), num_returns=1)
                task = running.pop(done)
                yield task.key, _outcome(ray, done, task, self.retries)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            if ours:
                ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise InputError(
            f"executor ray needs the package ray, pip install 'originet[ray]': {error}"
        ) from error
    return ray


def _connect(ray: Any, address: str | None) -> None:
    # An existing cluster keeps its own settings; a local Ray started here sends no statistics.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        address = address or os.environ.get("RAY_ADDRESS") or "local"
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host and port.isdigit():  # Ray itself would retry for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"no Ray cluster at address {address!r}: {one_line(error)}") from error


def _slots(ray: Any, settings: Ray) -> int:
    """Returns how many tasks the live nodes can run at a time."""
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
            f"{settings.gpus_per_task:g} that a fold needs; they have {have or 'nothing'}"
        )
    return slots


def _outcome(ray: Any, reference: Any, task: Task, retries: int) -> FoldOutcome | FoldFailure:
    """Fetches a task's outcome; re-raises an exception that the task itself raised."""
    try:
        outcome: FoldOutcome | FoldFailure = ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", error)  # set if the task itself raised an exception
        if not isinstance(cause, ray.exceptions.RayError):
            raise
        reason = f"{task.job.name}: lost by Ray after {retries} retries: {one_line(error)}"
        return FoldFailure(f"{reason}; a smaller batch_size or more cpus_per_task may help")
    return outcome
