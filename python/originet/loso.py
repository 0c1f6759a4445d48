"""Leave-one-subject-out (LOSO) evaluation, honest and resumable.

For each subject a network with fresh weights is trained on the other subjects' clips by
`originet.train.fit`, which chooses the epoch without the test subject; then the test subject's
clips are predicted, once. No statistic is taken over subjects. How the other subjects' clips become
training and validation images is the protocol's matter, "strict" or "paper": `originet.protocol`.

Clips are worked on in the order of their names, and a fold's seed comes from the seed and its
subject. So neither the order of the table's rows nor the other folds change a fold's result.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import LeaveOneGroupOut

from originet import metrics
from originet.config import Config
from originet.datasets import ClipTable, clip_list_hash
from originet.datasets.folder import SEMI_SYNTHETIC
from originet.device import pick_device
from originet.errors import InputError
from originet.fold import ModelFactory, run_fold
from originet.model import OrigiNet, parameter_count
from originet.prepare import active_images
from originet.protocol import is_leaky
from originet.rundir import fold_path, open_directory, read_fold, write_json, write_predictions


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
    class), shared_clips (clips on both sides), history (see `originet.train.History.epochs`),
    selected_epoch, device, seconds."""
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
    seconds: float
    """Time spent in the folds, interrupted runs included."""

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
        return SEMI_SYNTHETIC in self.dataset.split("+")

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
            "torch": torch.__version__,
            "clips": [list(clip) for clip in self.clips],
            "y_true": self.y_true.tolist(),
            "y_pred": self.y_pred.tolist(),
            "metrics": self.metrics,
            "intervals": metrics.BOOTSTRAP | {k: list(ends) for k, ends in self.intervals.items()},
            "confusion": self.confusion.tolist(),
            "per_class": self.per_class,
            "majority_accuracy": self.majority_accuracy,
            "majority_baseline": self.baseline,
            "clip_list_sha256": self.clip_list_sha256,
            "images_sha256": self.images_sha256,
            "seconds": self.seconds,
            "folds": self.folds,
        }


def subject_splits(
    subjects: Sequence[str] | NDArray[Any],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Splits clips so that each subject is the test subject once.

    Args:
        subjects: The subject of each clip [N].

    Returns:
        Pairs (training indices, test indices), in sorted order of the test subjects.

    Raises:
        InputError: If there are fewer than 2 subjects.
    """
    groups = np.asarray(subjects, dtype=str)
    count = len(np.unique(groups))
    if count < 2:
        raise InputError(f"leave-one-subject-out needs at least 2 subjects, got {count}")
    return iter(LeaveOneGroupOut().split(groups, groups=groups))


def run_loso(
    table: ClipTable,
    model: ModelFactory | None = None,
    config: Config | None = None,
    *,
    images: NDArray[np.uint8] | None = None,
    out: str | Path | None = None,
    device: str | torch.device | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LosoResult:
    """Evaluates a network by leaving out one subject at a time.

    On the CPU the same call gives the same numbers, bit for bit, with the same number of threads.

    Args:
        table: The clips.
        model: Makes a network for a number of classes; None is OrigiNet as `config` says.
        config: Settings; None is `Config()`.
        images: Active images of the clips in table order, [N, S, S] uint8 with S the configured
            image_size; None makes them by `originet.prepare.active_images`.
        out: Directory for config.json, folds/*.json (each written when its fold ends),
            results.json and predictions.csv. A run that was interrupted goes on from its last
            finished fold when it is started again with the same arguments.
        device: Where to compute; None takes the GPU if there is one.
        progress: Called as progress(done, total), counted in epochs over all folds and seeds.

    Returns:
        The result.

    Raises:
        InputError: If there are fewer than 2 subjects or 2 classes, a class occurs with a single
            subject, the images do not fit the table, `out` belongs to another run or cannot be
            written, or training fails (see `originet.train.fit`).
    """
    config = Config() if config is None else config
    subjects, classes, y_true = check_table(table)
    where = pick_device(device)
    if images is None:
        images = active_images(
            table,
            method=config.method,
            image_size=config.image_size,
            crop_face=config.crop_face,
        )
    expected = (len(table), config.image_size, config.image_size)
    if images.shape != expected or images.dtype != np.uint8:
        raise InputError(f"images must be {expected} uint8, got {images.shape} {images.dtype}")
    if model is None:
        model = _originet(config)

    # From here to the predictions everything is in the order of the clips' names.
    names = table["clip"].astype(str).to_numpy()
    order = np.lexsort((names, subjects))
    images, subjects, names, labels = images[order], subjects[order], names[order], y_true[order]
    specimen = model(len(classes))
    if model(len(classes)) is specimen:
        raise InputError("model must return a new network at every call, got the same one twice")
    network: dict[str, Any] = {
        "class": type(specimen).__name__,
        "parameters": parameter_count(specimen),
        "architecture_sha256": hashlib.sha256(repr(specimen).encode()).hexdigest(),
    }
    identity: dict[str, Any] = {
        "config": config.to_dict(),
        "leaky": is_leaky(config.protocol),
        "model": network,
        "dataset": "+".join(sorted(set(table["dataset"].astype(str)))),
        "classes": list(classes),
        "clip_list_sha256": clip_list_hash(table),
        "images_sha256": hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest(),
    }
    directory = None if out is None else open_directory(Path(out), identity)

    splits = list(subject_splits(subjects))
    total = len(config.seeds) * len(splits) * config.epochs
    out_of_fold = np.full((len(config.seeds), len(table)), -1, dtype=np.int64)
    folds: list[dict[str, Any]] = []
    for row, seed in enumerate(config.seeds):
        for index, (train, test) in enumerate(splits):
            done = len(folds) * config.epochs
            fold = {
                "seed": seed,
                "index": index,
                "subject": str(subjects[test[0]]),
                "clips": names[test].tolist(),
                "true": labels[test].tolist(),
            }
            path = None if directory is None else fold_path(directory, fold)
            if path is not None and path.exists():
                fold = read_fold(path, fold)
                if progress is not None:
                    progress(done + config.epochs, total)
            else:
                fold |= run_fold(
                    model,
                    classes,
                    images,
                    labels,
                    train,
                    test,
                    config,
                    seed=_fold_seed(seed, fold["subject"]),
                    device=where,
                    progress=_shifted(progress, done, total),
                )
                if path is not None:
                    write_json(path, fold)
            assert (out_of_fold[row, test] == -1).all(), "a clip was predicted twice"
            out_of_fold[row, test] = fold["predicted"]
            folds.append(fold)
    assert (out_of_fold >= 0).all(), "a clip was never predicted"

    y_pred = np.empty_like(out_of_fold)
    y_pred[:, order] = out_of_fold
    result = LosoResult(
        dataset=identity["dataset"],
        classes=classes,
        config=config,
        model=network,
        clips=list(zip(table["subject"].astype(str), table["clip"].astype(str), strict=True)),
        y_true=y_true,
        y_pred=y_pred,
        folds=folds,
        metrics=metrics.scores_over_seeds(labels, out_of_fold, subjects),
        intervals=metrics.bootstrap_intervals(labels, out_of_fold, subjects),
        baseline=metrics.majority_baseline(labels, subjects),
        confusion=metrics.confusion_matrix(
            np.tile(labels, len(config.seeds)), out_of_fold.ravel(), len(classes)
        ),
        clip_list_sha256=identity["clip_list_sha256"],
        images_sha256=identity["images_sha256"],
        seconds=float(sum(fold["seconds"] for fold in folds)),
    )
    if directory is not None:
        write_json(directory / "results.json", result.to_json())
        write_predictions(directory / "predictions.csv", classes, folds)
    return result


def _originet(config: Config) -> ModelFactory:
    """The factory of the OrigiNet that the settings name."""
    return lambda n: OrigiNet(n, image_size=config.image_size, variant=config.variant)


def check_table(
    table: ClipTable,
) -> tuple[NDArray[Any], tuple[str, ...], NDArray[np.int64]]:
    """Checks that a clip table can be evaluated by leaving subjects out.

    Args:
        table: The clips.

    Returns:
        The subject of each clip [N], the class names, sorted, and the class of each clip [N].

    Raises:
        InputError: If a column is missing, a clip stands in the table twice, there are fewer
            than 2 subjects or classes, or a class occurs with a single subject.
    """
    missing = [c for c in ("dataset", "subject", "clip", "label") if c not in table.columns]
    if missing:
        raise InputError(f"table has no column {', '.join(missing)}")
    subjects = table["subject"].astype(str)
    if table["dataset"].nunique() > 1:  # the same name in two data sets is two people
        subjects = table["dataset"].astype(str) + "/" + subjects
    subject_splits(subjects.to_numpy())
    key = ["dataset", "subject", "clip"]
    doubled = table[table.duplicated(key)]
    if len(doubled) > 0:
        raise InputError(f"table holds clip {'/'.join(map(str, doubled.iloc[0][key]))} twice")
    labels = table["label"].astype(str)
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise InputError(f"at least 2 classes are needed, got {len(classes)} ({classes[0]!r})")
    for name in classes:
        having = sorted(set(subjects[labels == name]))
        if len(having) == 1:
            raise InputError(
                f"class {name!r} occurs with one subject only ({having[0]!r}); with that subject "
                "left out it cannot be learned: add subjects, or merge or drop the class"
            )
    indices = np.searchsorted(np.array(classes), labels.to_numpy(dtype=str))
    return subjects.to_numpy(dtype=str), classes, indices.astype(np.int64)


def _fold_seed(seed: int, subject: str) -> int:
    """A seed of 32 bits that depends on the run's seed and the subject alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{subject}".encode()).digest()[:4], "big")


def _shifted(
    progress: Callable[[int, int], None] | None, done: int, total: int
) -> Callable[[int, int], None] | None:
    """A fold's progress as part of the whole run's."""
    return progress and (lambda epoch, _: progress(done + epoch, total))
