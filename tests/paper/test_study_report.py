"""Reports and tables of studies: what they say, and files of somebody else."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from folds import SHORT, composite_set, sorted_clips
from loso_results import make_result
from pages import Parsed
from saved import outcomes

from originet.drawing.page import Page
from originet.evaluation.compute import Compute
from originet.paper import ablation, ablation_report, comparison, comparison_report, study_report
from originet.system.errors import InputError
from originet.training.config import Config

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The folders of an ablation and of a comparison."""
    out = tmp_path_factory.mktemp("studies")
    config = Config.from_dict(SHORT.to_dict() | {"epochs": 1, "seeds": [0]})
    rows = ablation.rows_named(["LR", "OrigiNet"])
    clips, compute = sorted_clips(*composite_set()), Compute("cpu", keep_weights=False)
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


def made(accuracies, config=None):
    """A study whose rows have these accuracies, of results that are made up."""
    result = make_result()
    scored = {
        name: dataclasses.replace(result, metrics=result.metrics | {"pooled_accuracy": share})
        for name, share in accuracies.items()
    }
    return study_report.Evaluation(
        config=config or result.config,
        dataset=result.dataset,
        classes=result.classes,
        clips=len(result.clips),
        majority_accuracy=result.majority_accuracy,
        clip_list_sha256=result.clip_list_sha256,
        results=scored,
        failed={},
    )


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ({"VGG-16": 0.8, "OrigiNet": 0.6}, "OrigiNet: accuracy over all clips"),
        ({"VGG-16": 0.6, "AlexNet": 0.8}, "AlexNet, the best of 2 rows: accuracy over all clips"),
    ],
)
def test_originet_or_else_the_best_row_is_in_the_headline(accuracies, said):
    page = study_report.start_report(made(accuracies), "Comparison")
    text = Parsed(page.html()).text
    assert "Comparison on semi-synthetic clips, protocol strict" in text
    assert said in text and "6 clips in 2 classes" in text


def test_the_headline_warns_of_what_it_is_given_and_of_generated_clips():
    page = study_report.start_report(made({"OrigiNet": 0.5}), "Comparison")
    study_report.study_headline(page, made({"OrigiNet": 0.5}), "A quick look.")
    text = Parsed(page.html()).text
    assert "A quick look." in text and "they say nothing about real micro-expressions" in text


def test_deviations_are_shown_where_there_are_several_seeds():
    record = {"row": "OrigiNet", "failed": None, "paper_accuracy": None}
    record |= make_result().metrics
    for seeds, accuracy in (((0, 1), "75.0 ± 2.0 %"), ((0,), "75.0 %")):
        study = made({"OrigiNet": 0.75}, Config(seeds=seeds))
        page = Page("t")
        study_report.scores_table(page, study, ["row"], [record])
        (row,) = (row for row in Parsed(page.html()).rows if row[0] == "OrigiNet")
        assert row[1] == accuracy and row[-1] == "-"


def test_a_terminal_is_told_the_baseline_and_the_clips():
    assert study_report.notes(made({"OrigiNet": 0.5})) == [
        "Majority-class baseline: 50.00 %",
        f"Clip list: sha256 {'ab12' * 16}",
    ]
