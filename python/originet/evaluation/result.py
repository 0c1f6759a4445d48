"""The result of a leave-one-subject-out run, and its file, results.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from originet.datasets.folder import is_semi_synthetic
from originet.evaluation import metrics
from originet.evaluation.by_dataset import dataset_scores
from originet.evaluation.result_shapes import Results, evaluation_fault, folds_fault
from originet.evaluation.run_files import predictions, subjects_of
from originet.evaluation.splits import SortedClips
from originet.system.errors import InputError
from originet.system.json_files import read_json
from originet.system.words import counted
from originet.training.config import OWN, Config


@dataclass(frozen=True)
class LosoResult:
    """Out-of-fold predictions for every clip, and the scores computed from them.

    N clips in the order of the table, C classes, S seeds.
    """

    dataset: str
    """Name of the data set; the names of several are joined by "+"."""
    classes: tuple[str, ...]
    """Class names, sorted; class indices count from 0 in this order."""
    config: Config
    """The settings."""
    model: dict[str, Any]
    """The network: class, parameters, architecture_sha256; of the user's own code source_sha256, of
    pretrained weights `weights` (their name) and weights_sha256."""
    clips: list[tuple[str, str]]
    """(subject, clip) of each row, [N]."""
    y_true: NDArray[np.int64]
    """Class indices [N]."""
    y_pred: NDArray[np.int64]
    """Predicted class indices [S, N]."""
    folds: list[dict[str, Any]]
    """One record per fold, as in the fold's JSON file: seed, index, subject (who was left out; with
    `config.leave_out` "dataset", the data set), subjects (only then: of each clip), clips, true,
    predicted, probabilities, accuracy, protocol, leaky, training_counts and validation_counts
    (clips per class), shared_clips (clips in both training and validation), history (see
    `originet.training.train.History.epochs`), selected_epoch, device, seconds, weights_sha256 (hash
    of the weights' file; None if there is none)."""
    metrics: dict[str, float]
    """Means over the seeds and, with the suffix _std, standard deviations:
    `metrics.scores_over_seeds`."""
    intervals: dict[str, tuple[float, float]]
    """95 % confidence intervals over subjects: `metrics.bootstrap_intervals`."""
    baseline: dict[str, float]
    """Scores of always predicting the most common class: `metrics.majority_baseline`."""
    confusion: NDArray[np.int64]
    """Counts [C, C], summed over the seeds; rows are true classes."""
    clip_list_sha256: str
    """Hash of the clip list, see `originet.datasets.clip_list_hash`."""
    images_sha256: str
    """Hash of the images, in the order of the clips' names."""
    compute: dict[str, Any]
    """What else the results depend on: device, torch (the version) and, on a CPU, the threads per
    fold; see `originet.evaluation.compute.Compute.identity`."""
    seconds: float
    """Time spent in the folds, including interrupted runs."""
    by_dataset: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Scores of each data set of a composite: `by_dataset.dataset_scores`."""
    estimated_apexes: int | None = None
    """How many clips have no annotated apex, so it was estimated; None if the images do not depend
    on it, or nobody knows."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the rows of `y_pred`."""
        return self.config.seeds

    @property
    def network(self) -> str:
        """The network's name: that of the settings, or its class if Python code made it."""
        named = self.config.network
        return str(self.model["class"]) if named == OWN else named

    @property
    def majority_accuracy(self) -> float:
        """Share of the most common class, 0..1."""
        return self.baseline["pooled_accuracy"]

    @property
    def per_class(self) -> dict[str, dict[str, int | float | None]]:
        """Precision, recall, F1 and support over all seeds: `metrics.per_class`."""
        return metrics.per_class(self.confusion, self.classes)

    @property
    def semi_synthetic(self) -> bool:
        """Whether any of the clips are semi-synthetic."""
        return is_semi_synthetic(self.dataset)

    def to_frame(self) -> pd.DataFrame:
        """Returns the predictions as a table, one row a seed and clip.

        The columns are those of predictions.csv: seed, subject, clip, label, predicted, the
        probability of every class under its name, protocol.
        """
        columns, rows = predictions(self.classes, self.config.protocol_label, self.folds)
        return pd.DataFrame(rows, columns=columns)

    def to_json(self) -> dict[str, Any]:
        """Returns everything as JSON types."""
        return {
            "dataset": self.dataset,
            "semi_synthetic": self.semi_synthetic,
            "protocol": self.config.protocol,
            "leaky": self.config.leaky,
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
            **(
                {} if self.estimated_apexes is None else {"estimated_apexes": self.estimated_apexes}
            ),
        }


ClipImages = Mapping[tuple[str, str], NDArray[Any]]
"""The active image [S, S], or channels [S, S, C], of each clip, by (subject, clip) as in the
folds."""


def read_results(directory: str | Path) -> LosoResult:
    """Reads the results of a finished run.

    Args:
        directory: The run's directory.

    Returns:
        The result, equal to the one that `originet.evaluation.loso.run_loso` returned.

    Raises:
        InputError: If there is no finished run, or results.json is damaged or another kind of
            file.
    """
    directory = Path(directory)
    path = directory / "results.json"
    if not path.is_file():
        identity = directory / "config.json"
        # The config.json of a study or a reproduction names no network.
        if identity.is_file() and "model" in read_json(identity, dict[str, Any]):
            raise InputError(f"{directory} is unfinished: run the same command again")
        raise InputError(f"{directory} has no results.json by `originet loso`")
    values = read_json(path, Results)
    try:
        config = Config.from_dict(values["config"])
    except InputError as error:
        raise InputError(f"{path} has invalid settings: {error}") from error
    fault = evaluation_fault(values, len(config.seeds))
    if fault := fault or folds_fault(values, config.seeds, config.epochs):
        raise InputError(f"{path} is damaged: {fault}")
    return _from_json(values, config)


def clip_images(result: LosoResult, clips: SortedClips) -> ClipImages:
    """Returns the image of each clip of a run, after checking that the run used these images.

    Args:
        result: The run's result.
        clips: The clips, with images by the method of the run's settings.

    Returns:
        The images by clip.

    Raises:
        InputError: If the clips or the images are not the run's, or the folds name other clips.
    """
    method = result.config.method
    if clips.clip_list_sha256 != result.clip_list_sha256:
        raise InputError(
            f"got {counted(len(clips.table), 'clip')}, not the {len(result.clips)} of the run: "
            f"the list has SHA-256 {clips.clip_list_sha256}, the run's {result.clip_list_sha256}"
        )
    if clips.images_sha256[method] != result.images_sha256:
        raise InputError(
            "the images are not those of the run: they have SHA-256 "
            f"{clips.images_sha256[method]}, the run's {result.images_sha256}"
        )
    named = zip(clips.subjects.tolist(), clips.names.tolist(), strict=True)
    found = dict(zip(named, clips.images[method], strict=True))
    for fold in result.folds:
        for subject, clip in zip(subjects_of(fold), fold["clips"], strict=True):
            if (subject, clip) not in found:
                raise InputError(
                    f"the run's folds name {subject}/{clip}, which is not among its clips"
                )
    return found


def check_clips(path: Path, results: Mapping[str, LosoResult], like: LosoResult) -> None:
    """Checks that the rows of a table are results on the same clips.

    Args:
        path: The file that lists the rows, for messages.
        results: The rows' results.
        like: One of them.

    Raises:
        InputError: If their clips or classes differ.
    """
    for name, result in results.items():
        same = result.clip_list_sha256 == like.clip_list_sha256
        if not same or (result.clips, result.classes) != (like.clips, like.classes):
            raise InputError(f"{path} is damaged: row {name} has other clips than another row")


def _from_json(values: Results, config: Config) -> LosoResult:
    """Reverses `LosoResult.to_json`."""
    return LosoResult(
        dataset=values["dataset"],
        classes=tuple(values["classes"]),
        config=config,
        model=dict(values["model"]),
        clips=values["clips"],
        y_true=np.array(values["y_true"], dtype=np.int64),
        y_pred=np.array(values["y_pred"], dtype=np.int64),
        folds=cast(list[dict[str, Any]], values["folds"]),
        metrics=cast(dict[str, float], values["metrics"]),
        intervals=cast(dict[str, tuple[float, float]], values["intervals"]),
        baseline=cast(dict[str, float], values["majority_baseline"]),
        confusion=np.array(values["confusion"], dtype=np.int64),
        clip_list_sha256=values["clip_list_sha256"],
        images_sha256=values["images_sha256"],
        compute=dict(values["compute"]),
        seconds=values["seconds"],
        by_dataset=cast(dict[str, dict[str, Any]], values["by_dataset"])
        if "by_dataset" in values
        else _by_dataset(values, config.seeds),
        estimated_apexes=values.get("estimated_apexes"),
    )


class InFolds(NamedTuple):
    """What was predicted, in the order of the folds."""

    people: NDArray[np.str_]
    """Of each clip [N], its subject; of a composite `<data set>/<subject>`, as a name in two data
    sets is two people."""
    y_true: NDArray[np.int64]
    """Class indices [N]."""
    y_pred: NDArray[np.int64]
    """Class indices predicted with S seeds [S, N]."""


def in_folds(folds: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> InFolds:
    """Puts the predictions of a run's folds together."""
    by_seed = [[fold for fold in folds if fold["seed"] == seed] for seed in seeds]
    return InFolds(
        np.array([person for fold in by_seed[0] for person in subjects_of(fold)]),
        np.array([label for fold in by_seed[0] for label in fold["true"]]),
        np.array([[each for fold in of for each in fold["predicted"]] for of in by_seed]),
    )


def _by_dataset(values: Results, seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Scores the data sets of a composite from its folds, for results of earlier versions."""
    if "+" not in values["dataset"]:
        return {}
    people, y_true, y_pred = in_folds(values["folds"], seeds)
    datasets = np.array([person.partition("/")[0] for person in people])
    return dataset_scores(y_true, y_pred, people, datasets, values["classes"])
