"""A leave-one-subject-out run of MEGC 2019's size: the package's executors and plain PyTorch.

68 subjects, 442 clips, 3 classes, 7 rotations. The images are noise, since their content does not
affect the time. All providers train for the same number of epochs on the same batches.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from originet.bench.model import EagerRReLU
from originet.evaluation.executors import Executor, Processes, Serial, Task
from originet.evaluation.fold import FoldJob, FoldOutcome
from originet.evaluation.megc2019 import CLIPS, SUBJECTS
from originet.evaluation.splits import subject_splits
from originet.system.clock import Case, Job, check_close
from originet.system.device import set_seed
from originet.training.augment import augmented_views
from originet.training.config import Config
from originet.training.model import OrigiNet
from originet.training.protocol import fold_parts

_CLASSES = 3
_FOLDS = 2  # per call of the short case
_TOLERANCE = 0.05  # relative error of a loss: training amplifies rounding differences
_GPU_EPOCHS = 5  # the first one records CUDA graphs

Losses = list[float]
"""Each fold's training loss in the first epoch; it shows that all providers train the same."""


def loso_providers(device: torch.device) -> dict[str, Callable[[list[Task]], Losses]]:
    """Return the ways to compute folds, by name.

    "eager" computes one fold after the other in plain PyTorch: images in memory, augmented once per
    fold, psi and normalisation as separate operations, torch's default layout and optimiser.
    "fused" is the package's fastest way: on the CPU, processes with one fold per core; on a GPU,
    several folds at once. "serial" (CPU) computes folds in turn with all threads, "alone" (GPU) one
    at a time. "bfloat16" is the fastest way in that precision.
    """
    if device.type == "cpu":
        ours: dict[str, Executor] = {"fused": Processes(), "serial": Serial()}
    else:
        ours = {"fused": Serial(), "alone": Serial(folds_at_once=1)}
    named = {name: functools.partial(_run, executor) for name, executor in ours.items()}
    return {
        **named,
        "bfloat16": functools.partial(_run_in_bfloat16, ours["fused"]),
        "eager": _eager,
    }


def loso_case(
    folds: int = SUBJECTS,
    *,
    device: str | torch.device = "cpu",
    config: Config | None = None,
    providers: dict[str, Callable[[list[Task]], Losses]] | None = None,
) -> Case:
    """Prepare folds of a run; a whole run is timed once.

    The case's shape is the number of images that one call trains on, including augmented copies,
    and their size. A short case is checked: each provider's loss in the first epoch must match
    eager PyTorch's.

    Args:
        folds: How many of the 68 folds to compute.
        device: Where to train.
        config: Settings; None means 7 rotations and one epoch, or 5 epochs on a GPU.
        providers: Functions of the tasks by name; default `loso_providers(device)`.

    Raises:
        RuntimeError: A provider's losses differ from eager PyTorch's.
    """
    where = torch.device(device)
    if config is None:
        config = Config(epochs=1 if where.type == "cpu" else _GPU_EPOCHS, equalize=False)
    tasks = loso_tasks(config, where)[:folds]
    functions = loso_providers(where) if providers is None else providers
    whole = folds >= SUBJECTS
    if not whole:
        expected = torch.tensor(_eager(tasks))
        for name, function in functions.items():
            actual = torch.tensor(function(tasks))
            tolerance = _TOLERANCE * float(expected.abs().max())
            check_close("loso: loss of the first epoch", name, actual, expected, tolerance)
    images = config.epochs * sum(
        len(fold_parts(task.job.labels[task.job.train], config, task.job.seed).training_clips)
        for task in tasks
    )
    return Case(
        "loso",
        "train",
        where,
        torch.float32,
        (images, config.image_size, config.image_size),
        f"{len(tasks)} folds",
        0,
        {name: functools.partial(function, tasks) for name, function in functions.items()},
        once=whole and where.type == "cpu",
    )


def loso_jobs(device: torch.device, *, threads: Sequence[int], quick: bool = False) -> list[Job]:
    """List the cases: two folds of small images, two folds, the whole run.

    Args:
        device: Where to train.
        threads: Numbers of CPU threads; only the largest is used. (0,) for a GPU.
        quick: Only the small images, which have no rotations.
    """
    small = Config(epochs=1, rotations=(0,), equalize=False, image_size=32)
    cases = [(_FOLDS, small), *(() if quick else ((_FOLDS, None), (SUBJECTS, None)))]
    return [
        Job(functools.partial(loso_case, folds, device=device, config=config), max(threads), 0.0)
        for folds, config in cases
    ]


def loso_tasks(config: Config, device: torch.device) -> list[Task]:
    """Make the folds of a run on noise.

    Args:
        config: Settings.
        device: Where to train.

    Returns:
        One task per subject.
    """
    rng = np.random.default_rng(0)
    shape = (CLIPS, config.image_size, config.image_size)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    views = augmented_views(images, config.rotations, config.equalize)
    subjects = np.sort(np.arange(CLIPS) % SUBJECTS)
    labels = rng.integers(0, _CLASSES, CLIPS)
    model = functools.partial(OrigiNet, image_size=config.image_size)
    classes = [f"class{index}" for index in range(_CLASSES)]
    return [
        Task(key, FoldJob(model, classes, labels, train, test, config, key, device), views)
        for key, (train, test) in enumerate(subject_splits(subjects))
    ]


def _run(executor: Executor, tasks: list[Task]) -> Losses:
    """Compute the folds with an executor of the package."""
    losses: dict[int, float] = {}
    for key, outcome in executor.run(iter(tasks), len(tasks), lambda key, done, epochs: None):
        if not isinstance(outcome, FoldOutcome):
            raise outcome.error()
        losses[key] = outcome.record["history"][0]["loss"]
    return [losses[key] for key in sorted(losses)]


def _run_in_bfloat16(executor: Executor, tasks: list[Task]) -> Losses:
    jobs = [replace(t.job, config=replace(t.job.config, precision="bfloat16")) for t in tasks]
    return _run(executor, [Task(t.key, job, t.views) for t, job in zip(tasks, jobs, strict=True)])


def _eager(tasks: list[Task]) -> Losses:
    return [_eager_fold(task.job, task.views[:, 0]) for task in tasks]


def _eager_fold(job: FoldJob, images: NDArray[np.uint8]) -> float:
    """Compute one fold as usually written without this package."""
    config, device = job.config, job.device
    set_seed(job.seed)
    size, classes = config.image_size, len(job.classes)
    model = OrigiNet(classes, image_size=size, activation=EagerRReLU, channels_last=False)
    model.to(device)
    labels = job.labels[job.train]
    parts = fold_parts(labels, config, job.seed)
    views = augmented_views(images[job.train], config.rotations, config.equalize)
    x = torch.from_numpy(views[parts.training_clips, parts.training_views]).to(device)
    y = torch.from_numpy(labels[parts.training_clips]).to(device)
    steps = -(-len(x) // config.batch_size)
    adam = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=config.epochs * steps)
    generator = torch.Generator().manual_seed(job.seed)
    losses = []
    for _ in range(config.epochs):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(x), generator=generator).to(device).tensor_split(steps):
            loss = F.cross_entropy(model(_plain_input(x[batch])), y[batch])
            adam.zero_grad()
            loss.backward()
            adam.step()
            rates.step()
            total += loss.item() * len(batch)
        losses.append(total / len(x))
        validation = views[parts.validation_clips, parts.validation_views]
        _eager_prediction(model, torch.from_numpy(validation).to(device))
    _eager_prediction(model, torch.from_numpy(images[job.test]).to(device))
    return losses[0]


def _plain_input(images: Tensor) -> Tensor:
    """Do what `originet.training.predict.to_input` does, in torch's default layout."""
    x = images.float() / 255
    deviation, mean = torch.std_mean(x, dim=(1, 2), correction=0, keepdim=True)
    x = (x - mean) / deviation.clamp_min(1 / 255)
    return x.unsqueeze(1).repeat(1, 3, 1, 1)


def _eager_prediction(model: nn.Module, images: Tensor) -> NDArray[Any]:
    model.eval()
    with torch.no_grad():
        return model(_plain_input(images)).softmax(dim=1).cpu().numpy()
