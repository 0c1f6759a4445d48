"""The content of results' JSON files, as types for `originet.system.json_files.read_json`.

People exchange results, so the files are not trusted. Code that reads them relies on the ranges of
these types, and on the functions below for what types cannot express. Fields that earlier versions
did not write are in classes with `total=False`, since Python 3.10 has no `NotRequired`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict, cast

from msgspec import Meta

from originet.system.limits import LONGEST_NAME

# Lone surrogates, which stand for undecodable bytes in Python, cannot be written again.
_TEXT = r"^[^\ud800-\udfff]*$"
Name = Annotated[str, Meta(max_length=LONGEST_NAME, pattern=_TEXT)]
Reason = Annotated[str, Meta(max_length=10_000, pattern=_TEXT)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0, le=10**12)]
Index = Annotated[int, Meta(ge=0, le=10**6)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=10**12)]
Loss = Annotated[float, Meta(ge=0, le=3.4028234663852886e38)]  # float32, as it is computed
Interval = tuple[Share, Share]
Arithmetic = dict[Name, Name | Count | None]
Settings = dict[Name, Name | bool | int | float | list[int] | None]  # `Config` has their ranges

_Network = TypedDict(
    "_Network", {"class": Name, "parameters": Count, "architecture_sha256": Sha256}
)


class Network(_Network, total=False):
    """A network; what is known of code and weights that are not the package's."""

    source_sha256: Sha256
    weights: Name
    weights_sha256: Sha256


class Epoch(TypedDict):
    """An epoch of a fold's history, see `originet.training.train.History.epochs`."""

    epoch: Index
    loss: Loss
    accuracy: Share
    validation_loss: Loss | None
    validation_accuracy: Share | None


class _Fold(TypedDict):
    seed: Seed
    index: Index
    subject: Name
    clips: list[Name]
    true: list[Index]
    predicted: list[Index]
    probabilities: list[list[Share]]
    accuracy: Share
    history: list[Epoch]
    selected_epoch: Index
    device: Name
    seconds: Seconds


class Fold(_Fold, total=False):
    """A fold, see `originet.evaluation.result.LosoResult.folds`."""

    subjects: list[Name]
    protocol: Name
    leaky: bool
    training_counts: dict[Name, Count]
    validation_counts: dict[Name, Count]
    shared_clips: Count
    weights_sha256: Sha256 | None


class Scores(TypedDict):
    """The scores of `originet.evaluation.metrics.four_scores`."""

    pooled_accuracy: Share
    fold_accuracy: Share
    uf1: Share
    uar: Share


class ScoresOverSeeds(Scores):
    """The scores of `originet.evaluation.metrics.scores_over_seeds`."""

    pooled_accuracy_std: Share
    fold_accuracy_std: Share
    uf1_std: Share
    uar_std: Share


class Intervals(TypedDict):
    """The intervals of `originet.evaluation.metrics.bootstrap_intervals`."""

    pooled_accuracy: Interval
    fold_accuracy: Interval
    uf1: Interval
    uar: Interval


class Part(TypedDict):
    """The scores of a data set of a composite: `by_dataset.dataset_scores`."""

    clips: Count
    subjects: Count
    classes: list[Name]
    metrics: ScoresOverSeeds
    majority_accuracy: Share


class _Evaluation(TypedDict):
    dataset: Name
    classes: list[Name]
    config: Settings
    clips: list[tuple[Name, Name]]
    y_true: list[Index]
    y_pred: list[list[Index]]
    metrics: ScoresOverSeeds
    intervals: Intervals
    confusion: list[list[Count]]
    clip_list_sha256: Sha256
    images_sha256: Sha256
    seconds: Seconds


class Evaluation(_Evaluation, total=False):
    """The fields that all leave-one-subject-out results have, whatever was evaluated."""

    by_dataset: dict[Name, Part]


class _LaterResults(TypedDict, total=False):
    """Fields of a network's results where the images depend on the apex."""

    estimated_apexes: Count


class Results(Evaluation, _LaterResults):
    """The results of a network, see `originet.evaluation.result.LosoResult.to_json`."""

    model: Network
    compute: Arithmetic
    majority_baseline: Scores
    folds: list[Fold]


class StudyIdentity(TypedDict, total=False):
    """The fields read from a study's config.json, see `originet.evaluation.study.run_study`."""

    compute: Arithmetic


class _Device(TypedDict):
    device: Name


class _Arithmetic(_Device, total=False):
    threads: Count | None


class ReproductionIdentity(TypedDict):
    """The fields read from the config.json of `originet.paper.reproduce.run_reproduction`."""

    config: Settings
    compute: _Arithmetic
    quick: bool


def evaluation_fault(values: Evaluation, seeds: int) -> str | None:
    """Returns how the parts of an evaluation contradict each other.

    Args:
        values: The evaluation.
        seeds: Number of seeds in its settings.

    Returns:
        What is wrong; None if nothing is.
    """
    clips, classes = len(values["clips"]), len(values["classes"])
    if clips == 0 or classes == 0 or len(set(values["classes"])) < classes:
        return "it must have clips, and classes with different names"
    lengths = [len(values["y_true"]), *map(len, values["y_pred"])]
    if lengths != [clips] * (1 + seeds):
        found = ", ".join(map(str, lengths[1:]))
        must = f"y_true and y_pred must be [{clips}] and [{seeds}, {clips}]"
        return f"{must}, got rows of {lengths[0]} and {found}"
    if max(max(each) for each in (values["y_true"], *values["y_pred"])) >= classes:
        return f"y_true and y_pred must be class indices below {classes}"
    counts: dict[tuple[int, int], int] = {}
    for predicted in values["y_pred"]:
        for pair in zip(values["y_true"], predicted, strict=True):
            counts[pair] = counts.get(pair, 0) + 1
    confusion = values["confusion"]
    square = [len(row) for row in confusion] == [classes] * classes
    if not square or any(
        count != counts.get((true, predicted), 0)
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
    ):
        return "the confusion matrix is not that of the predictions"
    for name, (low, high) in cast(dict[str, Interval], values["intervals"]).items():
        if low > high:
            return f"the interval of {name} has its ends in the wrong order"
    parts = values.get("by_dataset", {})
    together = sum(part["clips"] for part in parts.values())
    if parts and together != clips:
        return f"its data sets have {together} clips in total, but it has {clips}"
    return None


def fold_fault(fold: Mapping[str, Any], classes: int, epochs: int) -> str | None:
    """Returns how the parts of a fold contradict each other.

    Args:
        fold: The fold, a `Fold`.
        classes: Number of classes.
        epochs: Number of epochs in the settings of its run.

    Returns:
        What is wrong; None if nothing is.
    """
    names = ["clips", "true", "predicted", "probabilities"]
    names += ["subjects"] if "subjects" in fold else []
    lengths = [len(fold[name]) for name in names]
    if lengths[0] == 0 or len(set(lengths)) > 1:
        return f"its {', '.join(names)} must have the same length, at least 1, got {lengths}"
    if max(*fold["true"], *fold["predicted"]) >= classes:
        return f"its true and predicted classes must be indices below {classes}"
    if any(len(shares) != classes for shares in fold["probabilities"]):
        return f"it must have {classes} probabilities for each clip"
    right = sum(t == p for t, p in zip(fold["true"], fold["predicted"], strict=True))
    if abs(right / lengths[0] - fold["accuracy"]) > 1e-9:
        return "its accuracy is not that of its predictions"
    if [record["epoch"] for record in fold["history"]] != list(range(1, epochs + 1)):
        return f"its history must have the {epochs} epochs of the settings, in order"
    if not 1 <= fold["selected_epoch"] <= epochs:
        return f"its selected_epoch must be in 1..{epochs}, got {fold['selected_epoch']}"
    return None


def folds_fault(values: Results, seeds: Sequence[int], epochs: int) -> str | None:
    """Returns how the folds of an evaluation contradict it or each other.

    Args:
        values: The evaluation, without other faults.
        seeds: The seeds in its settings.
        epochs: Number of epochs in its settings.

    Returns:
        What is wrong; None if nothing is.
    """
    folds, classes = values["folds"], len(values["classes"])
    count = len(folds) // len(seeds)
    order = [(seed, index) for seed in seeds for index in range(count)]
    if count < 2 or [(fold["seed"], fold["index"]) for fold in folds] != order:
        return "its folds must cover at least 2 subjects or data sets for each seed, in order"
    for number, fold in enumerate(folds):
        first = folds[number % count]
        if fault := fold_fault(fold, classes, epochs):
            return f"fold {number}: {fault}"
        if any(
            fold.get(name) != first.get(name) for name in ("subject", "subjects", "clips", "true")
        ):
            return f"fold {number} has another subject or other clips than the first seed's"
    if len({fold["subject"] for fold in folds}) != count:
        return "two folds of a seed have the same subject"
    clips = [clip for fold in folds[:count] for clip in fold["clips"]]
    if sorted(clips) != sorted(clip for _, clip in values["clips"]):
        return "the folds' clips are not those of the run"
    pooled = sorted(
        pair
        for predicted in values["y_pred"]
        for pair in zip(values["y_true"], predicted, strict=True)
    )
    if pooled != sorted(
        pair for fold in folds for pair in zip(fold["true"], fold["predicted"], strict=True)
    ):
        return "the folds' predictions are not the pooled ones"
    return None
