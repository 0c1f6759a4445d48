import itertools

import numpy as np
import pytest

from originet.evaluation import metrics
from originet.evaluation.paired import paired_differences
from originet.system.errors import InputError

SCORES = ("pooled_accuracy", "fold_accuracy", "uf1", "uar")


def answers(seed, subjects=5, classes=3, seeds=2):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(subjects), 4)
    true = rng.integers(0, classes, len(groups))
    one, other = rng.integers(0, classes, (2, seeds, len(groups)))
    one = np.where(rng.random(one.shape) < 0.6, true, one)
    return true, one, other, groups


def score(true, predicted, groups, name):
    return np.mean([metrics.four_scores(true, each, groups)[name] for each in predicted])


@pytest.mark.parametrize("name", SCORES)
def test_the_difference_is_that_of_the_scores(name):
    true, one, other, groups = answers(0)
    found = paired_differences(true, one, other, groups, resamples=200)[name]
    expected = score(true, one, groups, name) - score(true, other, groups, name)
    assert found.difference == pytest.approx(expected, abs=1e-12)
    assert found.interval[0] <= found.difference <= found.interval[1]


@pytest.mark.parametrize("name", SCORES)
def test_the_p_value_is_that_of_all_exchanges(name):
    """Of 5 subjects there are 32; each has about the same share of 20,000 draws."""
    true, one, other, groups = answers(1)
    there = score(true, one, groups, name) - score(true, other, groups, name)
    as_large = []
    for kept in itertools.product((True, False), repeat=5):
        mine = np.where(np.array(kept)[groups], one, other)
        theirs = np.where(np.array(kept)[groups], other, one)
        value = score(true, mine, groups, name) - score(true, theirs, groups, name)
        as_large.append(abs(value) >= abs(there) - 1e-12)
    found = paired_differences(true, one, other, groups, resamples=20_000)[name]
    assert 0 < np.mean(as_large) < 1
    assert found.p == pytest.approx(np.mean(as_large), abs=0.015)


def test_the_interval_is_of_subjects_drawn_together():
    """Where one network answers one clip of each subject better, no resample says otherwise."""
    groups = np.repeat(np.arange(6), 4)
    true = np.tile([0, 1, 0, 1], 6)
    one, other = true[None].copy(), true[None].copy()
    other[:, ::4] = 1
    found = paired_differences(true, one, other, groups)
    assert found["pooled_accuracy"].interval == (0.25, 0.25)
    assert found["pooled_accuracy"].p == pytest.approx(2 / 2**6, abs=0.01)


def test_a_network_is_no_better_than_itself():
    true, one, _, groups = answers(2)
    for found in paired_differences(true, one, one, groups, resamples=100).values():
        assert found == (0, (0, 0), 1)


def test_exchanging_the_networks_changes_the_sign():
    true, one, other, groups = answers(3)
    here, there = (paired_differences(true, *pair, groups) for pair in ((one, other), (other, one)))
    for name in SCORES:
        assert here[name].difference == pytest.approx(-there[name].difference)
        assert here[name].p == pytest.approx(there[name].p, abs=1e-9)


def test_refusals():
    true, one, other, groups = answers(4)
    with pytest.raises(InputError, match=r"as many predictions, got \[2, 20\] and \[1, 20\]"):
        paired_differences(true, one, other[:1], groups)
    with pytest.raises(InputError, match="resamples must be at least 1, got 0"):
        paired_differences(true, one, other, groups, resamples=0)
    with pytest.raises(InputError, match="at least 2 subjects, got 1"):
        paired_differences(true, one, other, np.zeros_like(groups))
