"""Scores of each data set of a composite."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from folds import QUICK as CONFIG
from folds import composite_set, small_set
from folds import run as run_small
from loso_results import make_result
from sklearn.metrics import accuracy_score, f1_score, recall_score
from stores import write_tree

from originet import datasets
from originet.datasets import store
from originet.datasets.prepare import Settings
from originet.evaluation import by_dataset, report
from originet.evaluation.result import read_results
from originet.system.errors import InputError
from originet.system.words import percent

QUICK = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")
CLASSES = ("negative", "positive", "surprise")


def test_every_set_is_scored_as_sklearn_scores_its_clips():
    rng = np.random.default_rng(0)
    sets = np.repeat(["casme2", "samm", "smic"], [60, 40, 50])
    subjects = np.char.add(sets + "/", rng.integers(0, 5, len(sets)).astype(str))
    labels = rng.integers(0, 3, len(sets))
    labels[sets == "samm"] %= 2  # no surprise, which is answered all the same
    predicted = np.where(rng.random((2, len(sets))) < 0.6, labels, rng.integers(0, 3, len(sets)))
    assert (predicted[:, sets == "samm"] == 2).any()
    order = rng.permutation(len(sets))  # the sets are not in a row
    scores = by_dataset.dataset_scores(
        labels[order], predicted[:, order], subjects[order], sets[order], CLASSES
    )
    assert list(scores) == ["casme2", "samm", "smic"]
    assert [part["clips"] for part in scores.values()] == [60, 40, 50]
    assert [part["subjects"] for part in scores.values()] == [5, 5, 5]
    assert scores["samm"]["classes"] == ["negative", "positive"]
    for name, part in scores.items():
        true = labels[sets == name]
        here = np.unique(true)
        options = {"labels": here, "average": "macro", "zero_division": 0}
        seeds = [row[sets == name] for row in predicted]
        told = part["metrics"]
        f1 = [f1_score(true, row, **options) for row in seeds]
        recall = [recall_score(true, row, **options) for row in seeds]
        right = [accuracy_score(true, row) for row in seeds]
        for key, values in (("uf1", f1), ("uar", recall), ("pooled_accuracy", right)):
            assert told[key] == pytest.approx(np.mean(values), abs=1e-12)
            assert told[f"{key}_std"] == pytest.approx(np.std(values), abs=1e-12)
        assert part["majority_accuracy"] == np.bincount(true).max() / len(true)


def test_a_single_set_has_nothing_beside_the_whole():
    one = np.zeros(4, np.int64)
    assert by_dataset.dataset_scores(one, one[None], one, np.full(4, "samm"), CLASSES) == {}
    assert by_dataset.records({"OrigiNet": make_result()}, 0.5) == []
    assert by_dataset.note({"OrigiNet": make_result()}, CLASSES) == ""
    result = run_small(*small_set())
    assert result.by_dataset == {}


@pytest.mark.slow
def test_results_hold_the_scores_of_the_sets_and_are_read_again(tmp_path):
    table, images = composite_set(6)
    config = dataclasses.replace(CONFIG, seeds=(3, 0))
    result = run_small(table, images, out=tmp_path, config=config)
    assert list(result.by_dataset) == ["casme2", "samm"]
    for name, part in result.by_dataset.items():
        of = (table["dataset"] == name).to_numpy()
        assert (part["clips"], part["subjects"]) == (of.sum(), 2)
        right = (result.y_true == result.y_pred)[:, of].mean()
        assert part["metrics"]["pooled_accuracy"] == pytest.approx(right)
    values = json.loads((tmp_path / "results.json").read_text())
    assert values["by_dataset"] == result.by_dataset
    assert read_results(tmp_path).by_dataset == result.by_dataset
    del values["by_dataset"]  # as earlier versions wrote it
    (tmp_path / "results.json").write_text(json.dumps(values))
    assert read_results(tmp_path).by_dataset == result.by_dataset
    values["by_dataset"] = {"samm": result.by_dataset["samm"]}
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="its data sets have 12 clips in total, but it has 24"):
        read_results(tmp_path)


class _Tables(HTMLParser):
    """Collects the cells of a page's tables."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.cell = [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self.cell = "" if tag in ("td", "th") else self.cell

    def handle_data(self, data):
        self.cell = None if self.cell is None else self.cell + data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(self.cell)
            self.cell = None


@pytest.mark.slow
def test_the_report_has_a_line_for_each_set_below_the_whole(tmp_path):
    result = run_small(*composite_set(6), config=dataclasses.replace(CONFIG, seeds=(0, 1)))
    report.write_loso_report(tmp_path / "report.html", result, {})
    page = (tmp_path / "report.html").read_text()
    rows = {row[0]: row for row in _Tables(page).rows if len(row) == len(by_dataset.HEADER)}
    header, whole, *parts = (rows[name] for name in ("data set", "full", "casme2", "samm"))
    assert tuple(header) == by_dataset.HEADER
    told = result.metrics
    assert whole[1:5] == [
        "24",
        "4",
        percent(told["pooled_accuracy"], told["pooled_accuracy_std"]),
        percent(told["uf1"], told["uf1_std"]),
    ]
    for row in parts:
        uar = result.by_dataset[row[0]]["metrics"]["uar"]
        assert row[1:3] == ["12", "2"] and row[5].startswith(f"{100 * uar:.1f} ± ")
    assert "average over the classes that the clips have." in page


@pytest.fixture
def stores(tmp_path):
    """Two stores, of which samm lacks a class."""
    labels = {"casme2": ("happiness", "sadness", "surprise"), "samm": ("happiness", "sadness")}
    for name, emotions in labels.items():
        found = datasets.survey("folder", write_tree(tmp_path / f"{name} tree", labels=emotions))
        found = dataclasses.replace(found, dataset=name, table=found.table.assign(dataset=name))
        store.write_store(found, tmp_path / name, Settings(("cumulative",), 16))
    return tmp_path / "casme2", tmp_path / "samm"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "file", "row"),
    [
        (("loso",), "results.json", ""),
        (("ablation", "--row", "Sig", "--row", "LR"), "ablation.json", "Sig"),
        (("compare", "--network", "OrigiNet"), "compare.json", ""),
    ],
)
def test_commands_print_and_write_the_scores_of_every_set(
    run, stores, tmp_path, command, file, row
):
    out = tmp_path / "out"
    code, printed, err = run(command[0], *stores, *command[1:], *QUICK, "-o", out)
    assert code == 0, err
    text = json.loads((out / file).read_text())["by_dataset"]
    parts = text.items() if isinstance(text, dict) else [(e["dataset"], e) for e in text]
    assert {name for name, _ in parts} - {"full"} == {"casme2", "samm"}
    for name, clips, subjects in (("full", 10, 4), ("casme2", 6, 2), ("samm", 4, 2)):
        assert re.search(rf"^ *{row} *{name} +{clips} +{subjects} +[01]\.", printed, re.MULTILINE)
    assert "the classes that the clips have: samm lacks surprise." in printed
    assert max(map(len, printed.split("By data set")[1].split("Majority:")[0].splitlines())) <= 80
    for page in out.glob("report.html"):
        assert "samm lacks surprise." in page.read_text()


@pytest.mark.slow
def test_commands_print_no_such_table_of_one_set(run, stores, tmp_path):
    code, printed, err = run("loso", stores[0], *QUICK, "-o", tmp_path / "out")
    assert code == 0, err
    assert "By data set" not in printed
    assert json.loads((tmp_path / "out" / "results.json").read_text())["by_dataset"] == {}


def test_a_run_that_leaves_out_data_sets_says_whose_clips_are_whose(tmp_path):
    table, images = composite_set(4)
    config = dataclasses.replace(CONFIG, epochs=1, seeds=(3, 0), leave_out="dataset")
    result = run_small(table, images, out=tmp_path / "run", config=config)
    assert [(fold["seed"], fold["subject"]) for fold in result.folds] == [
        *((3, "casme2"), (3, "samm"), (0, "casme2"), (0, "samm"))
    ]
    people = {f"{row.dataset}/{row.subject}" for row in table.itertuples()}
    assert set(result.folds[0]["subjects"]) == {each for each in people if "casme2" in each}
    assert set(result.by_dataset) == {"casme2", "samm"}

    frame = result.to_frame()
    assert set(frame["subject"]) == people and len(frame) == 2 * len(table)
    label = table.set_index(table["dataset"] + "/" + table["subject"] + "/" + table["clip"])
    for row in frame.itertuples():
        assert row.label == label.loc[f"{row.subject}/{row.clip}", "label"]

    again = run_small(table, images, out=tmp_path / "run", config=config)  # from its folds
    assert again.to_json() == result.to_json() == read_results(tmp_path / "run").to_json()
    with pytest.raises(InputError, match="leave_out is 'dataset' there, 'subject' here"):
        run_small(table, images, out=tmp_path / "run", config=config, leave_out="subject")

    report.write_loso_report(tmp_path / "report.html", result, {})
    page = re.sub(r"\s+", " ", (tmp_path / "report.html").read_text())
    assert "had never seen its data set" in page and "leaving out data sets" in page
    for name in people:  # with half of a set's clips, twice
        assert re.search(rf"{name}</t[dh]> ?<td[^>]*>4</td>", page), name
