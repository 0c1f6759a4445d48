"""One fold of a leave-one-subject-out run: a new network, trained once, predicting once.

A fold is plain data (arrays and a factory), so any process can compute it; its outcome is plain
data too. The calling process writes the files, see `originet.evaluation.run_files`.
"""

import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

from originet.evaluation import metrics
from originet.system.device import set_seed
from originet.system.errors import InputError, one_line
from originet.system.memory import keep_freed_memory
from originet.training.config import Config
from originet.training.predict import predict
from originet.training.train import History, Training, fit_together
from originet.training.weights import to_safetensors

ModelFactory = Callable[[int], nn.Module]
"""Called with the number of classes; returns a new network with fresh weights."""

# Errors that may end a single network: failed training, torch's own errors such as a full device.
# Anything else is a bug, and is raised with its traceback.
FAILURES = (InputError, OSError, MemoryError, RuntimeError)


@dataclass(frozen=True)
class FoldJob:
    """What determines a fold besides the images."""

    model: ModelFactory
    """Makes the network."""
    classes: Sequence[str]
    """Class names [C]."""
    labels: NDArray[np.int64]
    """All clips' class indices [N]."""
    train: NDArray[np.int64]
    """Indices of the training clips."""
    test: NDArray[np.int64]
    """Indices of the test subject's clips."""
    config: Config
    """Settings."""
    seed: int
    """Seed of the fold, 32 bits."""
    device: torch.device
    """Where to compute."""
    name: str = "fold"
    """The fold's name in messages."""
    keep_weights: bool = False
    """Whether the outcome includes the weights."""


@dataclass(frozen=True)
class FoldOutcome:
    """The outcome of a fold."""

    record: dict[str, Any]
    """The fields that training adds to the fold's record, see
    `originet.evaluation.result.LosoResult.folds`."""
    weights: bytes | None
    """The weights of the selected epoch, as a safetensors file."""


@dataclass(frozen=True)
class FoldFailure:
    """Why a fold failed."""

    reason: str
    """One line that names the fold."""
    details: str = ""
    """The traceback, from the process that computed the fold."""

    def error(self) -> InputError:
        """Returns the reason as an exception, with the traceback as its cause."""
        error = InputError(self.reason)
        error.__cause__ = RuntimeError(self.details) if self.details else None
        return error


class Task(NamedTuple):
    """A fold to compute."""

    key: int
    """Identifies the fold to the caller."""
    job: FoldJob
    """The fold."""
    views: NDArray[Any]
    """All clips' views, see `originet.evaluation.fold.run_folds`; many tasks share one array."""


Outcomes = Generator[tuple[int, FoldOutcome | FoldFailure], None, None]
"""Yields the keys and outcomes of tasks; closing it stops running tasks."""

Progress = Callable[[int, int, int], None]
"""Called with a task's key, its finished epochs, and its total epochs."""


def run_folds(
    jobs: Sequence[FoldJob],
    views: NDArray[Any],
    *,
    cuda_graph: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[FoldOutcome | FoldFailure]:
    """Trains a new network for each fold and predicts the fold's test clips once.

    The networks train at the same time, see `originet.training.train.fit_together`.

    Args:
        jobs: The folds, on one device, with the same number of epochs.
        views: All clips' views [N, 1 + copies, S, S] uint8 or [N, 1 + copies, S, S, C], see
            `originet.training.augment.augmented_views`.
        cuda_graph: On a GPU, launch training steps as CUDA graphs.
        progress: Called as progress(epochs done, epochs).

    Returns:
        The outcomes in the order of the jobs, or the reason if training failed.
    """
    started = perf_counter()
    with warnings.catch_warnings():
        # Memory shared between processes is read-only; nothing here writes to it.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        pixels = torch.from_numpy(views).to(jobs[0].device)  # once for all; no copy on the CPU
    trainings = []
    for job in jobs:
        set_seed(job.seed)
        network, labels = job.model(len(job.classes)), job.labels[job.train]
        trainings.append(
            Training(
                *(network, pixels, job.train, labels, job.config),
                seed=job.seed,
                classes=len(job.classes),
                cuda_graph=cuda_graph,
            )
        )
    histories = fit_together(trainings, progress)
    outcomes: list[FoldOutcome | FoldFailure] = []
    for job, training, history in zip(jobs, trainings, histories, strict=True):
        if isinstance(history, InputError):
            outcomes.append(_failure(job, history))
            continue
        probabilities = predict(training.model, views[job.test, 0], device=job.device)  # [n, C]
        if not np.isfinite(probabilities).all():
            outcomes.append(
                _failure(job, InputError("the trained network's outputs are not finite"))
            )
            continue
        seconds = (perf_counter() - started) / len(jobs)
        record = _record(job, history, probabilities) | {"seconds": seconds}
        weights = to_safetensors(training.model) if job.keep_weights else None
        outcomes.append(FoldOutcome(record, weights))
    return outcomes


def _record(job: FoldJob, history: History, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    predicted = probabilities.argmax(axis=1)

    def per_class(part: NDArray[np.int64]) -> dict[str, int]:
        counts = np.bincount(job.labels[job.train[part]], minlength=len(job.classes))
        return {name: int(count) for name, count in zip(job.classes, counts, strict=True)}

    return {
        "predicted": predicted.tolist(),
        "probabilities": probabilities.tolist(),
        "accuracy": metrics.accuracy(job.labels[job.test], predicted),
        "protocol": job.config.protocol,
        "leaky": job.config.leaky,
        "training_counts": per_class(history.training),
        "validation_counts": per_class(history.validation),
        "shared_clips": len(np.intersect1d(history.training, history.validation)),
        "history": history.epochs,
        "selected_epoch": history.selected_epoch,
        "device": str(job.device),
    }


def try_folds(
    jobs: Sequence[FoldJob],
    views: NDArray[Any],
    threads: int | None = None,
    *,
    cuda_graph: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[FoldOutcome | FoldFailure]:
    """Runs folds on a number of threads; returns failures instead of raising them.

    Args:
        jobs: The folds, see `run_folds`.
        views: All clips' views.
        threads: Threads on the CPU; None leaves the number as it is.
        cuda_graph: On a GPU, launch training steps as CUDA graphs.
        progress: Called as progress(epochs done, epochs).

    Returns:
        The outcomes, or the reasons for failures. An error outside of a single network's training
        fails all jobs.
    """
    try:
        with _on_threads(threads):
            return run_folds(jobs, views, cuda_graph=cuda_graph, progress=progress)
    except FAILURES as error:
        return [_failure(job, error) for job in jobs]


def try_in_worker(
    job: FoldJob, views: NDArray[Any], threads: int, cuda_graph: bool
) -> FoldOutcome | FoldFailure:
    """Runs one fold in a worker process, see `try_folds`."""
    keep_freed_memory()
    (outcome,) = try_folds([job], views, threads, cuda_graph=cuda_graph)
    return outcome


def _failure(job: FoldJob, error: Exception) -> FoldFailure:
    reason = one_line(error)
    short = ("out of memory", "allocate memory")  # torch's messages on a GPU and on the CPU
    if isinstance(error, MemoryError) or any(words in reason for words in short):
        reason += "; a smaller batch_size or fewer folds at a time may help"
    details = "".join(traceback.format_exception(error))
    return FoldFailure(f"{job.name}: {reason}", details)


@contextmanager
def _on_threads(threads: int | None) -> Iterator[None]:
    """Limits all libraries that folds compute with to a number of threads, in this context."""
    if threads is None:
        yield
        return
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    try:
        with threadpool_limits(threads, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
