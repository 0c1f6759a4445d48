"""originet.deploy.train_model: the final networks, on all clips."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from folds import CLASSES, QUICK, run, tiny

from originet.datasets.prepare import Settings
from originet.deploy.train_model import subject_parts, train_model
from originet.evaluation.splits import sort_clips
from originet.system.errors import InputError
from originet.system.lock import held
from originet.training.config import Config
from originet.training.networks.table import factory_of
from originet.training.predict import predict
from originet.training.train import fit

CPU = torch.device("cpu")
LABELS = np.tile([0, 1], 12)
SUBJECTS = np.repeat(["a", "b", "c", "d"], 6).tolist()


def train(clips, out, config=QUICK, **options):
    with held(out) as place:
        return train_model(clips, config, place, device=CPU, **options)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("fraction", "held_out"), [(0.25, 6), (0.3, 6), (0.5, 12), (0.01, 6)])
def test_whole_subjects_are_held_out(seed, fraction, held_out):
    config = Config(validation_fraction=fraction, rotations=(0, 5), equalize=False)
    if fraction == 0.01:  # six clips are further from a quarter of a clip than none
        with pytest.raises(InputError, match=r"no subject can be held out for 0\.01"):
            subject_parts(LABELS, SUBJECTS, config, seed)
        return
    parts = subject_parts(LABELS, SUBJECTS, config, seed)
    names = np.array(SUBJECTS)
    training, validation = set(names[parts.training_clips]), set(names[parts.validation_clips])
    assert not training & validation and training | validation == {*"abcd"}
    assert len(parts.validation_clips) == held_out
    assert len(parts.training_clips) == 2 * (24 - held_out)  # two rotations
    assert set(parts.validation_views) == {0}


def test_a_class_of_one_subject_stays_in_training():
    labels = np.array([0, 1, 0, 1, 0, 2])
    subjects = ["a", "a", "b", "b", "c", "c"]
    config = Config(validation_fraction=0.3)
    for seed in range(10):
        parts = subject_parts(labels, subjects, config, seed)
        assert 5 not in parts.validation_clips


def test_a_network_is_what_fit_makes_of_all_clips(clips, tmp_path):
    config = dataclasses.replace(QUICK, select="last", validation_fraction=0.0)
    model = train(clips, tmp_path / "model", config)
    torch.manual_seed(0)
    network = factory_of(config)(len(CLASSES))
    fit(network, clips.images["cumulative"], clips.labels, config, seed=0, device="cpu")
    expected = predict(network, clips.images["cumulative"], device="cpu")
    (trained,) = model.networks
    found = predict(trained, clips.images["cumulative"], device="cpu")
    np.testing.assert_array_equal(found, expected)
    (record,) = model.card["weights"]
    assert record["training_clips"] == 24 and record["validation_clips"] == 0


@pytest.fixture(scope="module")
def evaluated(small):
    """The evaluation of OrigiNet on the clips."""
    table, images = small
    return run(table, images, model=None)


@pytest.mark.slow
def test_an_evaluation_says_how_long_to_train(clips, small, evaluated, tmp_path):
    table, _ = small
    model = train(clips, tmp_path / "model", evaluated=evaluated)
    epochs = sorted(fold["selected_epoch"] for fold in evaluated.folds)
    (record,) = model.card["weights"]
    assert record["epochs"] == record["selected_epoch"] == round((epochs[1] + epochs[2]) / 2)
    assert record["training_clips"] == len(table)
    assert model.card["evaluated"]["metrics"] == evaluated.metrics
    assert model.card["evaluated"]["subjects"] == 4


@pytest.mark.slow
def test_an_evaluation_of_something_else_is_refused(clips, small, evaluated, tmp_path):
    table, images = small
    for change, told in (
        ({"config": dataclasses.replace(QUICK, learning_rate=0.5)}, "learning_rate is 0.5 there"),
        ({"clip_list_sha256": "0" * 64}, "other clips, or other labels"),
        ({"images_sha256": "0" * 64}, "other images"),
    ):
        other = dataclasses.replace(evaluated, **change)
        with pytest.raises(InputError, match=told):
            train(clips, tmp_path / "model", evaluated=other)
    with pytest.raises(InputError, match="is of Sequential; a model is made of OrigiNet"):
        train(clips, tmp_path / "model", evaluated=run(table, images, model=tiny))
    assert not list((tmp_path / "model").glob("*.json"))


def test_an_interrupted_training_goes_on_after_its_last_network(clips, tmp_path, folder):
    config = dataclasses.replace(QUICK, seeds=(0, 1))

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(clips, tmp_path / "model", config, progress=stop)
    out = tmp_path / "model"
    assert sorted(path.name for path in out.glob("*.json")) == ["config.json", "seed0.json"]
    before = (out / "seed0.safetensors").stat().st_mtime_ns
    train(clips, out, config)
    assert (out / "seed0.safetensors").stat().st_mtime_ns == before
    for file in folder.iterdir():  # as if it had never been interrupted
        assert (out / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_folder_of_another_training_is_refused(clips, tmp_path, folder):
    with pytest.raises(InputError, match=r"config\.epochs is 5 there, 6 here"):
        train(clips, folder, dataclasses.replace(QUICK, seeds=(0, 1), epochs=6))


def test_weights_that_were_exchanged_are_refused(clips, tmp_path):
    out = tmp_path / "model"
    train(clips, out)
    data = (out / "seed0.safetensors").read_bytes()
    (out / "seed0.safetensors").write_bytes(data[:-4] + b"\0\0\0\1")
    with pytest.raises(InputError, match=r"seed0\.safetensors is not the file that seed0\.json"):
        train(clips, out)


def test_the_card_says_what_the_model_was_made_of(folder, clips):
    card = json.loads((folder / "model.json").read_text())
    assert card["classes"] == list(CLASSES) and card["clips"] == 24 and card["subjects"] == 4
    assert card["clip_list_sha256"] == clips.clip_list_sha256
    assert card["cut"]["method"] == "cumulative" and card["cut"]["image_size"] == 16
    assert card["licences"] == {"folder": "unknown: ask who recorded the clips"}
    assert [each["seed"] for each in card["weights"]] == [0, 1]
    assert card["fps"] is None  # the table says nothing of it


def test_clips_that_were_cropped_in_two_ways_make_no_model(small, tmp_path):
    table, images = small
    cuts = [Settings(image_size=QUICK.image_size, crop_face=row == 3) for row in range(len(table))]
    mixed = sort_clips(table, {"cumulative": images}, QUICK.image_size, cuts)
    with pytest.raises(InputError, match="in different ways"):
        train(mixed, tmp_path / "model")
    cropped = [Settings(("rank",), QUICK.image_size, crop_face=True)] * len(table)
    clips = sort_clips(table, {"cumulative": images}, QUICK.image_size, cropped)
    model = train(clips, tmp_path / "model", dataclasses.replace(QUICK, epochs=1))
    assert model.settings == Settings(("cumulative",), QUICK.image_size, crop_face=True)


def test_the_rate_is_the_median_of_the_clips(small, tmp_path):
    table, images = small
    for rates, expected in (([30.0] * 24, 30.0), ([30.0] * 23 + [np.nan], None)):
        timed = sort_clips(table.assign(fps=rates), {"cumulative": images}, QUICK.image_size)
        model = train(timed, tmp_path / str(expected), dataclasses.replace(QUICK, epochs=1))
        assert model.fps == expected
