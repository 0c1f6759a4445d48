"""Scores against scikit-learn and against cases worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from originet import metrics
from originet.errors import InputError


def test_scores_by_hand() -> None:
    true = [0, 0, 0, 1, 1, 2]
    predicted = [0, 0, 1, 1, 0, 2]
    assert metrics.accuracy(true, predicted) == pytest.approx(4 / 6)
    # F1: class 0 is 4/6, class 1 is 2/4, class 2 is 1.
    assert metrics.uf1(true, predicted) == pytest.approx((4 / 6 + 1 / 2 + 1) / 3)
    assert metrics.uar(true, predicted) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    expected = [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(metrics.confusion_matrix(true, predicted, 3), expected)
    assert metrics.majority_accuracy(true) == pytest.approx(1 / 2)


def test_absent_class_is_left_out_of_the_mean_but_counts_as_a_miss() -> None:
    true = [0, 0, 2, 2]
    predicted = [0, 1, 2, 2]  # no clip is of class 1
    # F1: class 0 is 2/3, class 2 is 1; recall 1/2 and 1.
    assert metrics.uf1(true, predicted) == pytest.approx((2 / 3 + 1) / 2)
    assert metrics.uar(true, predicted) == pytest.approx(3 / 4)


def test_class_never_predicted_scores_zero() -> None:
    assert metrics.uf1([0, 1], [0, 0]) == pytest.approx((2 / 3 + 0) / 2)
    assert metrics.uar([0, 1], [0, 0]) == pytest.approx(1 / 2)


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    true[true == seed] = (seed + 1) % 5  # one class absent
    present = np.unique(true)
    assert metrics.accuracy(true, predicted) == pytest.approx(
        sklearn_metrics.accuracy_score(true, predicted)
    )
    assert metrics.uf1(true, predicted) == pytest.approx(
        sklearn_metrics.f1_score(true, predicted, labels=present, average="macro")
    )
    assert metrics.uar(true, predicted) == pytest.approx(
        sklearn_metrics.recall_score(true, predicted, labels=present, average="macro")
    )
    np.testing.assert_array_equal(
        metrics.confusion_matrix(true, predicted, 5),
        sklearn_metrics.confusion_matrix(true, predicted, labels=range(5)),
    )


def test_fold_accuracy_weighs_subjects_equally() -> None:
    true = [0, 1, 0, 1, 0]
    predicted = [0, 1, 0, 0, 1]
    groups = ["b", "a", "b", "b", "a"]  # rows of one subject need not be neighbours
    assert metrics.fold_accuracy(true, predicted, groups) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics.accuracy(true, predicted) == pytest.approx(3 / 5)


@pytest.mark.parametrize(("true", "predicted"), [([], []), ([0, 1], [0]), ([[0], [1]], [[0], [1]])])
def test_bad_vectors_are_refused(true: list, predicted: list) -> None:
    for score in (metrics.accuracy, metrics.uf1, metrics.uar):
        with pytest.raises(InputError, match="vectors of one length"):
            score(true, predicted)


def test_bad_indices_and_groups_are_refused() -> None:
    with pytest.raises(InputError, match=r"class indices must be in 0\.\.1, got 0\.\.2"):
        metrics.confusion_matrix([0, 2], [0, 1], 2)
    with pytest.raises(InputError, match="class indices must be"):
        metrics.confusion_matrix([0, 1], [0, -1], 2)
    with pytest.raises(InputError, match="groups must have shape"):
        metrics.fold_accuracy([0, 1], [0, 1], ["a"])
