"""`originet prepare`: what is printed, and what is refused."""

import dataclasses

import pandas as pd
import pytest
from stores import frame_of, write_tree
from trees_cas_me2 import write_cas_me2
from trees_casme import write_casme
from trees_casme2 import write_casme2
from trees_samm import write_samm

from originet import datasets
from originet.datasets import Omission, Survey, store
from originet.datasets.prepare import Settings
from originet.evaluation.splits import check_table


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


def test_prepare_writes_a_store_and_goes_on_with_it(run, tree, tmp_path):
    out = tmp_path / "out"
    code, printed, err = run("prepare", "folder", tree, "-o", out, "--image-size", 16)
    assert code == 0, err
    assert "clips/s" in err and f"{out}: 4 of 4 clips, cumulative\n" in printed
    header, total = printed.splitlines()[:2]
    assert header.split() == ["happiness", "sadness", "total"]
    assert total.split() == ["total", "2", "2", "4"]
    assert store.read_store(out).manifest["settings"] == {
        "image_size": 16,
        "crop_face": False,
        "align_eyes": False,
        "margin": 0.1,
        "face_by": "viola-jones",
    }
    arguments = ("prepare", "folder", tree, "-o", out, "--image-size", 16, "--method", "rank")
    code, printed, _ = run(*arguments, "--method", "authors", "--jobs", 1)
    assert code == 0 and "4 of 4 clips, cumulative (kept), authors, rank\n" in printed


def test_failed_clips_are_told_and_change_the_exit_code(run, tree, tmp_path):
    frame = frame_of(tree)
    frame.write_bytes(frame.read_bytes()[:-20])
    arguments = ("prepare", "folder", tree, "-o", tmp_path / "out", "--image-size", 16)
    code, printed, err = run(*arguments)
    assert code == 2 and "3 of 4 clips, cumulative\n" in printed
    message, reason = err.splitlines()[-2:]
    assert message == "error: 1 of 4 clips failed:"
    assert reason.startswith("  s1/sadness_1: ") and str(frame) in reason
    assert len(store.read_store(tmp_path / "out").table) == 3


def paper_set(tree, **values) -> Survey:
    """A tree as if it were CASME II."""
    found = datasets.survey("folder", tree)
    labels = {"happiness": "positive", "sadness": "negative"}
    table = found.table.assign(dataset="casme2", label=found.table["emotion"].map(labels))
    omission = Omission("coding.xlsx, row 9", "sub02", "EP01", "sadness", "no folder of frames")
    return dataclasses.replace(
        found, dataset="casme2", task="paper", table=table, unusable=[omission], **values
    )


def test_counts_stand_beside_the_papers(run, monkeypatch, tree, tmp_path):
    found = paper_set(tree)
    monkeypatch.setattr(datasets, "survey", lambda *_, **__: found)
    code, printed, err = run("prepare", "casme2", tree, "-o", tmp_path / "out")
    assert code == 0, err  # clips that the survey could not use are told, no more
    lines = [line.split() for line in printed.splitlines()]
    assert lines[:4] == [
        ["negative", "others", "positive", "surprise", "total"],
        ["total", "2", "0", "2", "0", "4"],
        ["paper", "67", "126", "32", "25", "250"],
        ["difference", "-65", "-126", "-30", "-25", "-246"],
    ]
    assert "corrections: 0, unusable clips: 1" in printed
    assert "  coding.xlsx, row 9 (sub02/EP01): no folder of frames\n" in printed


@pytest.mark.parametrize(
    ("cropped", "option", "want"),
    [
        (True, (), False),
        (True, ("--crop-face",), True),
        (False, (), True),
        (False, ("--no-crop-face",), False),
        (True, ("--face", "viola-jones"), True),
        (False, ("--face", "none"), False),
    ],
)
def test_faces_are_cut_out_where_the_frames_show_more(
    run, monkeypatch, tree, tmp_path, cropped, option, want
):
    asked = []
    found = paper_set(tree, cropped=cropped)
    monkeypatch.setattr(datasets, "survey", lambda *_, **__: found)

    def write_store(found, out, settings, **options):
        asked.append(settings)
        return original(found, out, dataclasses.replace(settings, crop_face=False), **options)

    original = store.write_store
    monkeypatch.setattr(store, "write_store", write_store)
    code, _, err = run("prepare", "casme2", tree, "-o", tmp_path / "out", *option)
    assert code == 0, err
    assert asked == [Settings(crop_face=want)]


def test_bad_input_of_prepare(refuse, tree, tmp_path):
    out = tmp_path / "out"
    assert "unknown data set 'casme9'" in refuse("prepare", "casme9", tree, "-o", out)
    assert "got 'rnk'" in refuse("prepare", "folder", tree, "-o", out, "--method", "rnk")
    assert "all different" in refuse(
        "prepare", "folder", tree, "-o", out, "--method", "rank", "--method", "rank"
    )
    assert "crop_face" in refuse("prepare", "folder", tree, "-o", out, "--align-eyes")
    assert "jobs must be at least 1" in refuse("prepare", "folder", tree, "-o", out, "--jobs", 0)
    assert "is another command's" not in refuse("prepare", "folder", out, "-o", tree)
    told = refuse("prepare", "folder", tree, "-o", out, "--face", "mtcnn")
    assert "--face must be viola-jones, landmarks, none, got 'mtcnn'" in told
    told = refuse("prepare", "folder", tree, "-o", out, "--face", "landmarks", "--no-crop-face")
    assert "--no-crop-face is short for --face none: leave it out with --face landmarks" in told
    told = refuse("prepare", "folder", tree, "-o", out, "--face", "landmarks", "--align-eyes")
    assert "--align-eyes is implied by --face landmarks" in told
    run_size = ("prepare", "folder", tree, "-o", out, "--image-size")
    assert "image_size must be in 1..4096, got 0" in refuse(*run_size, 0)


@pytest.mark.slow
def test_the_papers_sets_become_stores_and_a_composite(run, tmp_path):
    writers = {
        "casme": write_casme,
        "casme2": write_casme2,
        "cas_me2": write_cas_me2,
        "samm": write_samm,
    }
    for name, write in writers.items():
        write(tmp_path / name)
        out = tmp_path / f"{name} store"
        arguments = ("prepare", name, tmp_path / name, "-o", out, "--task", "three")
        code, _, err = run(*arguments, "--no-crop-face", "--image-size", 16)
        assert code == 0, err
        made = store.read_store(out)
        found = datasets.survey(name, tmp_path / name, task="three")
        pd.testing.assert_frame_equal(made.table, found.table)
        assert made.manifest["annotations"] == found.annotations.name
        assert len(made.manifest["left_out"]) == len(found.left_out) > 0
    stores = [store.read_store(tmp_path / f"{name} store") for name in writers]
    subjects, classes, _ = check_table(store.combine_stores(stores).table)
    assert {subject.split("/")[0] for subject in subjects} == set(writers)
    assert classes == ("negative", "positive", "surprise")
