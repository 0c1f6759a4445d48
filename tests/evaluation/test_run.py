"""A run as folds: seeds, resuming, progress, and networks that cannot be used."""

import json
from pathlib import Path

import numpy as np
import pytest
from folds import QUICK, SIZE, run, small_set, tiny, without_time
from torch import nn

from originet.evaluation import metrics
from originet.system.errors import InputError
from originet.training.config import Config

pytestmark = pytest.mark.usefixtures("one_thread")


def test_seeds_differ_and_are_averaged() -> None:
    table, _ = small_set()
    images = np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE)).astype(np.uint8)
    both = run(table, images, config=Config.from_dict(QUICK.to_dict() | {"seeds": [3, 4]}))
    alone = run(table, images, config=Config.from_dict(QUICK.to_dict() | {"seeds": [4]}))
    assert both.seeds == (3, 4)
    np.testing.assert_array_equal(both.y_pred[1], alone.y_pred[0])
    assert not np.array_equal(both.y_pred[0], both.y_pred[1])
    scores = [np.mean(predicted == both.y_true) for predicted in both.y_pred]
    assert both.metrics["pooled_accuracy"] == pytest.approx(np.mean(scores))
    assert both.metrics["pooled_accuracy_std"] == pytest.approx(np.std(scores))
    assert both.confusion.sum() == 48
    assert both.per_class["left"]["support"] == 24
    subjects = table["subject"].to_numpy()
    pooled = metrics.bootstrap_intervals(both.y_true, both.y_pred, subjects)
    assert both.intervals == pooled and pooled["uf1"][0] < both.metrics["uf1"] < pooled["uf1"][1]


def test_interrupted_run_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    table, images = small_set()
    undisturbed = run(table, images, out=tmp_path / "whole")

    def interrupt(done: int, total: int) -> None:
        if done == 12:  # in the third fold
            raise KeyboardInterrupt

    out = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        run(table, images, out=out, progress=interrupt)
    finished = sorted((out / "folds").glob("*.json"))
    assert [path.name for path in finished] == ["seed0_000_s00.json", "seed0_001_s01.json"]
    assert not (out / "results.json").exists()
    content = [path.read_bytes() for path in finished]

    calls: list[tuple[int, int]] = []
    resumed = run(table, images, out=out, progress=lambda *call: calls.append(call))
    assert calls[:3] == [(5, 20), (10, 20), (11, 20)]  # finished folds count at once
    assert [path.read_bytes() for path in finished] == content
    assert without_time(resumed) == without_time(undisturbed)
    again = run(table, images, out=out)
    assert again.to_json() == json.loads((out / "results.json").read_text())
    assert not list(out.rglob("*.tmp"))


def test_a_run_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    table, images = small_set()
    config = Config.from_dict(QUICK.to_dict() | {"method": "telescoped"})
    first = run(table, images, config=config, out=tmp_path)
    path, last = tmp_path / "config.json", max((tmp_path / "folds").glob("*.json"))
    path.write_text(path.read_text().replace("telescoped", "paper"))
    last.unlink()
    calls: list[tuple[int, int]] = []
    progress = lambda *call: calls.append(call)  # noqa: E731
    again = run(table, images, config=config, out=tmp_path, progress=progress)
    assert calls[:3] == [(5, 20), (10, 20), (15, 20)] and last.exists()
    assert without_time(again) == without_time(first)
    with pytest.raises(InputError, match=r"method is 'telescoped' there, 'cumulative' here$"):
        run(table, images, out=tmp_path)


def test_images_and_model_must_fit() -> None:
    table, images = small_set()
    with pytest.raises(
        InputError, match=r"images must be \[24, 16, 16\] uint8, got \[23, 16, 16\]"
    ):
        run(table, images[1:])
    with pytest.raises(InputError, match=r"images must be .* float64"):
        run(table, images / 255)
    model = tiny(2)
    with pytest.raises(InputError, match="model must return a new network at every call"):
        run(table, images, model=lambda _: model)
    with pytest.raises(InputError, match=r"model must make networks, .* got one network"):
        run(table, images, model=model)
    with pytest.raises(InputError, match=r"model must return a torch\.nn\.Module, got NoneType"):
        run(table, images, model=lambda _: None)
    with pytest.raises(InputError, match=r"model must know the sizes .* got one with lazy modules"):
        run(table, images, model=lambda n: nn.Sequential(nn.Flatten(), nn.LazyLinear(n)))
