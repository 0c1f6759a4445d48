"""originet.load_model: the folder of a model, which may come from anybody."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from originet import load_model
from originet.system.errors import InputError


@pytest.fixture
def copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    return tmp_path / "model"


def change(folder, *keys, value):
    """Sets an entry of model.json."""
    card = json.loads((folder / "model.json").read_text())
    place = card
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (folder / "model.json").write_text(json.dumps(card))


def test_a_model_that_was_read_answers_as_the_one_that_was_trained(model, clips):
    images = clips.images["cumulative"]
    each = [dataclasses.replace(model, networks=(n,)) for n in model.networks]
    alone = [one.probabilities(images) for one in each]
    together = model.probabilities(images)
    np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-6)
    assert not any(network.training for network in model.networks)


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (["generator"], "other", "was not written by `originet train`"),
        (["format"], 2, "has format 2; this version reads format 1"),
        (["classes"], ["a"], "damaged: Expected `array` of length >= 2"),
        (["classes"], ["a", "b", "c"], "does not fit the model"),
        (["cut", "method"], "magic", "damaged: method must be one of"),
        (["cut", "image_size"], 32, "damaged: it names two image sizes"),
        (["cut", "margin"], "wide", "damaged: Expected `float`"),
        (["fps"], -1.0, "damaged: Expected `float` > 0"),
        (["weights"], [], "damaged: Expected `array` of length >= 1"),
        (["weights", 0, "file"], "../seed0.safetensors", "leads out of the folder"),
        (["weights", 0, "file"], "seed1.safetensors", "is not the file that model.json describes"),
        (["weights", 0, "sha256"], "0" * 64, "is not the file that model.json describes"),
        (["config", "variant"], "authors", "does not fit the model"),
    ],
)
def test_a_damaged_model_is_refused_in_one_line(copy, keys, value, told):
    change(copy, *keys, value=value)
    with pytest.raises(InputError, match=told) as caught:
        load_model(copy)
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_told(tmp_path, copy):
    with pytest.raises(InputError, match=r"is not a model: it has no model\.json"):
        load_model(tmp_path)
    (copy / "model.json").unlink()
    with pytest.raises(InputError, match="it is unfinished, or not a model"):
        load_model(copy)


def test_missing_weights_are_named(copy):
    (copy / "seed1.safetensors").unlink()
    with pytest.raises(InputError, match=r"seed1\.safetensors"):
        load_model(copy)


def test_no_pickle_is_read(folder):
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


def test_reading_leaves_the_random_state_alone(folder):
    before = torch.random.get_rng_state()
    load_model(folder)
    assert torch.equal(before, torch.random.get_rng_state())
