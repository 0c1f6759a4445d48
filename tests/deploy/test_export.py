"""originet.deploy.export: the folder of an exported model."""

import csv
import dataclasses
import hashlib
import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from clips import random_frames

from originet.datasets.prepare import Settings
from originet.datasets.store import Store
from originet.deploy import export, runtimes
from originet.deploy.export import export_model, steps_of
from originet.system.clock import time_case
from originet.system.errors import InputError
from originet_ext import METHODS


@pytest.fixture(scope="module")
def store(clips) -> Store:
    """The clips that the model was trained on."""
    cut = dataclasses.asdict(Settings(image_size=clips.image_size, crop_face=False))
    table = pd.DataFrame({"label": [clips.classes[k] for k in clips.labels]})
    images = {name: pixels.copy() for name, pixels in clips.images.items()}
    return Store(table, images, {"settings": cut, "dataset": "synthetic"})


def by_arithmetic(case, budget):
    """Times of every call, run once, that do not depend on how busy a machine is.

    A batch of n takes the k-th network 1000 n + k microseconds; the second network's times spread.
    """
    rows = time_case(dataclasses.replace(case, once=True), budget=budget)
    batch = case.shape[0]
    times = [1000 * batch + k for k in range(len(rows))]
    return [
        dataclasses.replace(row, median_us=t, q20_us=t, q80_us=2 * t if k == 1 else t)
        for k, (row, t) in enumerate(zip(rows, times, strict=True))
    ]


@pytest.fixture(scope="module")
def exported(model, store, tmp_path_factory):
    """The folder of a network in 8 bits, and what the call returned."""
    out = tmp_path_factory.mktemp("exports") / "out"
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "time_case", by_arithmetic)
        compared = export_model(
            model, "onnx", out, int8=True, store=store, progress=lambda *step: seen.append(step)
        )
    assert seen == [(k, 4) for k in range(1, 5)]
    return out, compared


@pytest.mark.slow
def test_the_folder_has_the_network_and_its_papers(exported, model):
    out, _ = exported
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert files.keys() == {"model.onnx", "comparison.csv", "preprocessing.json"}
    told = json.loads(files["preprocessing.json"])
    for name in ("model.onnx", "comparison.csv"):
        assert told["files"][name] == hashlib.sha256(files[name]).hexdigest()
    assert told["classes"] == list(model.classes)
    assert told["cut"] == model.card["cut"] and told["fps"] == model.fps
    assert told["licences"] == model.card["licences"] and told["licences"]
    assert told["weights_sha256"] == [each["sha256"] for each in model.card["weights"]]
    assert told["precision"] == "int8" and told["calibration"]["clips"] == 24


@pytest.mark.slow
def test_the_table_compares_all_with_the_model(exported, model, store, clips):
    out, compared = exported
    assert [row.network for row in compared] == ["originet", "onnx float32", "onnx int8"]
    ours, plain, small = compared
    (pixels,) = store.images.values()
    chosen = model.probabilities(pixels).argmax(1)
    recall = [np.mean(chosen[clips.labels == k] == k) for k in range(len(model.classes))]
    assert ours.uar == pytest.approx(np.mean(recall), abs=1e-4)
    assert (ours.max_difference, ours.agreement) == (0, 1)
    assert plain.max_difference < 1e-5 and small.max_difference < 0.05
    assert plain.uar == ours.uar and plain.agreement == 1
    assert all(row.images == 24 for row in compared)
    assert [row.batch_1_ms for row in compared] == [1, 1.001, 1.002]
    assert [row.batch_32_ms for row in compared] == [32, 32.001, 32.002]
    assert [row.steady for row in compared] == [True, False, True]
    with (out / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{k: str(v) for k, v in dataclasses.asdict(row).items()} for row in compared] == rows


@pytest.mark.slow
def test_the_steps_are_enough_to_write_the_preprocessing_again(exported, model):
    out, _ = exported
    told = json.loads((out / "preprocessing.json").read_text())
    frames = random_frames(7, (32, 32)).astype(int)  # so that areas are whole pixels
    side = told["input"]["shape"][1]
    assert side == 16 and told["cut"] == {**told["cut"], "method": "cumulative", "crop_face": False}
    grey = frames.reshape(7, 16, 2, 16, 2).mean(axis=(2, 4))
    resized = np.floor(grey + 0.5)
    summed = 2 * (resized[1:-1] - resized[0]).sum(0) + resized[-1] - resized[0]
    low, high = summed.min(), summed.max()
    image = np.round(255 * (summed - low) / (high - low)).astype(np.uint8)
    session = onnxruntime.InferenceSession(out / "model.onnx")
    (got,) = session.run([told["output"]["name"]], {told["input"]["name"]: image[None]})
    answer = model.predict(frames.astype(np.uint8))
    expected = [answer.probabilities[name] for name in told["classes"]]
    np.testing.assert_allclose(got[0], expected, atol=0.02)


@pytest.mark.slow
def test_without_a_store_images_are_made_up(model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_BUDGET", 0.01)
    ours, theirs = export_model(model, "openvino", tmp_path / "out")
    assert ours.source == "made up" and ours.uar is None and theirs.agreement == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("model.xml", "model.bin", "comparison.csv", "preprocessing.json")
    }
    files = tuple((tmp_path / "out" / name).read_bytes() for name in ("model.xml", "model.bin"))
    views = random_frames(5, (16, 16))
    np.testing.assert_allclose(
        runtimes.load("openvino", files, 1)(views), model.probabilities(views), atol=1e-5
    )


def changed(store: Store, **settings) -> Store:
    manifest = {**store.manifest, "settings": {**store.manifest["settings"], **settings}}
    return Store(store.table, store.images, manifest)


def test_stores_of_another_kind_are_refused(model, store, tmp_path):
    other = Store(store.table, {"rank": next(iter(store.images.values()))}, store.manifest)
    strange = Store(store.table.assign(label="awe"), store.images, store.manifest)
    for each, told in (
        (changed(store, crop_face=True), "--store was made with other settings: crop_face"),
        (other, "--store has no images by cumulative, only by rank"),
        (strange, "--store has clips of awe; the model knows"),
    ):
        with pytest.raises(InputError, match=told):
            export_model(model, "onnx", tmp_path / "out", store=each)
    with pytest.raises(InputError, match="--int8 needs --store"):
        export_model(model, "onnx", tmp_path / "out", int8=True)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_files_is_left_alone(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        export_model(model, "onnx", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("wrong")])
def test_a_failure_leaves_nothing(model, tmp_path, monkeypatch, error):
    def fail(_):
        assert (tmp_path / "out").exists()  # held, so that no second run can write there
        raise error

    monkeypatch.setattr(runtimes, "to_onnx", fail)
    with pytest.raises(type(error)):
        export_model(model, "onnx", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_every_method_has_a_formula():
    assert set(export._FORMULAS) == set(METHODS)


def test_the_steps_name_what_was_done_to_the_clips(model):
    plain = steps_of(dataclasses.replace(model, fps=None))
    assert len(plain) == 4 and not any("face" in step or "rate" in step for step in plain)
    cut = Settings(("rank",), 64, crop_face=True, align_eyes=True, margin=0.25)
    every = steps_of(dataclasses.replace(model, settings=cut, fps=200.0))
    text = " ".join(every)
    for words in ("add 0.25 of its size", "between the eyes", "64 x 64", "200 frames per", "H_k"):
        assert words in text
    assert len(every) == 8


def test_the_steps_of_landmarks_have_no_box(model):
    cut = Settings(("rank",), 64, crop_face=True, face_by="landmarks")
    steps = steps_of(dataclasses.replace(model, settings=cut, fps=None))
    text = " ".join(steps)
    assert "landmarks" in text and "(0.32, 0.34)" in text and "64 x 64" in text
    assert "box" not in text and len(steps) == 4
