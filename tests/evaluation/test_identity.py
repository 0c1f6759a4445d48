"""What makes two runs the same, and directories of other runs."""

import dataclasses
import json
from pathlib import Path

import pytest
from folds import QUICK, contents, run, small_set, sorted_clips, tiny
from torch import nn

from originet.evaluation.compute import Compute
from originet.evaluation.executors import Serial
from originet.evaluation.identity import run_identity, study_identity
from originet.system.errors import InputError
from originet.training.config import Config

pytestmark = pytest.mark.usefixtures("one_thread")


def test_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    table, images = small_set()
    run(table, images, out=tmp_path)
    longer = Config.from_dict(QUICK.to_dict() | {"epochs": 6})
    with pytest.raises(InputError, match=r"another run: config\.epochs is 5 there, 6 here"):
        run(table, images, out=tmp_path, config=longer)
    with pytest.raises(InputError, match=r"another run: images_sha256 is"):
        run(table, 255 - images, out=tmp_path)
    with pytest.raises(InputError, match=r"clip_list_sha256 is"):
        run(table.assign(clip="x" + table["clip"]), images, out=tmp_path)
    wider = nn.Sequential
    with pytest.raises(InputError, match=r"model\.architecture_sha256 is"):
        run(table, images, out=tmp_path, model=lambda n: wider(tiny(n), nn.Identity()))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("epochs", 6, "config.epochs is 5 there, 6 here"),
        ("batch_size", 4, "config.batch_size is 8 there, 4 here"),
        ("learning_rate", 0.1, "config.learning_rate is 0.01 there, 0.1 here"),
        ("weight_decay", 0.0, "config.weight_decay is 0.0001 there, 0.0 here"),
        ("rotations", (0, 5), "config.rotations is 0 there, 0 and 5 here"),
        ("equalize", True, "config.equalize is False there, True here"),
        ("validation_fraction", 0.3, "config.validation_fraction is 0.2 there, 0.3 here"),
        ("select", "last", "config.select is 'validation' there, 'last' here"),
        ("seeds", (0, 1), "config.seeds is 0 there, 0 and 1 here"),
        ("precision", "bfloat16", "config.precision is 'float32' there, 'bfloat16' here"),
        ("method", "rank", "config.method is 'cumulative' there, 'rank' here"),
        ("class_weights", "balanced", "config.class_weights is 'none' there, 'balanced' here"),
        ("sampling", "balanced", "config.sampling is 'shuffled' there, 'balanced' here"),
    ],
)
def test_another_setting_in_the_same_directory_is_refused(tmp_path, name, value, told):
    table, images = small_set(2)
    run(table, images, out=tmp_path)
    before = contents(tmp_path)
    config = Config.from_dict(QUICK.to_dict() | {name: value})
    with pytest.raises(InputError) as error:
        run(table, images, config=config, out=tmp_path)
    assert str(error.value) == f"{tmp_path} holds results of another run: {told}"
    assert contents(tmp_path) == before


def test_the_identity_of_a_study_is_not_tied_to_a_method():
    table, images = small_set(2)
    clips = sorted_clips(table, {"cumulative": images, "rank": 255 - images})
    compute = Compute("cpu", Serial(threads=3), keep_weights=False)
    assert study_identity(QUICK, clips, compute, quick=True) == {
        "config": QUICK.to_dict(),
        "clip_list_sha256": clips.clip_list_sha256,
        "compute": compute.identity,
        "quick": True,
    }
    dynamic = run_identity(dataclasses.replace(QUICK, method="rank"), clips)
    assert dynamic["images_sha256"] == clips.images_sha256["rank"]
    assert run_identity(QUICK, clips)["images_sha256"] == clips.images_sha256["cumulative"]
    json.dumps([dynamic, compute.identity])
