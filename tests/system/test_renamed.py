"""Files of earlier versions: `telescoped` was called `paper`, faces were found in one way."""

import json

import numpy as np
import pytest
import safetensors.numpy
from stores import contents, count_clips, make, write_tree

from originet.datasets import store
from originet.datasets.prepare import Settings
from originet.system import renamed


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def with_the_old_name(folder):
    """Makes the files of a store those of an earlier version, which called `telescoped` `paper`."""
    for path in [*folder.glob("*.safetensors"), *folder.glob(".parts/*.safetensors")]:
        tensors = safetensors.numpy.load_file(path)
        old = {name.replace("telescoped", "paper"): pixels for name, pixels in tensors.items()}
        path.write_bytes(safetensors.numpy.save(old))
    for path in folder.glob("*-telescoped.png"):
        path.rename(path.with_name(path.name.replace("telescoped", "paper")))
    manifest = folder / "manifest.json"
    if manifest.exists():
        manifest.write_text(manifest.read_text().replace("telescoped", "paper"))


def names_in(folder):
    """Which of the two names of `telescoped` the files of a store tell, or their names."""
    words = b"".join(name.encode() + data for name, data in contents(folder).items() if data)
    return {name for name in ("paper", "telescoped") if name.encode() in words}


def without_the_way_of_faces(path):
    """Makes a manifest or arguments those of an earlier version; returns their settings."""
    content = json.loads(path.read_text())
    del content["settings"]["face_by"]
    path.write_text(json.dumps(content))
    return content["settings"]


def test_a_store_that_does_not_say_how_faces_were_found_is_read_and_gone_on_with(tree, out):
    made = make(tree, out, "rank")
    settings = without_the_way_of_faces(out / "manifest.json")
    old = store.read_store(out)
    assert old.face_by == "viola-jones" and Settings(**settings).face_by == "viola-jones"
    assert old.manifest["images_sha256"] == made.manifest["images_sha256"]
    make(tree, out, "rank", "absolute")
    assert store.read_store(out).manifest["settings"] == made.manifest["settings"]


def test_an_unfinished_store_that_does_not_say_it_is_gone_on_with(monkeypatch, tree, out):
    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tree, out, "rank", progress=interrupt)
    without_the_way_of_faces(out / ".parts" / "arguments.json")
    made = count_clips(monkeypatch)
    make(tree, out, "rank")
    assert made == [("rank",)]


@pytest.mark.parametrize("methods", [("telescoped",), ("telescoped", "rank")])
def test_a_store_of_an_earlier_version_is_read_and_gone_on_with(
    monkeypatch, tree, out, tmp_path, methods
):
    new = make(tree, out, *methods)
    fresh = contents(out)
    with_the_old_name(out)
    before = contents(out)
    assert names_in(out) == {"paper"}
    old = store.read_store(out)
    assert list(old.images) == list(methods) == old.manifest["methods"]
    assert old.manifest["images_sha256"] == new.manifest["images_sha256"]
    for method in methods:
        np.testing.assert_array_equal(old.images[method], new.images[method])
    assert contents(out) == before  # reading writes nothing
    made = count_clips(monkeypatch)
    make(tree, out, "telescoped")
    assert made == [] and contents(out) == fresh

    with_the_old_name(out)
    both = make(tree, out, "cumulative")
    assert made == [("cumulative",)] * 4 and list(both.images) == ["cumulative", *methods]
    make(tree, tmp_path / "at once", "cumulative", *methods)
    assert contents(out) == contents(tmp_path / "at once") and names_in(out) == {"telescoped"}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_commands_take_a_store_of_an_earlier_version(run, tree, out, tmp_path):
    make(tree, out, "telescoped")
    quick = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")
    results = []
    for name in ("new", "old"):
        command = ("loso", out, "-o", tmp_path / name, "--method", "telescoped", *quick)
        code, _, err = run(*command)
        assert code == 0, err
        results.append(json.loads((tmp_path / name / "results.json").read_text()))
        with_the_old_name(out)
    assert results[0]["images_sha256"] == results[1]["images_sha256"]
    assert results[0]["config"] == results[1]["config"]
    assert run("loso", out, "-o", tmp_path / "never", *quick) == (
        2,
        "",
        f"error: {out} has no images by cumulative, only by telescoped: "
        "run its `originet prepare` with --method cumulative\n",
    )
    code, _, err = run("loso", out, "-o", tmp_path / "never", *quick, "--method", "paper")
    assert code == 2 and "method must be one of cumulative, telescoped, " in err


def test_an_interrupted_run_of_an_earlier_version_is_gone_on_with(monkeypatch, tree, out, tmp_path):
    make(tree, tmp_path / "undisturbed", "telescoped")

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tree, out, "telescoped", progress=interrupt)
    with_the_old_name(out)
    assert names_in(out) == {"paper"}
    made = count_clips(monkeypatch)
    make(tree, out, "telescoped")
    assert made == [("telescoped",)]
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_methods_have_the_name_of_today():
    assert renamed.by_method({"paper": 1, "rank": 2}) == {"telescoped": 1, "rank": 2}
    values = {"method": "paper", "variant": "paper", "protocol": "paper"}
    today = {"method": "telescoped", "face_by": "viola-jones"}
    assert renamed.settings(values) == values | today | renamed.ONLY_WAY
    assert renamed.settings(values | {"leave_out": "dataset"})["leave_out"] == "dataset"
    assert renamed.settings(values | {"face_by": "landmarks"})["face_by"] == "landmarks"
    assert values["method"] == "paper"  # the file's own are left alone


EXPECTED = {"config": {"network": "STSTNet", "pretrained": False}}


def test_an_identity_is_renamed_where_it_names_methods_and_says_how_faces_were_found():
    values = {"config": {"method": "paper"}, "images_sha256": {"paper": "ab"}, "name": "paper"}
    assert renamed.identity(values | {"cut": {"margin": 0.1}}, EXPECTED) == {
        "config": {
            **renamed.ONLY_WAY,
            "method": "telescoped",
            "face_by": "viola-jones",
            "network": "STSTNet",
            "pretrained": False,
        },
        "cut": {"margin": 0.1, "face_by": "viola-jones"},
        "images_sha256": {"telescoped": "ab"},
        "name": "paper",
    }


@pytest.mark.parametrize(
    "values", [{}, {"config": None, "images_sha256": "ab"}, {"config": {"method": ["paper"]}}]
)
def test_a_damaged_identity_is_left_to_those_who_check_it(values):
    assert renamed.identity(values, EXPECTED) == values


def test_an_identity_that_names_the_network_keeps_the_name():
    values = {"config": {"method": "rank", "network": "RCN-A", "pretrained": True}}
    found = renamed.identity(values, EXPECTED)["config"]
    assert found["network"] == "RCN-A" and found["pretrained"] is True
