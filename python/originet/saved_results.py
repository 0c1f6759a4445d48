"""Results that are read again: results.json, and the images of the clips that it tells of."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from originet import metrics
from originet.by_dataset import dataset_scores
from originet.config import Config
from originet.datasets import ClipTable
from originet.errors import InputError
from originet.json_files import read_json
from originet.result import LosoResult
from originet.splits import sort_clips
from originet.words import counted

ClipImages = Mapping[tuple[str, str], NDArray[np.uint8]]
"""The active image [S, S] of each clip by (subject, clip), as the folds name them."""

# What those who read the folds need of them; more may be there.
_FOLD = (
    *("seed", "index", "subject", "clips", "true", "predicted", "probabilities", "accuracy"),
    *("history", "selected_epoch", "device", "seconds"),
)


def read_results(directory: str | Path) -> LosoResult:
    """Reads the results of a finished run.

    Args:
        directory: The run's directory.

    Returns:
        The result, equal to the one that `originet.loso.run_loso` returned.

    Raises:
        InputError: If there is no finished run, or results.json is damaged or no such file.
    """
    directory = Path(directory)
    path = directory / "results.json"
    if not path.is_file():
        config = directory / "config.json"
        # That of a study, or of a reproduction, names no network.
        if config.is_file() and "model" in read_json(config, dict[str, Any]):
            raise InputError(f"{directory} is not finished: run the same command again")
        raise InputError(f"{directory} holds no results.json of `originet loso`")
    values = read_json(path, dict[str, Any])
    try:
        result = _from_json(values)
        told = _contradiction(result)
    except KeyError as error:
        raise InputError(f"{path} is no result of `originet loso`: it lacks {error}") from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:  # InputError among them
        raise InputError(f"{path} is no result of `originet loso`: {error}") from error
    if told:
        raise InputError(f"{path} is damaged: {told}")
    return result


def clip_images(result: LosoResult, table: ClipTable, images: NDArray[np.uint8]) -> ClipImages:
    """Gives each clip of a run its image, if they are the images that the run was made with.

    Args:
        result: The run's result.
        table: The clips [N].
        images: Their active images in the table's order, [N, S, S] uint8.

    Returns:
        The images by clip.

    Raises:
        InputError: If the clips or the images are not the run's, or do not fit each other.
    """
    clips = sort_clips(table, images, result.config.image_size)
    if clips.clip_list_sha256 != result.clip_list_sha256:
        raise InputError(
            f"got {counted(len(table), 'clip')}, not the {len(result.clips)} of the run: "
            f"SHA-256 of the list {clips.clip_list_sha256} here, {result.clip_list_sha256} there"
        )
    if clips.images_sha256 != result.images_sha256:
        raise InputError(
            f"the images are not those of the run: SHA-256 {clips.images_sha256} here, "
            f"{result.images_sha256} there"
        )
    named = zip(clips.subjects.tolist(), clips.names.tolist(), strict=True)
    return dict(zip(named, clips.images, strict=True))


def _from_json(values: dict[str, Any]) -> LosoResult:
    """Reverses `LosoResult.to_json`."""
    for fold, key in itertools.product(values["folds"], _FOLD):
        if key not in fold:
            raise KeyError(key)
    intervals = {k: v for k, v in values["intervals"].items() if k not in metrics.BOOTSTRAP}
    return LosoResult(
        dataset=values["dataset"],
        classes=tuple(values["classes"]),
        config=Config.from_dict(values["config"]),
        model=values["model"],
        clips=[(subject, clip) for subject, clip in values["clips"]],
        y_true=np.array(values["y_true"], dtype=np.int64),
        y_pred=np.array(values["y_pred"], dtype=np.int64),
        folds=values["folds"],
        metrics=values["metrics"],
        intervals={name: (low, high) for name, (low, high) in intervals.items()},
        baseline=values["majority_baseline"],
        confusion=np.array(values["confusion"], dtype=np.int64),
        clip_list_sha256=values["clip_list_sha256"],
        images_sha256=values["images_sha256"],
        compute=values["compute"],
        seconds=values["seconds"],
        by_dataset=values["by_dataset"] if "by_dataset" in values else _by_dataset(values),
    )


def _by_dataset(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Scores the data sets of a composite from its folds, for results of earlier versions."""
    if "+" not in values["dataset"]:
        return {}
    seeds = values["config"]["seeds"]
    folds = {seed: [fold for fold in values["folds"] if fold["seed"] == seed] for seed in seeds}
    first = folds[seeds[0]]
    subjects = np.array([fold["subject"] for fold in first for _ in fold["true"]])
    return dataset_scores(
        np.array([label for fold in first for label in fold["true"]]),
        np.array([[each for fold in of for each in fold["predicted"]] for of in folds.values()]),
        subjects,
        np.array([subject.partition("/")[0] for subject in subjects]),
        values["classes"],
    )


def _contradiction(result: LosoResult) -> str | None:
    """Says where the parts of a result do not fit each other, if anywhere."""
    seeds, clips = len(result.seeds), len(result.clips)
    if result.y_true.shape != (clips,) or result.y_pred.shape != (seeds, clips):
        shapes = f"{list(result.y_true.shape)} and {list(result.y_pred.shape)}"
        return f"y_true and y_pred must be [{clips}] and [{seeds}, {clips}], got {shapes}"
    confusion = metrics.confusion_matrix(
        np.tile(result.y_true, seeds), result.y_pred.ravel(), len(result.classes)
    )
    if not np.array_equal(confusion, result.confusion):
        return "the confusion matrix is not that of the predictions"
    parts = [part["clips"] for part in result.by_dataset.values()]
    if parts and sum(parts) != clips:
        return f"its data sets have {sum(parts)} clips together, and it has {clips}"
    of_folds = np.zeros_like(result.confusion)
    for fold in result.folds:
        np.add.at(of_folds, (np.array(fold["true"]), np.array(fold["predicted"])), 1)
    if not np.array_equal(of_folds, result.confusion):
        return "the folds' predictions are not the pooled ones"
    return None
