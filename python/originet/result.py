"""The result of a leave-one-subject-out run."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from originet import metrics
from originet.datasets.folder import is_semi_synthetic
from originet.training.config import Config
from originet.training.protocol import is_leaky


@dataclass(frozen=True)
class LosoResult:
    """Out-of-fold predictions of every clip, and what follows from them.

    N clips in the order of the table, C classes, S seeds.
    """

    dataset: str
    """Name of the data set; several names are joined by "+"."""
    classes: tuple[str, ...]
    """Class names, sorted; class indices count from 0 in this order."""
    config: Config
    """The settings."""
    model: dict[str, Any]
    """The network: class, parameters, architecture_sha256."""
    clips: list[tuple[str, str]]
    """(subject, clip) of each row, [N]."""
    y_true: NDArray[np.int64]
    """Class indices [N]."""
    y_pred: NDArray[np.int64]
    """Predicted class indices [S, N]."""
    folds: list[dict[str, Any]]
    """One record a fold, as in the fold's JSON file: seed, index, subject, clips, true, predicted,
    probabilities, accuracy, protocol, leaky, training_counts and validation_counts (clips per
    class), shared_clips (clips on both sides), history (see
    `originet.training.train.History.epochs`), selected_epoch, device, seconds, weights_sha256 (of
    the weights' file; None without one)."""
    metrics: dict[str, float]
    """Means over the seeds and, under names with _std, spreads: `metrics.scores_over_seeds`."""
    intervals: dict[str, tuple[float, float]]
    """95 % confidence intervals over subjects, see `originet.metrics.bootstrap_intervals`."""
    baseline: dict[str, float]
    """Scores of always answering the commonest class, see `originet.metrics.majority_baseline`."""
    confusion: NDArray[np.int64]
    """Counts [C, C], added up over the seeds; rows are true classes."""
    clip_list_sha256: str
    """Hash of the clip list, see `originet.datasets.clip_list_hash`."""
    images_sha256: str
    """Hash of the images, in the order of the clips' names."""
    compute: dict[str, Any]
    """What the numbers depend on besides: device, torch (the version) and on a CPU the threads of a
    fold; see `originet.executors.compute_identity`."""
    seconds: float
    """Time spent in the folds, interrupted runs included."""
    by_dataset: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Scores of each data set of a composite, see `originet.by_dataset.dataset_scores`."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the rows of `y_pred`."""
        return self.config.seeds

    @property
    def majority_accuracy(self) -> float:
        """Share of the commonest class, 0..1."""
        return self.baseline["pooled_accuracy"]

    @property
    def per_class(self) -> dict[str, dict[str, int | float | None]]:
        """Precision, recall, F1 and support, over all seeds, see `originet.metrics.per_class`."""
        return metrics.per_class(self.confusion, self.classes)

    @property
    def semi_synthetic(self) -> bool:
        """Whether generated clips are among the clips."""
        return is_semi_synthetic(self.dataset)

    def to_json(self) -> dict[str, Any]:
        """Returns everything as JSON types."""
        return {
            "dataset": self.dataset,
            "semi_synthetic": self.semi_synthetic,
            "protocol": self.config.protocol,
            "leaky": is_leaky(self.config.protocol),
            "classes": list(self.classes),
            "config": self.config.to_dict(),
            "model": self.model,
            "compute": self.compute,
            "clips": [list(clip) for clip in self.clips],
            "y_true": self.y_true.tolist(),
            "y_pred": self.y_pred.tolist(),
            "metrics": self.metrics,
            "intervals": metrics.BOOTSTRAP | {k: list(ends) for k, ends in self.intervals.items()},
            "by_dataset": self.by_dataset,
            "confusion": self.confusion.tolist(),
            "per_class": self.per_class,
            "majority_accuracy": self.majority_accuracy,
            "majority_baseline": self.baseline,
            "clip_list_sha256": self.clip_list_sha256,
            "images_sha256": self.images_sha256,
            "seconds": self.seconds,
            "folds": self.folds,
        }
