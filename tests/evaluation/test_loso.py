"""Leave-one-subject-out: what it learns, what it must not, and what it takes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folds import CLASSES, QUICK, SIZE, run, small_set, without_time

from originet.evaluation.loso import run_loso
from originet.evaluation.result import read_results
from originet.training.config import Config

pytestmark = pytest.mark.usefixtures("one_thread")


def test_result_learns_what_can_be_learned() -> None:
    table, images = small_set()
    calls: list[tuple[int, int]] = []
    result = run(table, images, progress=lambda *call: calls.append(call))
    assert calls == [(done, 20) for done in range(1, 21)]  # 4 folds of 5 epochs
    assert result.classes == CLASSES
    assert result.clips == list(zip(table["subject"], table["clip"], strict=True))
    np.testing.assert_array_equal(result.y_true, np.arange(24) % 2)
    assert result.metrics["pooled_accuracy"] > 0.9 > result.majority_accuracy == 0.5
    assert result.metrics["pooled_accuracy"] == np.mean(result.y_pred == result.y_true)
    assert result.metrics["pooled_accuracy_std"] == 0
    assert result.confusion.sum() == 24
    assert not result.semi_synthetic
    fold = result.folds[1]
    assert (fold["subject"], fold["clips"]) == ("s01", [f"c{i}" for i in range(6)])
    assert sum(fold["training_counts"].values()) == 14
    assert fold["validation_counts"] == {"left": 2, "right": 2}


def test_shuffled_rows_give_the_same_prediction_for_every_clip() -> None:
    table, images = small_set()
    images = np.random.default_rng(1).integers(0, 256, images.shape).astype(np.uint8)  # no ties
    order = np.random.default_rng(2).permutation(len(table))
    plain = run(table, images)
    shuffled = run(table.iloc[order].reset_index(drop=True), images[order])
    np.testing.assert_array_equal(shuffled.y_true, plain.y_true[order])
    np.testing.assert_array_equal(shuffled.y_pred, plain.y_pred[:, order])
    assert shuffled.folds[0]["history"] == plain.folds[0]["history"]
    assert shuffled.metrics == plain.metrics
    assert shuffled.intervals == plain.intervals
    assert shuffled.clip_list_sha256 == plain.clip_list_sha256
    assert shuffled.images_sha256 == plain.images_sha256


def test_a_leak_would_show_where_only_the_subject_tells_the_label() -> None:
    # Images show the subject alone, and every subject has one label, so a network which saw the
    # test subject would score 1; an honest one can only guess from other people.
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (8, SIZE, SIZE))
    table = pd.DataFrame(
        {"dataset": "folder", "subject": f"s{s}", "clip": f"c{c}", "label": CLASSES[s % 2]}
        for s in range(8)
        for c in range(6)
    )
    noise = rng.integers(-5, 6, (48, SIZE, SIZE))
    images = np.clip(np.repeat(faces, 6, axis=0) + noise, 0, 255).astype(np.uint8)
    result = run(table, images)
    assert result.folds[0]["history"][-1]["accuracy"] == 1  # it does learn the subjects
    assert result.metrics["pooled_accuracy"] < 0.8


@pytest.mark.slow
def test_shuffled_labels_fall_to_chance() -> None:
    table, images = small_set(subjects=6, clips=8)
    config = Config.from_dict(QUICK.to_dict() | {"seeds": [0, 1, 2]})
    honest = run(table, images, config=config).metrics["pooled_accuracy"]
    table["label"] = np.random.default_rng(0).permutation(table["label"])
    chance = run(table, images, config=config).metrics["pooled_accuracy"]
    assert honest > 0.9
    assert 0.25 < chance < 0.7


def test_names_may_be_numbers(tmp_path: Path) -> None:
    table, images = small_set(subjects=2)
    names = {
        "subject": table["subject"].str[1:].astype(int),
        "clip": table["clip"].str[1:].astype(int),
        "label": (table["label"] == "right").astype(int),
    }
    result = run(table.assign(**names), images, out=tmp_path, keep_weights=False)
    in_text = {name: column.astype(str) for name, column in names.items()}
    assert without_time(result) == without_time(run(table.assign(**in_text), images))
    assert read_results(tmp_path).to_json() == result.to_json()


def test_originet_is_the_default_network() -> None:
    table, images = small_set(subjects=2, clips=4)
    config = Config.from_dict(QUICK.to_dict() | {"epochs": 1, "variant": "authors"})
    result = run_loso(table, config=config, images=images, device="cpu")
    assert result.model["class"] == "OrigiNet"
    assert result.y_pred.shape == (1, 8)
