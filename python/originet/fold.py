"""One fold of a leave-one-subject-out run: a new network, trained once, predicting once."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from originet import metrics
from originet.config import Config
from originet.device import set_seed
from originet.predict import predict
from originet.protocol import is_leaky
from originet.train import fit

ModelFactory = Callable[[int], nn.Module]
"""Called with the number of classes; returns a new network with fresh weights."""


def run_fold(
    model: ModelFactory,
    classes: Sequence[str],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    config: Config,
    *,
    seed: int,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Trains a new network on one part of the clips and predicts the other, once.

    Args:
        model: Makes the network.
        classes: Class names [C].
        images: All clips' images [N, S, S] uint8.
        labels: All clips' class indices [N].
        train: Indices of the training clips.
        test: Indices of the test subject's clips.
        config: Settings.
        seed: Seed of the fold.
        device: Where to compute.
        progress: Called as progress(epochs done, epochs).

    Returns:
        What training adds to the fold's record, see `LosoResult.folds`.
    """
    started = perf_counter()
    set_seed(seed)
    network = model(len(classes))
    history = fit(
        network,
        images[train],
        labels[train],
        config,
        seed=seed,
        device=device,
        progress=progress,
    )
    probabilities = predict(network, images[test], device=device)  # [n, C]
    predicted = probabilities.argmax(axis=1)

    def per_class(part: NDArray[np.int64]) -> dict[str, int]:
        counts = np.bincount(labels[train[part]], minlength=len(classes))
        return {name: int(count) for name, count in zip(classes, counts, strict=True)}

    return {
        "predicted": predicted.tolist(),
        "probabilities": probabilities.tolist(),
        "accuracy": metrics.accuracy(labels[test], predicted),
        "protocol": config.protocol,
        "leaky": is_leaky(config.protocol),
        "training_counts": per_class(history.training),
        "validation_counts": per_class(history.validation),
        "shared_clips": len(np.intersect1d(history.training, history.validation)),
        "history": history.epochs,
        "selected_epoch": history.selected_epoch,
        "device": str(device),
        "seconds": perf_counter() - started,
    }
