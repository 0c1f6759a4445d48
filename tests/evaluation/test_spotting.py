"""Scores of intervals: the rules of MEGC, counted by hand, and where the public program differs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from originet.evaluation.spotting import Interval, Spotting, above, score, thresholds
from originet.system.errors import InputError

# Made like the example of the reference's README, whose STRS is 0.2: three of five are matched, and
# of three classes one is recognised.
TRUE = [
    Interval("1", "a", 40, 80, "happiness"),
    Interval("1", "b", 130, 160, "others"),
    Interval("1", "c", 20, 75, "others"),
    Interval("2", "d", 45, 95, "repression"),
    Interval("2", "e", 30, 140, "repression"),
]
PREDICTED = [
    Interval("1", "a", 5, 65, "happiness"),
    Interval("1", "b", 100, 170, "others"),
    Interval("1", "c", 5, 75, "others"),
    Interval("2", "d", 20, 90, "happiness"),
    Interval("2", "e", 70, 140, "happiness"),
]


def spans(*pairs, subject="s", video="v", **others):
    return [Interval(subject, video, *pair, **others) for pair in pairs]


@pytest.mark.parametrize("compatible", [False, True])
def test_the_product_of_both_f1(compatible):
    found = score(PREDICTED, TRUE, compatible=compatible)
    assert found.spotting == Spotting(3, 2, 2)
    assert found.spotting.f1 == pytest.approx(0.6)
    assert found.analysis.f1 == pytest.approx(1 / 3)
    assert found.strs == pytest.approx(0.2)


def test_overlap_counts_frames_with_both_ends():
    # 1 to 10 and 6 to 10: 5 of 10 frames. Without the ends it would be 4 of 9.
    assert score(spans((6, 10)), spans((1, 10))).spotting == Spotting(1, 0, 0)
    assert score(spans((7, 10)), spans((1, 10))).spotting == Spotting(0, 1, 1)
    assert score(spans((3, 3)), spans((3, 3))).spotting == Spotting(1, 0, 0)
    assert score(spans((4, 4)), spans((3, 3))).spotting == Spotting(0, 1, 1)


def test_videos_are_pooled_and_not_averaged():
    true = [*spans((1, 10)), *spans((1, 10), (21, 30), (41, 50), video="w")]
    assert score(spans((1, 10)), true).spotting.recall == 0.25


def test_videos_of_one_name_are_of_different_subjects():
    assert score(spans((1, 9), subject="a"), spans((1, 9), subject="b")).spotting == (0, 1, 1)


def test_one_interval_matches_one():
    """Two true ones that each fill half of a spotted one: the public program counts both."""
    true, predicted = spans((1, 5), (6, 10)), spans((1, 10))
    assert score(predicted, true).spotting == Spotting(1, 0, 1)
    assert score(predicted, true, compatible=True).spotting == Spotting(2, 0, 0)
    assert score(true, predicted).spotting == Spotting(1, 1, 0)


def test_as_many_as_possible_are_matched():
    """The first spotted one overlaps both, the second only the first: in order, one is lost."""
    true, predicted = spans((1, 10), (5, 14)), spans((4, 12), (1, 8))
    assert score(predicted, true).spotting == Spotting(2, 0, 0)


def test_what_the_public_program_leaves_out():
    true = [*spans((1, 10)), *spans((1, 10), subject="silent")]
    predicted = [*spans((1, 10)), *spans((1, 10), (30, 40), video="without events")]
    assert score(predicted, true).spotting == Spotting(1, 2, 1)
    assert score(predicted, true, compatible=True).spotting == Spotting(1, 0, 0)


def test_uar_is_recall_and_in_the_public_program_precision():
    true = [*spans((1, 9), (11, 19), (21, 29), label="a"), *spans((31, 39), label="b")]
    predicted = [*spans((1, 9), (11, 19), label="a"), *spans((21, 29), (31, 39), label="b")]
    ours, theirs = (score(predicted, true, compatible=way).analysis for way in (False, True))
    assert ours.uar == ours.recall == pytest.approx((2 / 3 + 1) / 2)
    assert theirs.uar == theirs.precision == pytest.approx((1 + 1 / 2) / 2)
    assert ours[:4] == theirs[:4]


def test_one_class_alone_counts_nothing_in_the_public_program():
    true = spans((1, 9), label="a")
    assert score(true, true).strs == 1
    assert math.isnan(score(true, true, compatible=True).strs)


def test_a_class_that_was_not_spotted_counts_as_missed():
    true = [*spans((1, 9), label="a"), *spans((31, 39), label="b")]
    assert score(spans((1, 9), label="a"), true).analysis.uar == 0.5


def test_without_classes_there_is_no_strs():
    found = score(spans((1, 9)), spans((1, 9), label="a"))
    assert found.analysis is None and found.strs is None


def test_nothing_spotted():
    found = score([], spans((1, 9), (20, 30)))
    assert found.spotting == Spotting(0, 0, 2)
    assert (found.spotting.precision, found.spotting.recall, found.spotting.f1) == (0, 0, 0)


def test_nothing_to_score_against():
    with pytest.raises(InputError, match="no true intervals"):
        score(spans((1, 9)), [])
    with pytest.raises(InputError, match=r"IoU must be above 0 and at most 1, got 1\.5"):
        score([], spans((1, 9)), min_iou=1.5)


pairs = st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda one: (one[0], sum(one)))


@settings(max_examples=60, deadline=None)
@given(st.lists(pairs, max_size=5), st.lists(pairs, min_size=1, max_size=5))
def test_matches_are_the_most_that_any_choice_gives(predicted, true):
    def frames(pair):
        return set(range(pair[0], pair[1] + 1))

    fits = [
        [len(frames(a) & frames(b)) / len(frames(a) | frames(b)) >= 0.5 for b in true]
        for a in predicted
    ]
    most = max(
        sum(fits[row][column] for row, column in zip(rows, columns, strict=False))
        for rows in itertools.permutations(range(len(predicted)))
        for columns in itertools.combinations(range(len(true)), min(len(predicted), len(true)))
    )
    found = score(spans(*predicted), spans(*true)).spotting
    assert found == (most, len(predicted) - most, len(true) - most)


def with_scores(subject, rights, wrongs):
    """A video with a true interval for each right one; wrong ones are elsewhere."""
    true, predicted = [], []
    for place, value in enumerate(rights):
        true += spans((place * 20, place * 20 + 9), subject=subject)
        predicted += spans((place * 20, place * 20 + 9), subject=subject, score=value)
    for place, value in enumerate(wrongs):
        predicted += spans((1000 + place * 20, 1009 + place * 20), subject=subject, score=value)
    return predicted, true


def test_thresholds_are_those_of_the_other_subjects():
    a, of_a = with_scores("a", [0.9, 0.8], [0.1, 0.2, 0.3, 0.4])  # best: 0.8
    b, of_b = with_scores("b", [0.5, 0.4], [0.39, 0.38, 0.37, 0.36])  # best: 0.4
    lowest = thresholds([*a, *b], [*of_a, *of_b])
    assert lowest == {"a": 0.4, "b": 0.8}
    kept = above([*a, *b], lowest)
    assert score(kept, [*of_a, *of_b]).spotting == Spotting(2, 1, 2)


def test_a_threshold_does_not_depend_on_its_subject():
    rng = np.random.default_rng(0)
    parts = [with_scores(name, rng.random(4), rng.random(6)) for name in "abcd"]
    predicted, true = ([*itertools.chain(*part)] for part in zip(*parts, strict=True))
    lowest = thresholds(predicted, true)
    changed = [
        Interval("a", "v", each.onset, each.offset, score=1 - each.score)
        if each.subject == "a"
        else each
        for each in predicted
    ]
    assert thresholds(changed, true)["a"] == lowest["a"]
    for name in "abcd":  # as by trying each score
        others = [each for each in predicted if each.subject != name]
        there = [each for each in true if each.subject != name]

        def f1(low, others=others, there=there):
            return score([each for each in others if each.score >= low], there).spotting.f1

        assert f1(lowest[name]) == pytest.approx(max(f1(each.score) for each in others))


def test_nothing_counts_where_nothing_is_right():
    predicted = [*spans((50, 60), subject="a", score=1.0), *spans((50, 60), subject="b", score=2.0)]
    true = [*spans((1, 9), subject="a"), *spans((1, 9), subject="b")]
    lowest = thresholds(predicted, true)
    assert lowest == {"a": math.inf, "b": math.inf} and above(predicted, lowest) == []


def test_thresholds_need_scores_and_subjects():
    with pytest.raises(InputError, match="1 to 9 of v has no score"):
        thresholds(spans((1, 9)), spans((1, 9)))
    with pytest.raises(InputError, match="at least 2 are needed, got 1"):
        thresholds(spans((1, 9), score=1.0), spans((1, 9)))
