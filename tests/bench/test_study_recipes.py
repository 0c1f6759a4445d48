"""bench/study_recipes.py: its committed results, its search, and what it makes of results."""

import dataclasses

import numpy as np
import pytest
import study_recipes as study
from study_rows import read_rows

from originet.training.recipes import RECIPES


def committed():
    return read_rows(study.RESULTS, study.Row)


def test_the_docs_are_what_the_committed_results_give():
    rows = committed()
    assert len({(row.half, row.arm, row.seed) for row in rows}) == len(rows)
    for row in rows:
        right = np.array([list(map(int, subject)) for subject in row.right.split()])
        assert right.shape == (study.SUBJECTS, len(study.CLIPS))
        counts = np.array(list(study.CLIPS.values()))
        assert (right <= counts).all()
        assert row.uar == pytest.approx((right.sum(0) / counts).mean() / study.SUBJECTS, abs=1e-4)
    study.main(check=True)


def test_the_strong_recipe_is_what_the_search_chose():
    rows = committed()
    chosen = study.search(lambda arms: study.mean_scores(rows, arms))
    assert dict(RECIPES["strong"]) == study.settings_of(chosen) != {}
    tested = {(row.arm, row.seed) for row in rows if row.half == study.TEST}
    wanted = {study.name_of(arm) for arm in study.arms_to_test(chosen)}
    assert tested == {(arm, seed) for arm in wanted for seed in range(study.SEEDS)}


def test_the_choice_does_not_depend_on_the_subjects_that_are_tested():
    rows = committed()
    chosen = study.search(lambda arms: study.mean_scores(rows, arms))
    spoilt = [dataclasses.replace(r, uar=0.0) if r.half == study.TEST else r for r in rows]
    assert study.search(lambda arms: study.mean_scores(spoilt, arms)) == chosen
    without = [row for row in rows if row.half == study.SEARCH]
    assert study.search(lambda arms: study.mean_scores(without, arms)) == chosen


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ({}, set()),
        ({"mixup": 0.019}, set()),
        ({"mixup": 0.021}, {"mixup"}),
        ({"mixup": 0.03, "translation": 0.05}, {"mixup", "translation"}),
        ({"mixup": 0.03, "translation": 0.05, "fixed budget": -0.5}, {"mixup", "translation"}),
    ],
)
def test_parts_are_added_as_long_as_one_helps(gains, chosen):
    asked = []

    def scores(arms):
        asked.extend(arms)
        return {arm: 0.5 + sum(gains.get(part, 0.0) for part in arm) for arm in arms}

    assert study.search(scores) == chosen
    assert asked[0] == frozenset() and max(map(len, asked)) == min(len(chosen) + 1, 6)


def test_all_parts_may_be_added():
    assert study.search(lambda arms: {arm: len(arm) / 10 for arm in arms}) == set(study.PARTS)


def test_what_is_tested():
    both = frozenset({"mixup", "translation"})
    arms = study.arms_to_test(both)
    assert arms[0] == frozenset() and both in arms and len(arms) == len(set(arms)) == 8
    assert len(study.arms_to_test(frozenset())) == 7


@pytest.fixture
def few(monkeypatch, tmp_path):
    """A study that takes seconds."""
    monkeypatch.setattr(study, "SEEDS", 1)
    monkeypatch.setattr(study, "SUBJECTS", 2)
    short = dataclasses.replace(study.PAPER, epochs=1, rotations=(0,), image_size=16)
    monkeypatch.setattr(study, "PAPER", short)
    parts = {name: study.PARTS[name] for name in ("two methods", "fixed budget")}
    monkeypatch.setattr(study, "PARTS", parts)
    monkeypatch.setattr(study, "RESULTS", tmp_path / "recipes.csv")


@pytest.mark.slow
def test_a_study_keeps_what_is_done(few, monkeypatch):
    made = []
    make_clips, evaluate_arms = study.make_clips, study.evaluate_arms

    def make(seed):
        made.append(make_clips(seed))
        return made[-1]

    def evaluate(half, arms, seed, clips, workers):
        if half == study.TEST:
            raise KeyboardInterrupt
        return evaluate_arms(half, arms, seed, clips, workers)

    monkeypatch.setattr(study, "make_clips", make)
    monkeypatch.setattr(study, "evaluate_arms", evaluate)
    with pytest.raises(KeyboardInterrupt):
        study.evaluate([], workers=1)
    (clips,) = made
    halves = [study.half_of(clips, half) for half in (study.SEARCH, study.TEST)]
    assert not set(halves[0].subjects) & set(halves[1].subjects)
    assert [len(half.names) for half in halves] == [2 * sum(study.CLIPS.values())] * 2
    for half in halves:
        _, counts = np.unique(half.labels, return_counts=True)
        assert counts.tolist() == [2 * count for count in study.CLIPS.values()]
    kept = read_rows(study.RESULTS, study.Row)
    assert {row.half for row in kept} == {study.SEARCH}

    def only_test(half, arms, seed, clips, workers):
        assert half == study.TEST
        return evaluate_arms(half, arms, seed, clips, workers)

    monkeypatch.setattr(study, "evaluate_arms", only_test)
    rows = study.evaluate(kept, workers=1)
    assert [row for row in rows if row.half == study.SEARCH] == kept
    study.table_of(rows)
