"""Clips of the commands that train: from stores, from a root, and from lists."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from stores import contents, make, write_tree
from trees_casme2 import write_casme2
from trees_dfme import write_dfme
from trees_samm import write_samm
from trees_smic import write_smic

from originet import datasets
from originet.cli.inputs import read_clips
from originet.datasets import prepare, store
from originet.datasets.prepare import Settings
from originet.system.errors import InputError

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


@pytest.fixture
def challenge(tmp_path):
    """The roots of the three sets of MEGC 2019; one holds another set as well."""
    write_smic(tmp_path / "smic")
    write_casme2(tmp_path / "casme2")
    write_samm(tmp_path / "samm", trees=("SAMM_CROP",))
    write_dfme(tmp_path / "casme2")
    return [tmp_path / name for name in ("smic", "casme2", "samm")]


@pytest.mark.slow
def test_loso_evaluates_the_challenges_sets_together(run, challenge, tmp_path):
    words = ("--task", "megc2019", "--image-size", 16, *QUICK)
    code, printed, err = run("loso", *challenge, "-o", tmp_path / "out", *words)
    assert code == 0, err
    values = results(tmp_path / "out")
    assert values["dataset"] == "casme2+samm+smic"
    assert {name: part["clips"] for name, part in values["by_dataset"].items()} == {
        "casme2": 4,  # others, fear and sadness are left out
        "samm": 4,
        "smic": 6,
    }
    text = " ".join(printed.split())
    assert "method Full SMIC CASME II SAMM" in text and "OrigiNet (this run) " in text
    assert "HTNet 0.860 / 0.848 0.805 / 0.791 0.953 / 0.952 0.813 / 0.812" in text
    assert "This run: 14 clips of 8 subjects; the challenge: 442 clips of 68 subjects, so" in text
    assert max(map(len, printed.split("MEGC 2019")[1].split("This run:")[0].splitlines())) <= 80
    page = (tmp_path / "out" / "report.html").read_text()
    assert "MEGC 2019, UF1 / UAR: this run and published scores" in page and "STSTNet" in page


@pytest.mark.slow
def test_loso_leaves_out_the_challenges_sets_one_by_one(run, challenge, tmp_path):
    words = ("--task", "megc2019", "--leave-out", "dataset", "--image-size", 16, *QUICK)
    code, printed, err = run("loso", *challenge, "-o", tmp_path / "out", *words)
    assert code == 0, err
    values = results(tmp_path / "out")
    folds = {fold["subject"]: fold for fold in values["folds"]}
    assert {name: len(fold["clips"]) for name, fold in folds.items()} == {
        name: part["clips"] for name, part in values["by_dataset"].items()
    }
    for name, fold in folds.items():
        assert {subject.partition("/")[0] for subject in fold["subjects"]} == {name}
        seen = sum(fold["training_counts"].values()) + sum(fold["validation_counts"].values())
        assert seen == 14 - len(fold["clips"])
    assert "STSTNet" not in printed + (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(InputError, match=r"needs at least 2 of them, got 1 \(smic\)"):
        read_challenge(challenge[0], leave_out="dataset")


def read_challenge(*paths, clips=None, **options):
    """Reads clips for task megc2019 without any other option."""
    unset = dict.fromkeys(("dataset", "annotations", "frames", "image_size", "crop_face"))
    given = unset | {"image_size": 16} | options
    return read_clips(paths, ["cumulative"], task="megc2019", clips=clips, **given)


@pytest.mark.slow
def test_the_challenges_sets_may_lie_under_one_root_and_be_listed(challenge, tmp_path, capsys):
    clips = read_challenge(tmp_path)
    assert clips.table["dataset"].value_counts().to_dict() == {"casme2": 4, "samm": 4, "smic": 6}
    assert clips.images["cumulative"].shape == (14, 16, 16) and len(clips.cuts) == 14
    assert not clips.crop_face and capsys.readouterr().err.count("of samm cannot") == 0
    own = {"smic": "3,s3_ne_01 3,s03_su_02 11,s11_po_01 s11,s11_ne_01", "casme2": "1,EP02_01f"}
    own["samm"] = "6,006_1_2 7,007_6_5 7,007_3_1"
    rows = [f"{name},{row}" for name, text in own.items() for row in text.split()]
    (tmp_path / "list.csv").write_text(
        "\n".join(["dataset,subject,clip", *rows, "samm,35,035_7_1"])
    )
    clips = read_challenge(*challenge, clips=tmp_path / "list.csv")
    assert clips.table["dataset"].value_counts().to_dict() == {"casme2": 1, "samm": 4, "smic": 4}


def test_a_composite_that_lacks_a_set_is_said_to(challenge, capsys):
    clips = read_challenge(challenge[0], challenge[2])
    assert set(clips.table["dataset"]) == {"smic", "samm"}
    told = "the composite of megc2019 has no casme2: "
    assert f"{told}none was given" in capsys.readouterr().err
    for path in (challenge[1] / "Cropped").rglob("*.jpg"):
        path.unlink()
    read_challenge(challenge[0].parent)
    assert f"{told}none of 7 clips of casme2 can be used" in capsys.readouterr().err


def test_roots_that_are_not_those_of_the_challenge_are_refused(challenge, tmp_path):
    with pytest.raises(InputError, match=r"smic is given twice: .*HS and .*HS"):
        read_challenge(challenge[0], challenge[0])
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"none of casme2, samm, smic has usable clips under .*no"):
        read_challenge(*challenge, tmp_path / "none")
    (tmp_path / "samm/SAMM_CROP").rename(tmp_path / "away")
    with pytest.raises(InputError, match=r"usable clips under .*samm; no frames in .*samm: looked"):
        read_challenge(*challenge)
    for option, value in (("annotations", "a.xlsx"), ("frames", "x"), ("set_name", "mine")):
        name = "name" if option == "set_name" else option
        with pytest.raises(InputError, match=f"--{name} is for one data set: choose it with --dat"):
            read_challenge(*challenge, **{option: Path(value)})
    with pytest.raises(InputError, match="--micro-only is for one data set"):
        read_challenge(*challenge, micro_only=True)


@pytest.mark.parametrize("stored", [True, False], ids=["store", "root"])
def test_methods_by_comma_are_joined_from_a_store_and_from_a_root(tree, tmp_path, stored):
    path = tmp_path / "out" if stored else tree
    if stored:
        make(tree, path, "rank", "apex", "dis")
    options = dict.fromkeys(("dataset", "annotations", "frames", "task", "crop_face"))
    made = read_clips([path], ["rank,dis"], **options, image_size=16)
    want = prepare.active_images(made.table, method="rank,dis", image_size=16)
    np.testing.assert_array_equal(made.images["rank,dis"], want)
    clips = made.sort()
    assert clips.images["rank,dis"].shape == (4, 16, 16, 4)
    assert clips.images_sha256["rank,dis"] not in (clips.images_sha256["rank"], None)
