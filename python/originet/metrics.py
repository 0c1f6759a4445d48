"""Scores of out-of-fold predictions; plain functions of numpy arrays.

Labels are class indices. The unweighted scores average over the classes *present in y_true*, as
the Micro-Expression Grand Challenge does: a class without a clip has no recall, and averaging in
a zero for it would punish every method alike. A prediction into such a class still counts as a
miss of the true one.

Reference: See et al., "MEGC 2019 - The Second Facial Micro-Expressions Grand Challenge", FG 2019,
for UF1 and UAR, both computed on the predictions of all folds together.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from originet.errors import InputError


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of right predictions.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If the arrays are empty or differ in length.
    """
    true, predicted = _pair(y_true, y_pred)
    return float(np.mean(true == predicted))


def uf1(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Unweighted F1: mean over the classes present in y_true of 2 TP / (2 TP + FP + FN).

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If the arrays are empty or differ in length.
    """
    matrix, present = _present(y_true, y_pred)
    # TP + FN is the row sum and TP + FP the column sum, so the denominator is their sum.
    scores = 2 * np.diag(matrix) / np.maximum(matrix.sum(axis=0) + matrix.sum(axis=1), 1)
    return float(np.mean(scores[present]))


def uar(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Unweighted average recall: mean over the classes present in y_true of TP / (TP + FN).

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If the arrays are empty or differ in length.
    """
    matrix, present = _present(y_true, y_pred)
    recall = np.diag(matrix)[present] / matrix.sum(axis=1)[present]
    return float(np.mean(recall))


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Counts the pairs of true and predicted class.

    Args:
        y_true: Class indices [N] below `num_classes`.
        y_pred: Predicted class indices [N] below `num_classes`.
        num_classes: Number of classes C.

    Returns:
        Counts [C, C] int64; rows are true classes, columns predicted ones.

    Raises:
        InputError: If the arrays are empty, differ in length or hold an index outside the classes.
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
    """Mean over the folds of the accuracy within a fold: every subject weighs the same.

    Args:
        y_true: Class indices [N].
        y_pred: Predicted class indices [N].
        groups: The fold (subject) of each clip [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If the arrays are empty or differ in length.
    """
    true, predicted = _pair(y_true, y_pred)
    folds = np.asarray(groups)
    if folds.shape != true.shape:
        raise InputError(f"groups must have shape {true.shape}, got {folds.shape}")
    right = true == predicted
    return float(np.mean([right[folds == fold].mean() for fold in np.unique(folds)]))


def majority_accuracy(y_true: ArrayLike) -> float:
    """Accuracy of always answering the commonest class: the baseline of every accuracy.

    Args:
        y_true: Class indices [N].

    Returns:
        A number in 0..1.

    Raises:
        InputError: If `y_true` is empty.
    """
    true, _ = _pair(y_true, y_true)
    return float(np.unique(true, return_counts=True)[1].max() / len(true))


def _pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both arrays as checked int64 vectors."""
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.ndim != 1 or true.shape != predicted.shape or len(true) == 0:
        raise InputError(
            "y_true and y_pred must be vectors of one length, at least 1, "
            f"got {true.shape} and {predicted.shape}"
        )
    return true.astype(np.int64), predicted.astype(np.int64)


def _present(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The confusion matrix over the classes that occur, and the classes present in y_true."""
    true, predicted = _pair(y_true, y_pred)
    return confusion_matrix(true, predicted, int(max(true.max(), predicted.max())) + 1), np.unique(
        true
    )
