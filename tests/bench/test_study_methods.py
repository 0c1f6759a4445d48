"""bench/study_methods.py: its committed results, and what it makes of results."""

import dataclasses

import numpy as np
import pytest
import study_methods as study
from study_rows import read_rows, write_rows

from originet_ext import METHODS


@pytest.fixture
def make_run():
    def make(**values):
        usual = {
            **{"axis": "residual", "value": 0.5, "method": "rank", "seed": 0, "clips": 16},
            **{"majority": 0.25, "accuracy": 0.75, "uar": 0.75, "right": "8 4"},
            **{"torch": "2.13.0", "commit": "abc", "date": "2026-01-01"},
        }
        return study.Run(**usual | values)

    return make


def test_the_docs_are_what_the_committed_results_give():
    runs = read_rows(study.RESULTS, study.Run)
    wanted = {
        (axis, value, seed, method)
        for axis, value in study.conditions()
        for seed in range(study.SEEDS)
        for method in METHODS
    }
    assert {(*run.condition, run.seed, run.method) for run in runs} == wanted
    for run in runs:
        right = [int(count) for count in run.right.split()]
        assert len(right) == study.SUBJECTS and max(right) <= run.clips // study.SUBJECTS
        assert run.accuracy == pytest.approx(sum(right) / run.clips, abs=1e-4)
    study.main(check=True)


def test_the_committed_results_tell_the_readings_apart():
    """What README and docs say in words."""
    mean = {}
    for method in METHODS:
        for axis in study.AXES:
            for value, runs in study.series(read_rows(study.RESULTS, study.Run), axis, method):
                mean[method, axis, value] = study.interval(runs)
    neutral = {method: mean[method, "residual", 0.0] for method in METHODS}
    assert neutral["cumulative"][1] > 0.7 and neutral["telescoped"][2] < 0.5
    for axis, values in study.AXES.items():  # the dynamic image and the default are level
        for value in values:
            ours, rank = (mean[method, axis, value] for method in ("cumulative", "rank"))
            assert ours[1] <= rank[2] and rank[1] <= ours[2]
    assert mean["telescoped", "residual", 0.85][1] > 0.6
    # Head motion and light harm every method.
    for axis, values in list(study.AXES.items())[1:]:
        for method in ("cumulative", "rank", "learnet", "absolute"):
            assert mean[method, axis, values[-1]][0] < mean[method, axis, values[0]][0]


def test_the_interval_is_that_of_subjects_of_all_seeds(make_run):
    mean, low, high = study.interval([make_run(right="8 8"), make_run(right="0 8", seed=1)])
    assert mean == 0.75 and low < 0.5 and high == 1
    assert study.interval([make_run(right="6 6")]) == (0.75, 0.75, 0.75)


def test_the_usual_clips_stand_on_the_axes_of_head_and_light(make_run):
    runs = [make_run(axis="usual", value=0.0), make_run(axis="head_motion", value=1.5), make_run()]
    usual = {"head_motion": study.synth.HEAD_MOTION, "light_drift": study.synth.LIGHT_DRIFT}
    assert [value for value, _ in study.series(runs, "residual", "rank")] == [0.5]
    head = study.series(runs, "head_motion", "rank")
    assert [value for value, _ in head] == [usual["head_motion"], 1.5]
    assert [value for value, _ in study.series(runs, "light_drift", "rank")] == [
        usual["light_drift"]
    ]


def test_results_survive_writing_and_only_what_is_missing_is_evaluated(
    make_run, monkeypatch, tmp_path
):
    every = [
        make_run(axis=axis, value=value, seed=seed, method=method)
        for axis, value in study.conditions()
        for seed in range(study.SEEDS)
        for method in METHODS
    ]
    path = tmp_path / "runs.csv"
    shuffled = [every[i] for i in np.random.default_rng(0).permutation(len(every))]
    write_rows(path, sorted(shuffled, key=study.place))
    kept = read_rows(path, study.Run)
    assert sorted(map(str, kept)) == sorted(map(str, every))
    once = path.read_bytes()
    write_rows(path, sorted(kept, key=study.place))
    assert path.read_bytes() == once

    asked = []

    def evaluate_set(axis, value, seed, workers):
        asked.append((axis, value, seed))
        return [run for run in every if (*run.condition, run.seed) == asked[-1]]

    monkeypatch.setattr(study, "RESULTS", path)
    monkeypatch.setattr(study, "evaluate_set", evaluate_set)
    lost = [r for r in kept if not (r.axis == "usual" and r.seed == 3 and r.method == "rank")]
    again = study.evaluate(lost, workers=1)
    assert asked == [("usual", 0.0, 3)]
    assert sorted(map(str, again)) == sorted(map(str, every))
    assert path.read_bytes() == once


@pytest.mark.slow
def test_a_set_is_evaluated_by_every_method(monkeypatch):
    config = dataclasses.replace(study.CONFIG, epochs=1, image_size=16, rotations=(0,))
    monkeypatch.setattr(study, "CONFIG", config)
    monkeypatch.setattr(study, "SUBJECTS", 2)
    monkeypatch.setattr(study, "CLIPS_PER_CLASS", 1)
    runs = study.evaluate_set("residual", 0.25, 4, workers=1)
    assert [run.method for run in runs] == list(METHODS)
    for run in runs:
        assert (run.axis, run.value, run.seed, run.clips, run.majority) == (
            *("residual", 0.25, 4, 8, 0.25),
        )
        assert len(run.right.split()) == 2
    everywhere = [dataclasses.replace(run, axis=axis) for run in runs for axis in study.AXES]
    assert len(study.figure_of(everywhere).axes) == len(study.AXES)
