"""Clips of the commands that train: from stores, from a root, and from lists."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from stores import contents, make, write_tree

from originet import datasets
from originet.cli.inputs import read_clips
from originet.datasets import prepare, store
from originet.datasets.prepare import Settings

QUICK = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")


@pytest.fixture
def refuse(run):
    """Runs a command that must end with exit code 2; returns its one line."""

    def call(*arguments: object) -> str:
        code, _, err = run(*arguments)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert code == 2 and len(lines) == 1 and "Traceback" not in err, err
        return lines[0].removeprefix("error: ")

    return call


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


def results(folder) -> dict:
    values = json.loads((folder / "results.json").read_text())
    for fold in [values, *values["folds"]]:
        del fold["seconds"]
    return values


@pytest.mark.slow
def test_loso_from_a_store_is_loso_from_its_root(run, tree, tmp_path):
    out = tmp_path / "out"
    size = ("--image-size", 16)
    assert run("prepare", "folder", tree, "-o", out, *size, "--method", "rank")[0] == 0
    for path, more in ((tree, size), (out, ())):
        arguments = (path, "-o", tmp_path / f"loso-{path.name}", "--method", "rank", *QUICK)
        code, _, err = run("loso", *arguments, *more)
        assert code == 0, err
    assert results(tmp_path / "loso-out") == results(tmp_path / "loso-tree")
    before = contents(out)
    assert run("loso", out, "-o", tmp_path / "loso-out", "--method", "rank", *size, *QUICK)[0] == 0
    assert contents(out) == before


@pytest.mark.slow
def test_loso_of_several_stores_keeps_their_subjects_apart(run, tree, tmp_path):
    found = datasets.survey("folder", tree)
    for name in ("samm", "casme2"):
        other = dataclasses.replace(found, dataset=name, table=found.table.assign(dataset=name))
        store.write_store(other, tmp_path / name, Settings(image_size=16))
    arguments = ("loso", tmp_path / "samm", tmp_path / "casme2", "-o", tmp_path / "out", *QUICK)
    code, printed, err = run(*arguments)
    assert code == 0, err
    assert "casme2+samm: 8 clips" in " ".join(printed.split())
    folds = [fold["subject"] for fold in results(tmp_path / "out")["folds"]]
    assert folds == ["casme2/s0", "casme2/s1", "samm/s0", "samm/s1"]


@pytest.mark.slow
def test_two_folders_are_two_sets_only_under_two_names(run, refuse, tree, tmp_path):
    for name in ("a", "b"):
        given = ("--name", name) if name == "b" else ()
        out = ("-o", tmp_path / name, "--image-size", 16)
        assert run("prepare", "folder", tree, *out, *given)[0] == 0
        assert run("prepare", "folder", tree, "-o", tmp_path / f"{name}2", *out[2:], *given)[0] == 0
    out = ("-o", tmp_path / "out", *QUICK)
    told = refuse("loso", tmp_path / "a", tmp_path / "a2", *out)
    assert (
        "two tables of the composite contain a data set named folder" in told and "--name" in told
    )
    assert "contain a data set named b, so" in refuse("loso", tmp_path / "b", tmp_path / "b2", *out)
    assert run("loso", tmp_path / "a", tmp_path / "b", *out)[0] == 0
    folds = [fold["subject"] for fold in results(tmp_path / "out")["folds"]]
    assert folds == ["b/s0", "b/s1", "folder/s0", "folder/s1"]
    told = refuse("loso", tmp_path / "a", "-o", tmp_path / "x", "--name", "c")
    assert told == "--name c is for a data set's root, not for a store"


@pytest.mark.slow
def test_loso_of_a_root_takes_a_name(run, tree, tmp_path):
    arguments = ("--image-size", 16, "--name", "mine", *QUICK)
    assert run("loso", tree, "-o", tmp_path / "out", *arguments)[0] == 0
    assert results(tmp_path / "out")["dataset"] == "mine"
    code, _, err = run("report", tmp_path / "out", tree, "--name", "mine")
    assert code == 0, err


def test_loso_refuses_what_a_store_does_not_have(run, refuse, tree, tmp_path):
    made, out = tmp_path / "made", ("-o", tmp_path / "loso")
    assert run("prepare", "folder", tree, "-o", made, "--image-size", 16)[0] == 0
    told = refuse("loso", made, *out, "--method", "rank")
    assert told == (
        f"{made} has no images by rank, only by cumulative: "
        "run its `originet prepare` with --method rank"
    )
    told = refuse("loso", made, *out, "--image-size", 32)
    assert told == f"image_size is 16 in {made}, but 32 was requested"
    told = refuse("loso", made, *out, "--crop-face")
    assert told == f"crop_face is False in {made}, but True was requested"
    for option, value in (("task", "three"), ("dataset", "folder"), ("annotations", "a.csv")):
        told = refuse("loso", made, *out, f"--{option}", value)
        assert told == f"--{option} {value} is for a data set's root, not for a store"
    assert refuse("loso", made, tree, *out).startswith(f"{tree} is not a store")
    assert refuse("loso", tree, tree, *out).startswith("several paths must all be stores")
    assert "two tables of the composite" in refuse("loso", made, made, *out)
    (made / ".parts").mkdir()
    (made / "manifest.json").rename(made / ".parts" / "arguments.json")
    assert refuse("loso", made, *out) == (
        f"{made} is unfinished: run the same `originet prepare` again"
    )
    assert not (tmp_path / "loso").exists()


@pytest.mark.slow
def test_loso_of_a_root_takes_annotations_and_a_task(run, refuse, tree, tmp_path):
    lines = [f"{path.relative_to(tree)},{path.parent.name}" for path in tree.glob("*/*/*")]
    rows = [f"{line},{line.split('/')[0]}" for line in lines]
    rows.append("sadness/s0/nowhere,s0,sadness")
    (tree / "sadness" / "s0" / "nowhere").mkdir()
    coding = tree / "coding.csv"
    coding.write_text("\n".join(["path,subject,emotion", *rows]))
    arguments = ("loso", tree, "-o", tmp_path / "out", "--annotations", coding, "--task", "three")
    code, _, err = run(*arguments, "--image-size", 16, *QUICK)
    assert code == 0, err
    assert "1 of 5 clips cannot be used" in err
    found = results(tmp_path / "out")
    assert found["classes"] == ["negative", "positive"]
    assert np.shape(found["y_true"]) == (4,)
    told = refuse("loso", tree, "-o", tmp_path / "out", "--frames", tree)
    assert "takes no frames" in told


ROOT = {"dataset": None, "annotations": None, "frames": None, "task": None}


def test_cuts_are_those_of_each_store(tmp_path):
    tree = write_tree(tmp_path / "tree", subjects=3)
    other = write_tree(tmp_path / "other", subjects=2)
    margins = {}
    for root, margin in ((tree, 0.1), (other, 0.3)):
        make(root, tmp_path / f"of-{root.name}", set_name=root.name)
        manifest = tmp_path / f"of-{root.name}" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"margin": 0.1', f'"margin": {margin}'))
        margins[str(root)] = margin
    paths = [tmp_path / "of-tree", tmp_path / "of-other"]
    clips = read_clips(paths, ["cumulative"], **ROOT, image_size=None, crop_face=None)
    assert len(clips.cuts) == len(clips.table) == 10
    for frames, cut in zip(clips.table["frames"], clips.cuts, strict=True):
        assert cut.margin == margins[str(Path(frames[0]).parents[3])] and cut.image_size == 16
    found = read_clips([tree], ["cumulative"], **ROOT, image_size=24, crop_face=None)
    assert found.cuts == [prepare.Settings(image_size=24)] * 6
