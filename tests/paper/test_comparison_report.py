"""The report of the comparison, of results that are made up."""

import dataclasses

import numpy as np
import pytest
from loso_results import make_result
from pages import Parsed

from originet.paper.comparison import LBP_TOP, Comparison, InferenceTimes
from originet.paper.comparison_report import (
    notes,
    size_marks,
    size_notes,
    write_comparison_report,
)
from originet.paper.lbp_top import LbpTopResult


def made(rows, *, dataset="semi-synthetic", failed=None, times=None):
    result, failed = make_result(dataset), failed or {}
    patterns = LbpTopResult(
        result.y_pred, result.metrics, result.intervals, result.confusion, result.seconds
    )
    results = {name: patterns if name == LBP_TOP else result for name in rows}
    return Comparison(
        rows=rows,
        config=result.config,
        dataset=dataset,
        classes=result.classes,
        clips=len(result.clips),
        majority_accuracy=0.5,
        clip_list_sha256=result.clip_list_sha256,
        results={name: each for name, each in results.items() if name not in failed},
        failed=failed,
        milliseconds=times or InferenceTimes(),
        device="cpu, 3 threads",
    )


def written(tmp_path, study):
    path = tmp_path / "report.html"
    write_comparison_report(path, study, {})
    return Parsed(path.read_text())


@pytest.mark.slow
def test_scores_and_sizes_stand_beside_the_papers(tmp_path):
    rows = ("VGG-16", "OrigiNet", LBP_TOP)
    times = InferenceTimes({"OrigiNet": 1.25}, {"OrigiNet": False})
    study = made(rows, dataset="casme2", failed={"VGG-16": "too <large>"}, times=times)
    page = written(tmp_path, study)
    found = {}
    for row in page.rows:
        found.setdefault(row[0] if row else "", []).append(row)
    (scores, sizes), (own, own_sizes) = found["VGG-16"], found["OrigiNet"]
    assert scores[1:6] == ["failed", "-", "-", "-", "-"]
    assert own[1:3] == ["75.0 ± 2.0 %", "61.2 to 80.0 %"] and own[-1] == "62.09 %"
    assert len(found[LBP_TOP]) == 1  # a score, but no size
    assert sizes[2] == "-" and own_sizes[2] == "1.2"
    assert found["TICS"][0][1:] == ["quoted", "-", "-", "-", "-", "61.11 %"]
    assert "VGG-16 could not be evaluated: too <large>" in page.text
    assert "time per image on cpu, 3 threads" in page.text
    assert "other programs were running: OrigiNet." in page.text


@pytest.mark.slow
def test_differences_from_other_networks(tmp_path):
    study = made(("MobileNetV2", "OrigiNet", LBP_TOP))
    own = study.results["OrigiNet"]
    worse = own.y_pred.copy()
    worse[:, own.y_true == 0] = 1
    folds = [
        fold
        | {
            "predicted": [
                1 if t == 0 else p for t, p in zip(fold["true"], fold["predicted"], strict=True)
            ]
        }
        for fold in own.folds
    ]
    study.results["MobileNetV2"] = dataclasses.replace(own, y_pred=worse, folds=folds)
    found = study.differences()
    assert found.keys() == {"MobileNetV2"}
    accuracy = found["MobileNetV2"]["pooled_accuracy"]
    right = [np.mean(each == own.y_true) for each in (own.y_pred, worse)]
    assert accuracy.difference == pytest.approx(right[0] - right[1]) and accuracy.difference > 0
    rows = [row for row in written(tmp_path, study).rows if row and row[0] == "MobileNetV2"]
    assert [f"{100 * accuracy.difference:+.1f}", f"{accuracy.p:.4f}"] in [
        [row[1], row[3]] for row in rows
    ]


def test_without_networks_there_are_no_sizes(tmp_path):
    page = written(tmp_path, made((LBP_TOP,)))
    assert "Table V" not in page.text and "Tables III and IV" in page.text


def test_quoted_rows_and_departures_are_noted():
    told = " ".join(notes(made((LBP_TOP,))))
    assert "Quoted" not in told
    assert (
        "Not as the paper's figures (its data sets and classes, 128 pixels, protocol paper): "
        in told
    )
    told = " ".join(notes(made((LBP_TOP,), dataset="casme2")))
    assert "not measured here: STLBP-IP (H, S, D, R, O), TICS (P, N, S, O), FHOFO" in told
    assert "the classes are negative, others, the protocol is strict" in told


def test_only_unreliable_times_are_noted():
    for reliable, doubtful in (({"a": True, "b": True}, ""), ({"a": True, "b": False}, ": b.")):
        lines = size_notes(made((LBP_TOP,), times=InferenceTimes({"a": 1, "b": 2}, reliable)))
        unreliable = [line for line in lines if line.startswith("Unreliable times")]
        assert len(unreliable) == bool(doubtful)
        assert all(line.endswith(doubtful) for line in unreliable)


def test_figures_that_differ_from_the_papers_are_marked():
    record = {"paper_layers": 10, "paper_parameters_millions": 1.8, "paper_memory_mb": 14.3}
    agrees = {"layers_agree_as": None, "parameters_agree": True, "memory_agrees_at_bytes": 8}
    assert size_marks(record | agrees) == ["≠ 10", "1.8M", "14.3"]
