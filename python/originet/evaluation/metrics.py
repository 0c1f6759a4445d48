"""Scores of out-of-fold predictions; plain functions of numpy arrays.

Labels are class indices. The unweighted scores average over the classes *present in y_true*, as the
Micro-Expression Grand Challenge does: a class without clips has no recall, and a zero for it would
penalize all methods alike. A prediction of such a class still counts as a miss of the true one. A
class that is never predicted scores 0; a class in neither array has no effect.

Every evaluation reports four scores, always under these names: `pooled_accuracy`, `fold_accuracy`,
`uf1` and `uar`.

References:
    See et al., "MEGC 2019 - The Second Facial Micro-Expressions Grand Challenge", FG 2019, for UF1
    and UAR, both computed on the predictions of all folds together.
    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, for the reliability diagram
    and the expected calibration error.
    Field and Welsh, "Bootstrapping clustered data", J. R. Stat. Soc. B 69 (2007), for resampling
    whole subjects.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from originet.system.errors import InputError

LEVEL = 0.95
"""Nominal coverage of the confidence intervals."""
RESAMPLES = 10_000
"""Number of bootstrap resamples."""
BINS = 10
"""Number of bins in a reliability diagram."""
BOOTSTRAP = {
    "resampled": "subjects",
    "method": "percentile",
    "resamples": RESAMPLES,
    "level": LEVEL,
}
"""How `bootstrap_intervals` computes its intervals; saved along with them."""


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Computes the share of correct predictions.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If the arrays are empty, differ in length or hold anything but integers.
    """
    true, predicted = _pair(y_true, y_pred)
    return float(np.mean(true == predicted))


def uf1(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Computes the unweighted F1: the mean of 2 TP / (2 TP + FP + FN) over classes in y_true.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If the arrays are empty, differ in length or hold anything but integers.
    """
    return float(pooled_scores(_tally(_confusion(y_true, y_pred)))["uf1"])


def uar(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Computes the unweighted average recall: the mean of TP / (TP + FN) over classes in y_true.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If the arrays are empty, differ in length or hold anything but integers.
    """
    return float(pooled_scores(_tally(_confusion(y_true, y_pred)))["uar"])


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Counts the pairs of true and predicted class.

    Args:
        y_true: Class indices [N] below `num_classes`.
        y_pred: Predicted class indices [N] below `num_classes`.
        num_classes: Number of classes C.

    Returns:
        Counts [C, C] int64; rows are true classes, columns predicted ones.

    Raises:
        InputError: If the arrays are empty, differ in length or hold anything but integers in
            0..C-1.
    """
    true, predicted = _pair(y_true, y_pred)
    both = np.concatenate([true, predicted])
    if both.min() < 0 or both.max() >= num_classes:
        raise InputError(
            f"class indices must be in 0..{num_classes - 1}, got {both.min()}..{both.max()}"
        )
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (true, predicted), 1)
    return matrix


def fold_accuracy(y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike) -> float:
    """Computes the mean of the folds' accuracies; every subject has the same weight.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].
        groups: The fold (subject) of each clip [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If the arrays are empty, differ in length or hold anything but integers.
    """
    true, predicted = _pair(y_true, y_pred)
    folds = _groups(groups, true)
    right = true == predicted
    return float(np.mean([right[folds == fold].mean() for fold in np.unique(folds)]))


def four_scores(y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike) -> dict[str, float]:
    """Computes the four scores of one seed's predictions.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].
        groups: The fold (subject) of each clip [N].

    Returns:
        pooled_accuracy, fold_accuracy, uf1 and uar, each in 0..1.

    Raises:
        InputError: As the four functions.
    """
    return {
        "pooled_accuracy": accuracy(y_true, y_pred),
        "fold_accuracy": fold_accuracy(y_true, y_pred, groups),
        "uf1": uf1(y_true, y_pred),
        "uar": uar(y_true, y_pred),
    }


def scores_over_seeds(y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike) -> dict[str, float]:
    """Computes the mean and standard deviation of the four scores over the seeds.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices of S seeds [S, N].
        groups: The fold (subject) of each clip [N].

    Returns:
        The mean of each score and, under its name with the suffix _std, the population standard
        deviation (0 for one seed); all in 0..1.

    Raises:
        InputError: If there is no seed, or as `four_scores`.
    """
    each = [four_scores(y_true, predicted, groups) for predicted in _seeds(y_pred)]
    values = {name: [scores[name] for scores in each] for name in each[0]}
    means = {name: float(np.mean(of_seeds)) for name, of_seeds in values.items()}
    return means | {f"{name}_std": float(np.std(of_seeds)) for name, of_seeds in values.items()}


def majority_baseline(y_true: ArrayLike, groups: ArrayLike) -> dict[str, float]:
    """Computes the four scores of always predicting the most common class.

    Classes are counted over all clips, including the test subject's, which a network never sees. On
    a tie the lowest index is used.

    Args:
        y_true: Class indices [N].
        groups: The fold (subject) of each clip [N].

    Returns:
        As `four_scores`.

    Raises:
        InputError: As `four_scores`.
    """
    true, _ = _pair(y_true, y_true)
    classes, counts = np.unique(true, return_counts=True)
    return four_scores(true, np.full_like(true, classes[counts.argmax()]), groups)


def per_class(
    confusion: ArrayLike, classes: Sequence[str]
) -> dict[str, dict[str, int | float | None]]:
    """Computes precision, recall, F1 and support of each class.

    Args:
        confusion: Counts [C, C], rows are true classes, see `confusion_matrix`.
        classes: Class names [C].

    Returns:
        By class name: precision TP / (TP + FP), recall TP / (TP + FN) and f1
        2 TP / (2 TP + FP + FN) in 0..1, and support, the number of predictions for clips of that
        class. None means 0 / 0: the precision of a class that is never predicted, the recall of a
        class without clips, the F1 of a class with neither.

    Raises:
        InputError: If `confusion` is not [C, C].
    """
    matrix = np.asarray(confusion)
    if matrix.shape != (len(classes), len(classes)):
        raise InputError(
            f"confusion must be [{len(classes)}, {len(classes)}], got {list(matrix.shape)}"
        )
    rows: dict[str, dict[str, int | float | None]] = {}
    for name, (hits, true, predicted) in zip(classes, _tally(matrix).T.tolist(), strict=True):
        rows[name] = {
            "precision": hits / predicted if predicted else None,
            "recall": hits / true if true else None,
            "f1": 2 * hits / (true + predicted) if true + predicted else None,
            "support": true,
        }
    return rows


class Calibration(NamedTuple):
    """How often predictions were right beside how probable the network called them.

    Attributes:
        edges: Of the bins [B + 1], from 0 to 1; a bin holds its upper edge, the first both.
        counts: Predictions in each bin [B] int64.
        right: How many of them were right [B] int64.
        confidence: Mean probability of the predicted class in each bin [B]; NaN in an empty one.
        error: Expected calibration error: the mean over the predictions of the distance, in their
            bin, between confidence and share of right ones; 0..1.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    right: NDArray[np.int64]
    confidence: NDArray[np.float64]
    error: float

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of right predictions in each bin [B]; NaN in an empty one."""
        return np.where(self.counts, self.right, np.nan) / np.maximum(self.counts, 1)


def calibration(confidences: ArrayLike, right: ArrayLike, bins: int = BINS) -> Calibration:
    """Sorts predictions by confidence into bins of equal width, and counts the right ones.

    Args:
        confidences: Probability of the predicted class [N], each in 0..1.
        right: Whether each prediction was right [N] bool.
        bins: Number of bins B.

    Returns:
        The counts and the expected calibration error.

    Raises:
        InputError: If there is no prediction or no bin, the arrays differ in length, or a
            confidence is outside 0..1.

    Reference: Guo et al., "On Calibration of Modern Neural Networks", Eqs. (2)-(3). The bins are
    those of scikit-learn's `calibration_curve` with strategy "uniform".
    """
    sure, hit = np.asarray(confidences, np.float64), np.asarray(right)
    if sure.ndim != 1 or sure.shape != hit.shape or len(sure) == 0 or hit.dtype != bool:
        raise InputError(
            "confidences and right must be vectors of one length, at least 1, and right bool, "
            f"got {list(sure.shape)} and {list(hit.shape)} {hit.dtype}"
        )
    if bins < 1 or not ((sure >= 0) & (sure <= 1)).all():
        raise InputError(
            f"bins must be at least 1 and confidences in 0..1, got {bins} and "
            f"{sure.min():g}..{sure.max():g}"
        )
    edges = np.linspace(0, 1, bins + 1)
    of = np.searchsorted(edges[1:-1], sure)
    counts = np.bincount(of, minlength=bins)
    sums = np.bincount(of, weights=sure, minlength=bins)
    hits = np.bincount(of[hit], minlength=bins)
    confidence = np.where(counts, sums, np.nan) / np.maximum(counts, 1)
    return Calibration(
        edges, counts, hits, confidence, float(np.abs(hits - sums).sum() / len(sure))
    )


def bootstrap_intervals(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    groups: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Computes confidence intervals of the four scores by a percentile bootstrap over subjects.

    Each resample draws as many subjects as there are, with replacement. A subject is drawn with all
    its clips and all seeds' predictions, because clips of one person are not independent. The
    scores of a resample are computed like those of the data: means over the seeds, without classes
    that none of the drawn subjects shows. The interval spans the middle `level` of these scores. It
    shows how much a score depends on the choice of subjects. It does not account for retraining the
    networks, and with few subjects (below about 20) it is too narrow.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices of S seeds [S, N].
        groups: The subject of each clip [N]; the order of the clips does not matter.
        resamples: Number of resamples B.
        level: Nominal coverage, between 0 and 1.
        seed: Seed of the draws; the same arguments give the same intervals.

    Returns:
        (lower, upper) for each score, by its name, in 0..1.

    Raises:
        InputError: If there are fewer than 2 subjects, `resamples` or `level` is out of range, or
            as `scores_over_seeds`.
    """
    if resamples < 1 or not 0 < level < 1:
        raise InputError(
            f"resamples must be at least 1 and level in 0..1, got {resamples} and {level}"
        )
    tallies = subject_tallies(y_true, y_pred, groups)
    accuracies = pooled_scores(tallies)["pooled_accuracy"].mean(axis=1)  # [G]
    times = drawn_subjects(len(tallies), resamples, seed)
    drawn = pooled_scores(np.tensordot(times, tallies, 1))  # [B, S] by name
    values = {name: scores.mean(axis=1) for name, scores in drawn.items()}
    values["fold_accuracy"] = mean_over_subjects(times, accuracies)
    ends = ((1 - level) / 2, (1 + level) / 2)
    return {
        name: (float(low), float(high))
        for name, (low, high) in ((n, np.quantile(v, ends)) for n, v in values.items())
    }


def subject_tallies(y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Counts what all scores follow from, for each subject by itself.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices of S seeds [S, N].
        groups: The subject of each clip [N].

    Returns:
        TP, TP + FN and TP + FP of each class, [G, S, 3, C], which add up over subjects. Subjects
        are sorted.

    Raises:
        InputError: If there are fewer than 2 subjects, or as `scores_over_seeds`.
    """
    seeds = [_pair(y_true, predicted) for predicted in _seeds(y_pred)]
    folds = _groups(groups, seeds[0][0])
    subjects = np.unique(folds)
    if len(subjects) < 2:
        raise InputError(
            f"a bootstrap over subjects needs at least 2 subjects, got {len(subjects)}"
        )
    count = 1 + max(int(max(true.max(), predicted.max())) for true, predicted in seeds)
    # Integers, so BLAS adds them exactly in any order.
    return np.array(
        [
            [_tally(confusion_matrix(t[folds == one], p[folds == one], count)) for t, p in seeds]
            for one in subjects
        ],
        dtype=np.float64,
    )


def drawn_subjects(subjects: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Draws resamples of G subjects with replacement: how often each has each, [B, G]."""
    shares = np.full(subjects, 1 / subjects)
    times = np.random.default_rng(seed).multinomial(subjects, shares, resamples)
    return times.astype(np.float64)


def mean_over_subjects(
    times: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Averages values of subjects [G] over each resample of `drawn_subjects`, [B]."""
    # einsum instead of BLAS, whose rounding depends on the number of threads.
    return np.asarray(np.einsum("bg,g->b", times, values) / len(values))


def pooled_scores(tallies: NDArray[np.int64 | np.float64]) -> dict[str, NDArray[np.float64]]:
    """Computes the scores of pooled predictions.

    Args:
        tallies: Sums of those of `subject_tallies`, [..., 3, C].

    Returns:
        pooled_accuracy, uf1 and uar, each [...].
    """
    hits, true, predicted = np.moveaxis(tallies, -2, 0)
    f1 = 2 * hits / np.maximum(true + predicted, 1)
    recall = hits / np.maximum(true, 1)
    present = np.count_nonzero(true, axis=-1)  # absent classes have no hits and add 0 to the sums
    return {
        "pooled_accuracy": hits.sum(axis=-1) / true.sum(axis=-1),
        "uf1": f1.sum(axis=-1) / present,
        "uar": recall.sum(axis=-1) / present,
    }


def _pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns both arrays as checked int64 vectors."""
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.ndim != 1 or true.shape != predicted.shape or len(true) == 0:
        raise InputError(
            "y_true and y_pred must be vectors of the same length, at least 1, "
            f"got {list(true.shape)} and {list(predicted.shape)}"
        )
    if true.dtype.kind not in "iu" or predicted.dtype.kind not in "iu":
        raise InputError(
            f"y_true and y_pred must hold integers, got {true.dtype} and {predicted.dtype}"
        )
    return true.astype(np.int64), predicted.astype(np.int64)


def _groups(groups: ArrayLike, true: NDArray[np.int64]) -> NDArray[np.generic]:
    """Returns the groups as an array, one per clip."""
    folds = np.asarray(groups)
    if folds.shape != true.shape:
        raise InputError(f"groups must have shape {list(true.shape)}, got {list(folds.shape)}")
    return folds


def _seeds(y_pred: ArrayLike) -> NDArray[np.generic]:
    """Returns the predictions as a matrix with at least one row."""
    predicted = np.asarray(y_pred)
    if predicted.ndim != 2 or len(predicted) == 0:
        raise InputError(
            f"y_pred must be [seeds, clips] with at least 1 seed, got {list(predicted.shape)}"
        )
    return predicted


def _confusion(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.int64]:
    """Computes the confusion matrix over the classes up to the highest index."""
    true, predicted = _pair(y_true, y_pred)
    return confusion_matrix(true, predicted, int(max(true.max(), predicted.max())) + 1)


def _tally(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Computes TP, TP + FN and TP + FP of each class, [3, C], from counts [C, C]."""
    return np.stack([np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)])
