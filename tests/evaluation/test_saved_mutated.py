"""Results of somebody else, with anything in them: they are read and reported, or refused."""

import functools
import json
import random
import shutil
from unittest.mock import MagicMock

import numpy as np
import pytest
from folds import QUICK, run, small_set, sorted_clips
from mutations import mutate_json

from originet.drawing.page import Page
from originet.evaluation import by_dataset, metrics, report
from originet.evaluation.compute import Compute
from originet.evaluation.executors import Serial
from originet.evaluation.result import read_results
from originet.paper import ablation, ablation_report, comparison, comparison_report
from originet.system.errors import InputError
from originet.training.config import Config

pytestmark = pytest.mark.usefixtures("one_thread")

ONE = Serial(threads=1)
SHORT = Config.from_dict(QUICK.to_dict() | {"epochs": 2, "seeds": [3, 1]})


@pytest.fixture(scope="module")
def composite():
    table, images = small_set(4, clips=2)
    table["dataset"] = np.where(table["subject"] < "s02", "samm", "casme2")
    return table, images


@pytest.fixture(scope="module")
def finished(composite, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    run(*composite, config=SHORT, out=out, keep_weights=False, executor=ONE)
    return out


def without_drawing(monkeypatch):
    """Pages have their texts and tables; what figures show is computed, and not drawn."""
    figure, axes = MagicMock(), MagicMock()
    figure.add_subplot.return_value, figure.subplots.return_value = axes, (axes, axes)
    axes.get_legend_handles_labels.return_value = [], []
    for package in ("drawing", "evaluation"):
        monkeypatch.setattr(f"originet.{package}.figures.new_figure", lambda *_, **__: figure)
    monkeypatch.setattr(Page, "figure", lambda *_: None)


def outcomes(path, monkeypatch, read_and_render, count):
    """Mutates a file so many times; counts how often it was read and how often refused."""
    without_drawing(monkeypatch)
    text = path.read_text()
    rng, read, refused = random.Random(0), 0, 0
    for _ in range(count):
        values = mutate_json(json.loads(text), rng)
        path.write_text(json.dumps(values))
        try:
            read_and_render()
            read += 1
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error), error
            assert len(str(error)) < 2000
    return read, refused


@pytest.mark.slow
def test_mutated_results_are_reported_or_refused(finished, tmp_path, monkeypatch):
    out = shutil.copytree(finished, tmp_path / "out")

    def read_and_render():
        result = read_results(out)
        report.write_loso_report(tmp_path / "report.html", result, {})
        by_dataset.records({"": result}, result.majority_accuracy)
        assert result.to_json()["per_class"].keys() == set(result.classes)

    read, refused = outcomes(out / "results.json", monkeypatch, read_and_render, 300)
    assert read > 20 and refused > 150


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -0.1, 1.0000001, "0.5", None])
@pytest.mark.parametrize(
    "way",
    [
        ("metrics", "uf1"),
        ("metrics", "uar_std"),
        ("majority_baseline", "fold_accuracy"),
        ("intervals", "uf1", 1),
        ("by_dataset", "samm", "metrics", "pooled_accuracy"),
        ("folds", 0, "probabilities", 0, 0),
        ("folds", 1, "accuracy"),
        ("folds", 2, "history", 1, "accuracy"),
    ],
)
def test_what_is_no_share_is_refused(finished, tmp_path, way, value):
    values = json.loads((finished / "results.json").read_text())
    parent = values
    for key in way[:-1]:
        parent = parent[key]
    parent[way[-1]] = value
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"^{tmp_path}/results\.json "):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["classes"].__setitem__(0, "l" * 10**6), r"length <= 1000 - at `\$.classes"),
        (lambda v: v["classes"].__setitem__(0, "right"), "classes with different names"),
        (lambda v: v["config"].update(epochs=10**12), "epochs must be at most 1,000,000, got"),
        (
            lambda v: v["intervals"].update(uf1=[0.6, 0.5]),
            "interval of uf1 has its ends in the wrong order",
        ),
        (lambda v: v["folds"].pop(), "its folds must cover at least 2 subjects"),
        (lambda v: v["folds"].reverse(), "its folds must cover at least 2 subjects"),
        (lambda v: v["folds"][1].update(subject="casme2/s02"), "fold 5 has another subject or"),
        (lambda v: v["folds"][1]["clips"].append("c9"), "fold 1: its clips, true, .* same length"),
        (lambda v: v["folds"][1].update(selected_epoch=3), r"selected_epoch must be in 1\.\.2"),
        (lambda v: v["folds"][1]["history"].pop(), "fold 1: its history must have the 2 epochs"),
        (lambda v: v["folds"][1].update(accuracy=0.123), "fold 1: its accuracy is not that of"),
        (lambda v: v["y_true"].__setitem__(0, 2), "must be class indices below 2"),
        (lambda v: v["clips"].__setitem__(0, ["s00", "c9"]), "the folds' clips are not those of"),
        (lambda v: v.update(seconds=-1), r"Expected `float` >= 0.0 - at `\$.seconds`"),
        (lambda v: v.update(dataset="\udc80"), "str` matching regex"),
    ],
)
def test_parts_that_do_not_fit_are_refused(finished, tmp_path, change, message):
    values = json.loads((finished / "results.json").read_text())
    change(values)
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=rf"^{tmp_path}/results\.json .*{message}"):
        read_results(tmp_path)


@pytest.mark.slow
def test_names_that_a_terminal_or_a_font_obeys_are_reported(composite, tmp_path):
    table, images = composite
    hostile = "\x00\x1b[31m\n\u202e$\\frac{"
    table = table.assign(
        **{name: table[name].astype(str) + hostile for name in ("subject", "clip", "label")}
    )
    result = run(table, images, config=SHORT, out=tmp_path, keep_weights=False)
    again = read_results(tmp_path)
    assert again.to_json() == result.to_json()
    report.write_loso_report(tmp_path / "report.html", again, {})
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_mutated_folds_are_gone_on_with_or_refused(finished, composite, tmp_path, monkeypatch):
    out = shutil.copytree(finished, tmp_path / "out")
    (path, *_) = sorted((out / "folds").iterdir())

    def resume():
        run(*composite, config=SHORT, out=out, keep_weights=False, executor=ONE)
        read_results(out)

    few = functools.partial(metrics.bootstrap_intervals, resamples=9)
    monkeypatch.setattr(metrics, "bootstrap_intervals", few)
    read, refused = outcomes(path, monkeypatch, resume, 120)
    assert read > 5 and refused > 60


@pytest.fixture(scope="module")
def studies(composite, tmp_path_factory):
    """The folders of an ablation and of a comparison."""
    out = tmp_path_factory.mktemp("studies")
    config = Config.from_dict(SHORT.to_dict() | {"epochs": 1, "seeds": [0]})
    rows = ablation.rows_named(["LR", "OrigiNet"])
    clips, compute = sorted_clips(*composite), Compute("cpu", keep_weights=False)
    ablation.run_ablation(clips, config, compute, rows=rows, out=out / "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "originet.paper.lbp_top.features_of", lambda clips, *_, **__: np.eye(len(clips))
        )
        names = ["LBP-TOP", "OrigiNet"]
        comparison.run_comparison(clips, config, compute, rows=names, out=out / "c")
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file"),
    [("a", "ablation.json"), ("c", "compare.json"), ("c", "LBP-TOP/results.json")],
)
def test_mutated_studies_are_reported_or_refused(studies, tmp_path, monkeypatch, name, file):
    out = shutil.copytree(studies / name, tmp_path / "out")

    def read_and_render():
        if name == "a":
            found = ablation.read_ablation(out)
            ablation_report.write_ablation_report(tmp_path / "report.html", found, {})
        else:
            found = comparison.read_comparison(out)
            comparison_report.write_comparison_report(tmp_path / "report.html", found, {})

    if file == "LBP-TOP/results.json":
        before = comparison.read_comparison(out).results["LBP-TOP"]
        assert list(before.by_dataset) == ["casme2", "samm"]
    read, refused = outcomes(out / file, monkeypatch, read_and_render, 150)
    assert read > 5 and refused > 5


@pytest.mark.slow
def test_a_table_whose_rows_are_of_different_runs_is_refused(studies, tmp_path):
    out = shutil.copytree(studies / "a", tmp_path / "a")
    path = out / "LR" / "results.json"
    values = json.loads(path.read_text())
    values["config"]["batch_size"] = 9
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"ablation\.json is damaged: row LR has other settings"):
        ablation.read_ablation(out)
    values["config"]["batch_size"] = 8
    path.write_text(json.dumps(values | {"clip_list_sha256": "0" * 64}))
    with pytest.raises(
        InputError, match=r"ablation\.json is damaged: row OrigiNet has other clips"
    ):
        ablation.read_ablation(out)
    values = json.loads((studies / "c" / "compare.json").read_text())
    out = shutil.copytree(studies / "c", tmp_path / "c")
    for change, told in (
        ({"clips": 3}, "row OrigiNet has other clips, classes or seeds"),
        ({"clip_list_sha256": "0" * 64}, "row OrigiNet has other settings, classes or clips"),
        ({"rows": []}, "none of its rows was evaluated"),
    ):
        (out / "compare.json").write_text(json.dumps(values | change))
        with pytest.raises(InputError, match=rf"compare\.json is damaged: {told}"):
            comparison.read_comparison(out)
