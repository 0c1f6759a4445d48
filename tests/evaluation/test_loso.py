"""Leave-one-subject-out: what it learns, what it must not, and what it takes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folds import CLASSES, QUICK, SIZE, run, small_set, without_time
from torch import nn

from originet.evaluation.loso import run_loso
from originet.evaluation.result import read_results
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.model import OrigiNet, parameter_count
from originet.training.predict import predict
from originet.training.weights import load_fold_weights

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


def several(table: pd.DataFrame, images: np.ndarray) -> dict[str, np.ndarray]:
    """Images of several channels by method; one channel shows the class, the others are noise."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, images.shape).astype(np.uint8)
    left = (table["label"] == "left").to_numpy()
    right = rng.normal(0, 1, (*images.shape, 2)).astype(np.float32)
    right[..., 0] += np.where(left, -0.5, 0.5)[:, None, None]
    strain = np.abs(rng.normal(0, 1, (*images.shape, 1))).astype(np.float32)
    return {
        "rank,onset": np.stack([noise, images], axis=-1),
        "own:a,b,c": np.stack([noise, images, noise], axis=-1),
        "dis": np.concatenate([right, strain], axis=-1),
        "rank,dis": np.concatenate([noise[..., None], right, strain], axis=-1),
        "own:heat": right[..., :1] * 1e-3 + 300,
    }


@pytest.mark.parametrize("method", ["rank,onset", "own:a,b,c", "dis", "rank,dis", "own:heat"])
def test_channels_are_learned_and_read_again(method: str, tmp_path: Path) -> None:
    table, images = small_set()
    channels = several(table, images)[method]
    config = Config.from_dict(QUICK.to_dict() | {"method": method})

    def network(classes: int) -> nn.Module:
        count = channels.shape[-1]
        return nn.Sequential(
            nn.Conv2d(count, 8, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(72, classes)
        )

    result = run(table, channels, config=config, model=network, out=tmp_path)
    # Standardising each image would have taken away the heat and where the flow goes.
    assert result.metrics["pooled_accuracy"] > 0.8
    assert read_results(tmp_path).to_json() == result.to_json()
    fold = result.folds[0]
    fresh = network(2)
    load_fold_weights(tmp_path / "folds" / "seed0_000_s00.safetensors", fresh)
    test = channels[(table["subject"] == "s00").to_numpy()]
    np.testing.assert_allclose(predict(fresh, test, device="cpu"), fold["probabilities"], atol=1e-6)


def test_originet_takes_as_many_channels_as_there_are() -> None:
    table, images = small_set(subjects=2, clips=4)
    channels = np.stack([images] * 5, axis=-1)
    config = Config.from_dict(QUICK.to_dict() | {"epochs": 1, "method": "own:a,b,c,d,e"})
    result = run_loso(table, config=config, images=channels, device="cpu")
    assert result.estimated_apexes is None
    plain = parameter_count(OrigiNet(2, image_size=16))
    assert result.model["parameters"] == plain + 2 * 16 * (9 + 25)
    with pytest.raises(InputError, match="the 1 channels cumulative, got 5: method names them"):
        run_loso(table, config=QUICK, images=channels, device="cpu")
