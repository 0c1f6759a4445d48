"""Results that are read again, and images that must be the run's."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folds import CLASSES, SIZE, small_set
from folds import run as run_small
from torch import nn

from originet.evaluation import metrics
from originet.evaluation.loso import run_loso
from originet.evaluation.result import clip_images, in_folds, read_results
from originet.evaluation.splits import sort_clips
from originet.system.csv_cells import unguarded
from originet.system.errors import InputError
from originet.training.config import Config

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = Config(epochs=2, batch_size=4, rotations=(0,), image_size=16, seeds=(0, 3))


def linear(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, classes))


@pytest.fixture(scope="module")
def data():
    """Shuffled clips of two data sets that share a subject's and the clips' names."""
    rows = [
        {"dataset": dataset, "subject": subject, "clip": f"c{i}", "label": "ab"[i % 2]}
        for dataset, subject in (("x", "s1"), ("x", "s2"), ("y", "s1"))
        for i in range(4)
    ]
    table = pd.DataFrame(rows).sample(frac=1, random_state=0).reset_index(drop=True)
    images = np.random.default_rng(0).integers(0, 256, (len(table), 16, 16)).astype(np.uint8)
    return table, images


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    table, images = data
    return out, run_loso(table, linear, CONFIG, images=images, out=out, device="cpu")


def test_results_come_back_as_they_were(run):
    out, result = run
    again = read_results(out)
    assert again.to_json() == result.to_json()
    for name in ("y_true", "y_pred", "confusion"):
        assert getattr(again, name).dtype == np.int64
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    for name in ("config", "classes", "clips", "metrics", "intervals", "baseline", "folds"):
        assert getattr(again, name) == getattr(result, name)


def test_results_are_strict_json_and_numbers_keep_every_bit(run):
    out, result = run

    def refuse(literal):
        raise AssertionError(f"{literal} is not JSON")

    values = json.loads((out / "results.json").read_text(), parse_constant=refuse)
    assert values["metrics"] == result.metrics
    assert [f["probabilities"] for f in values["folds"]] == [
        f["probabilities"] for f in result.folds
    ]


def test_a_name_in_two_data_sets_is_two_people(run):
    _, result = run
    people, y_true, y_pred = in_folds(result.folds, result.config.seeds)
    assert people.tolist() == [person for person in ("x/s1", "x/s2", "y/s1") for _ in range(4)]
    assert metrics.scores_over_seeds(y_true, y_pred, people) == result.metrics


def test_every_field_is_documented(run):
    out, _ = run
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    _, results, folds = page.split("## Files of a run")[1].split("| field | value |")
    values = json.loads((out / "results.json").read_text())
    for keys, table in ((values, results), (values["folds"][0], folds)):
        documented = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
        names = set(re.findall(r"`(\w+)`", " ".join(documented)))
        assert names - {"subjects"} == keys.keys()  # that is of a fold that leaves out a set
    header = (out / "predictions.csv").read_text().splitlines()[0]
    assert header == "seed,subject,clip,label,predicted,a,b,protocol"


def test_predictions_hold_every_clip_of_every_seed(run, data):
    out, result = run
    lines = pd.read_csv(out / "predictions.csv", dtype={"clip": str})
    assert len(lines) == 2 * len(data[0])
    assert list(lines["seed"].unique()) == [0, 3]
    assert not lines.duplicated(["seed", "subject", "clip"]).any()
    np.testing.assert_allclose(lines[["a", "b"]].sum(axis=1), 1, atol=1e-6)
    told = [p for fold in result.folds for shares in fold["probabilities"] for p in shares]
    assert lines[["a", "b"]].to_numpy().ravel().tolist() == told


def test_the_frame_is_predictions_csv(run):
    out, result = run
    frame = pd.read_csv(out / "predictions.csv")
    pd.testing.assert_frame_equal(result.to_frame(), frame, check_exact=True)


def test_no_name_in_predictions_is_a_formula(data, tmp_path):
    table, images = data
    formula = '=HYPERLINK("http://x")'
    table = table.assign(**{name: "=" + table[name] for name in ("subject", "clip")})
    table["label"] = table["label"].replace({"a": formula, "b": "@b"})
    result = run_loso(table, linear, CONFIG, images=images, out=tmp_path, device="cpu")
    with (tmp_path / "predictions.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[5:7] == [f"'{formula}", "'@b"]
    assert all(not cell.startswith(("=", "@", "+", "-")) for row in rows for cell in row)
    assert {unguarded(row[3]) for row in rows} == {formula, "@b"}
    assert {unguarded(row[2]) for row in rows} == {f"=c{i}" for i in range(4)}
    assert read_results(tmp_path).to_json() == result.to_json()


def ordered(table, images):
    return sort_clips(table, {CONFIG.method: images}, CONFIG.image_size)


def test_folds_of_clips_by_other_names_get_no_images(run, data):
    _, result = run
    folds = [fold | {"clips": ["x", *fold["clips"][1:]]} for fold in result.folds]
    with pytest.raises(
        InputError, match="the run's folds name x/s1/x, which is not among its clips"
    ):
        clip_images(replace(result, folds=folds), ordered(*data))


def test_each_clip_gets_its_own_image(run, data):
    _, result = run
    table, images = data
    found = clip_images(result, ordered(table, images))
    assert len(found) == len(table)
    for place, row in table.iterrows():
        np.testing.assert_array_equal(
            found[f"{row['dataset']}/{row['subject']}", row["clip"]], images[place]
        )
    for fold in result.folds:
        assert all((fold["subject"], clip) in found for clip in fold["clips"])


def test_other_clips_or_images_are_refused(run, data):
    _, result = run
    table, images = data
    other = images.copy()
    other[5, 3, 3] ^= 1
    with pytest.raises(InputError, match="images are not those of the run: they have SHA-256"):
        clip_images(result, ordered(table, other))
    with pytest.raises(InputError, match="got 11 clips, not the 12 of the run: the list"):
        clip_images(result, ordered(table.iloc[:-1], images[:-1]))


def test_the_order_of_the_clips_does_not_matter(run, data):
    _, result = run
    table, images = data
    order = np.random.default_rng(1).permutation(len(table))
    first = clip_images(result, ordered(table, images))
    second = clip_images(result, ordered(table.iloc[order].reset_index(drop=True), images[order]))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_results_of_an_earlier_version_have_the_methods_name_of_today(run, tmp_path):
    out, result = run
    values = json.loads((out / "results.json").read_text())
    values["config"]["method"] = "paper"
    (tmp_path / "results.json").write_text(json.dumps(values))
    assert read_results(tmp_path).config == replace(result.config, method="telescoped")


def test_no_results_and_unfinished_ones_are_told_apart(tmp_path):
    with pytest.raises(InputError, match=r"has no results.json by `originet loso`"):
        read_results(tmp_path)
    (tmp_path / "config.json").write_text('{"config": {}}')  # a study's, such as an ablation's
    with pytest.raises(InputError, match=r"has no results.json by `originet loso`"):
        read_results(tmp_path)
    (tmp_path / "config.json").write_text('{"config": {}, "model": {}}')
    with pytest.raises(InputError, match="is unfinished: run the same command again"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(InputError, match=r"results.json is not valid JSON"):
        read_results(tmp_path)


def test_results_hold_every_score(tmp_path: Path) -> None:
    table, _ = small_set()
    images = np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE)).astype(np.uint8)
    table["subject"] = table["subject"].replace({"s03": "s00"})
    table["clip"] = [f"c{i}" for i in range(24)]
    result = run_small(table, images, out=tmp_path)
    stored = json.loads((tmp_path / "results.json").read_text())
    true, predicted = stored["y_true"], stored["y_pred"][0]
    subjects = [subject for subject, _ in stored["clips"]]
    for name, score in metrics.four_scores(true, predicted, subjects).items():
        assert stored["metrics"][name] == pytest.approx(score)
        low, high = stored["intervals"][name]
        assert 0 <= low <= score <= high <= 1
        assert result.intervals[name] == (low, high)
    told = {name: stored["intervals"][name] for name in ("resampled", "resamples", "level")}
    assert told == {"resampled": "subjects", "resamples": 10_000, "level": 0.95}
    assert stored["majority_baseline"] == metrics.majority_baseline(true, subjects)
    assert stored["majority_accuracy"] == result.majority_accuracy == 0.5
    matrix = metrics.confusion_matrix(true, predicted, 2)
    assert stored["per_class"] == metrics.per_class(matrix, CLASSES)
