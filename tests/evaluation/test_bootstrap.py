"""Confidence intervals over subjects: against a plain loop, SciPy and theory."""

import time

import numpy as np
import pytest
from scipy import stats  # comes with scikit-learn

from originet.evaluation import metrics
from originet.system.errors import InputError

NAMES = ("pooled_accuracy", "fold_accuracy", "uf1", "uar")


def small_case(seeds: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and predicted classes and subjects; class 3 is shown by subject s4 alone."""
    rng = np.random.default_rng(5)
    groups = np.repeat(["s0", "s1", "s2", "s3", "s4"], [3, 9, 4, 12, 2])
    true = rng.integers(0, 3, len(groups))
    true[-1] = 3
    right = rng.random((seeds, len(true))) < 0.6
    return true, np.where(right, true, rng.integers(0, 5, right.shape)), groups


def test_intervals_are_those_of_drawing_the_clips_themselves() -> None:
    # The slow way: the same draws of subjects, each put together clip by clip and scored anew.
    true, predicted, groups = small_case()
    rng = np.random.default_rng(7)
    drawn = {name: [] for name in NAMES}
    for times in rng.multinomial(5, [1 / 5] * 5, 300):
        who = np.repeat(np.arange(5), times)
        clips = [np.flatnonzero(groups == f"s{one}") for one in who]
        of = np.repeat(np.arange(5), [len(part) for part in clips])  # each draw a fold of its own
        rows = np.concatenate(clips)
        scores = metrics.scores_over_seeds(true[rows], predicted[:, rows], of)
        for name in NAMES:
            drawn[name].append(scores[name])
    got = metrics.bootstrap_intervals(true, predicted, groups, resamples=300, level=0.9, seed=7)
    assert got.keys() == set(NAMES)
    for name in NAMES:
        assert got[name] == pytest.approx(np.percentile(drawn[name], [5, 95]))


def test_interval_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(30), rng.integers(2, 20, 30))
    true = rng.integers(0, 3, len(groups))
    predicted = np.where(rng.random(len(true)) < 0.6, true, 0)
    right = np.bincount(groups, true == predicted)
    clips = np.bincount(groups)
    theirs = stats.bootstrap(
        (right, clips),
        lambda hits, all_clips, axis: hits.sum(axis) / all_clips.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    ours = metrics.bootstrap_intervals(true, predicted[None], groups)["pooled_accuracy"]
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.004)
    assert ours[1] - ours[0] > 0.05  # the tolerance means something


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Subjects differ much: intervals over clips, which ignore that, would cover far less often.
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        skill = rng.uniform(0.3, 0.9, 30)  # mean 0.6
        groups = np.repeat(np.arange(30), 10)
        true = rng.integers(0, 2, 300)
        predicted = np.where(rng.random(300) < skill[groups], true, 1 - true)
        intervals = metrics.bootstrap_intervals(true, predicted[None], groups, resamples=400)
        low, high = intervals["pooled_accuracy"]
        covered += low <= 0.6 <= high
    assert 0.89 < covered / 200 <= 0.99


def test_same_data_in_any_order_give_the_same_interval_to_the_bit() -> None:
    true, predicted, groups = small_case()
    order = np.random.default_rng(0).permutation(len(true))
    first = metrics.bootstrap_intervals(true, predicted, groups)
    assert metrics.bootstrap_intervals(true[order], predicted[:, order], groups[order]) == first
    assert metrics.bootstrap_intervals(true, predicted, groups, seed=1) != first


def test_interval_is_where_it_must_be() -> None:
    true, predicted, groups = small_case()
    scores = metrics.scores_over_seeds(true, predicted, groups)
    wide = metrics.bootstrap_intervals(true, predicted, groups)
    narrow = metrics.bootstrap_intervals(true, predicted, groups, level=0.5)
    for name in NAMES:
        assert 0 <= wide[name][0] < narrow[name][0] < narrow[name][1] < wide[name][1] <= 1
        assert wide[name][0] < scores[name] < wide[name][1]
    perfect = metrics.bootstrap_intervals(true, true[None], groups)
    assert perfect == dict.fromkeys(NAMES, (1.0, 1.0))


def test_ten_thousand_resamples_of_a_data_set_take_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    true, groups = rng.integers(0, 5, 250), np.arange(250) % 26
    predicted = rng.integers(0, 5, (1, 250))
    start = time.process_time()  # of two cores at most: what others do there does not count
    metrics.bootstrap_intervals(true, predicted, groups, resamples=10_000)
    assert time.process_time() - start < 1


def test_what_cannot_be_resampled_is_refused() -> None:
    true, predicted, groups = small_case()
    with pytest.raises(InputError, match="needs at least 2 subjects, got 1"):
        metrics.bootstrap_intervals(true, predicted, np.zeros(len(true)))
    with pytest.raises(InputError, match=r"groups must have shape \[30\], got \[29\]"):
        metrics.bootstrap_intervals(true, predicted, groups[1:])
    with pytest.raises(InputError, match=r"y_pred must be \[seeds, clips\]"):
        metrics.bootstrap_intervals(true, predicted[0], groups)
    with pytest.raises(InputError, match="must hold integers"):
        metrics.bootstrap_intervals(true, predicted / 2, groups)
    with pytest.raises(InputError, match=r"resamples must be at least 1 .* got 0 and"):
        metrics.bootstrap_intervals(true, predicted, groups, resamples=0)
    with pytest.raises(InputError, match=r"level in 0\.\.1, got 100 and 95"):
        metrics.bootstrap_intervals(true, predicted, groups, resamples=100, level=95)
