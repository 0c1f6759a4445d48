"""Scores against scikit-learn and against cases worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from originet.evaluation import metrics
from originet.system.errors import InputError


def test_scores_by_hand() -> None:
    true = [0, 0, 0, 1, 1, 2]
    predicted = [0, 0, 1, 1, 0, 2]
    assert metrics.accuracy(true, predicted) == pytest.approx(4 / 6)
    # F1: class 0 is 4/6, class 1 is 2/4, class 2 is 1.
    assert metrics.uf1(true, predicted) == pytest.approx((4 / 6 + 1 / 2 + 1) / 3)
    assert metrics.uar(true, predicted) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    expected = [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(metrics.confusion_matrix(true, predicted, 3), expected)


def test_absent_class_is_left_out_of_the_mean_but_counts_as_a_miss() -> None:
    true = [0, 0, 2, 2]
    predicted = [0, 1, 2, 2]  # no clip is of class 1
    # F1: class 0 is 2/3, class 2 is 1; recall 1/2 and 1.
    assert metrics.uf1(true, predicted) == pytest.approx((2 / 3 + 1) / 2)
    assert metrics.uar(true, predicted) == pytest.approx(3 / 4)


def test_class_never_predicted_scores_zero() -> None:
    assert metrics.uf1([0, 1], [0, 0]) == pytest.approx((2 / 3 + 0) / 2)
    assert metrics.uar([0, 1], [0, 0]) == pytest.approx(1 / 2)


def test_class_that_occurs_nowhere_changes_nothing() -> None:
    true, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    # F1 is 2/3 and 4/5, recall 1/2 and 1, whether the classes are 0 and 1 or 0 and 3.
    for last in (1, 3):
        renamed = true * last, predicted * last
        assert metrics.uf1(*renamed) == pytest.approx((2 / 3 + 4 / 5) / 2)
        assert metrics.uar(*renamed) == pytest.approx(3 / 4)


def test_per_class_by_hand_tells_what_is_undefined() -> None:
    # Class d is predicted but has no clip, c is never predicted, e occurs nowhere.
    true = [0, 0, 0, 1, 1, 2]
    predicted = [0, 0, 1, 1, 3, 0]
    table = metrics.per_class(metrics.confusion_matrix(true, predicted, 5), "abcde")
    assert table == {
        "a": {"precision": 2 / 3, "recall": 2 / 3, "f1": 4 / 6, "support": 3},
        "b": {"precision": 1 / 2, "recall": 1 / 2, "f1": 2 / 4, "support": 2},
        "c": {"precision": None, "recall": 0, "f1": 0, "support": 1},
        "d": {"precision": 0, "recall": None, "f1": 0, "support": 0},
        "e": {"precision": None, "recall": None, "f1": None, "support": 0},
    }
    assert metrics.uf1(true, predicted) == pytest.approx((4 / 6 + 2 / 4 + 0) / 3)  # a, b, c
    assert metrics.uar(true, predicted) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


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
    matrix = metrics.confusion_matrix(true, predicted, 5)
    np.testing.assert_array_equal(
        matrix, sklearn_metrics.confusion_matrix(true, predicted, labels=range(5))
    )
    columns = sklearn_metrics.precision_recall_fscore_support(
        true, predicted, labels=range(5), zero_division=np.nan
    )
    rows = metrics.per_class(matrix, "abcde").values()
    for name, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        ours = [np.nan if row[name] is None else row[name] for row in rows]
        np.testing.assert_allclose(ours, column)


def test_fold_accuracy_weighs_subjects_equally() -> None:
    true = [0, 1, 0, 1, 0]
    predicted = [0, 1, 0, 0, 1]
    groups = ["b", "a", "b", "b", "a"]  # rows of one subject need not be neighbours
    assert metrics.fold_accuracy(true, predicted, groups) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics.accuracy(true, predicted) == pytest.approx(3 / 5)


def test_scores_over_seeds_are_means_and_deviations() -> None:
    true, groups = [0, 0, 1, 1], ["a", "a", "a", "b"]
    scores = metrics.scores_over_seeds(true, [[0, 0, 1, 1], [0, 1, 1, 0]], groups)
    # The second seed: 2 of 4 right, 2/3 and 0 by subject, F1 and recall 1/2 for both classes.
    second = {"pooled_accuracy": 1 / 2, "fold_accuracy": 1 / 3, "uf1": 1 / 2, "uar": 1 / 2}
    assert metrics.four_scores(true, [0, 1, 1, 0], groups) == pytest.approx(second)
    assert scores == pytest.approx(
        {name: (1 + score) / 2 for name, score in second.items()}
        | {f"{name}_std": (1 - score) / 2 for name, score in second.items()}
    )


def test_majority_baseline_by_hand() -> None:
    true, groups = [2, 0, 2, 2, 1], ["a", "a", "a", "b", "b"]
    assert metrics.majority_baseline(true, groups) == pytest.approx(
        {
            "pooled_accuracy": 3 / 5,
            "fold_accuracy": (2 / 3 + 1 / 2) / 2,
            "uf1": 6 / 8 / 3,
            "uar": 1 / 3,
        }
    )


@pytest.mark.parametrize(("true", "predicted"), [([], []), ([0, 1], [0]), ([[0], [1]], [[0], [1]])])
def test_bad_vectors_are_refused(true: list, predicted: list) -> None:
    for score in (metrics.accuracy, metrics.uf1, metrics.uar):
        with pytest.raises(InputError, match="vectors of the same length"):
            score(true, predicted)


def test_labels_that_are_no_integers_are_refused() -> None:
    with pytest.raises(InputError, match="must hold integers, got float64 and int64"):
        metrics.accuracy([0.5, 1], [0, 1])
    with pytest.raises(InputError, match="must hold integers, got int64 and <U4"):
        metrics.uf1([0, 1], ["left", "left"])


def test_bad_indices_and_groups_are_refused() -> None:
    with pytest.raises(InputError, match=r"class indices must be in 0\.\.1, got 0\.\.2"):
        metrics.confusion_matrix([0, 2], [0, 1], 2)
    with pytest.raises(InputError, match="class indices must be"):
        metrics.confusion_matrix([0, 1], [0, -1], 2)
    with pytest.raises(InputError, match="groups must have shape"):
        metrics.fold_accuracy([0, 1], [0, 1], ["a"])
    with pytest.raises(InputError, match=r"confusion must be \[3, 3\], got \[2, 2\]"):
        metrics.per_class([[1, 0], [0, 1]], "abc")
    for predicted in ([0, 1], np.empty((0, 2), int)):
        with pytest.raises(
            InputError, match=r"y_pred must be \[seeds, clips\] with at least 1 seed"
        ):
            metrics.scores_over_seeds([0, 1], predicted, ["a", "b"])


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_calibration_is_scikit_learns_curve_with_the_counts(bins):
    rng = np.random.default_rng(bins)
    sure = np.concatenate([rng.uniform(0.3, 0.95, 200), np.linspace(0, 1, bins + 1)])
    right = rng.random(len(sure)) < sure**2
    found = metrics.calibration(sure, right, bins)
    shares, means = calibration_curve(right, sure, n_bins=bins, strategy="uniform")
    filled = found.counts > 0
    np.testing.assert_allclose(found.accuracy[filled], shares, atol=1e-12)
    np.testing.assert_allclose(found.confidence[filled], means, atol=1e-12)
    assert np.isnan(found.accuracy[~filled]).all() and np.isnan(found.confidence[~filled]).all()
    assert found.counts.sum() == len(sure) and found.right.sum() == right.sum()
    weights = found.counts[filled] / len(sure)
    assert found.error == pytest.approx(float(weights @ abs(shares - means)), abs=1e-12)


def test_calibration_error_is_the_mean_gap():
    # 0.9 and 0.9 with one right: a gap of 0.4; 0.6, right: also 0.4; 0.25, wrong: 0.25.
    found = metrics.calibration([0.9, 0.9, 0.6, 0.25], [True, False, True, False])
    assert found.error == pytest.approx((0.4 * 2 + 0.4 + 0.25) / 4)
    assert metrics.calibration([1.0, 0.0], [True, False]).error == 0
    assert metrics.calibration([1.0, 1.0], [False, False]).error == 1


@pytest.mark.parametrize(
    ("sure", "right", "bins", "message"),
    [
        ([], [], 10, r"at least 1, and right bool, got \[0\]"),
        ([0.5], [True, False], 10, r"got \[1\] and \[2\] bool"),
        ([0.5], [1], 10, r"got \[1\] and \[1\] int64"),
        ([0.5, 1.5], [True, True], 10, r"0\.\.1, got 10 and 0\.5\.\.1\.5"),
        ([0.5, np.nan], [True, True], 10, r"got 10 and nan\.\.nan"),
        ([0.5], [True], 0, r"bins must be at least 1 .* got 0"),
    ],
)
def test_calibration_refuses_what_are_no_probabilities(sure, right, bins, message):
    with pytest.raises(InputError, match=message):
        metrics.calibration(sure, right, bins)
