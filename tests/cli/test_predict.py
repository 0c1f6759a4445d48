"""`originet predict`: clips, folders of them, and clips without a face or beyond reading."""

import csv
import io
import json

import pytest
from clips import random_frames, write_folder


def test_a_trained_model_answers_for_clips_and_folders_of_them(model, store, run, tmp_path):
    tree = store.parent / "tree"
    code, out, err = run("predict", model, tree)
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 8 and {row["label"] for row in rows} <= {"happiness", "sadness"}
    code, out, err = run("predict", model, rows[0]["clip"], "--json")
    assert code == 0, err
    (answer,) = json.loads(out)
    assert answer["label"] == rows[0]["label"]
    assert answer["confidence"] == pytest.approx(float(rows[0]["confidence"]), abs=1e-4)
    code, out, err = run("predict", model, tree, "-o", tmp_path / "answers.json", "--jobs", 2)
    assert code == 0 and out == "", err
    assert len(json.loads((tmp_path / "answers.json").read_text())) == 8


def test_a_clip_that_cannot_be_read_is_named_and_the_others_are_answered(model, run, tmp_path):
    sound = write_folder(tmp_path / "clips" / "sound", random_frames(5))
    broken = tmp_path / "clips" / "broken.mp4"
    broken.write_bytes(b"no video")
    code, out, err = run("predict", model, sound, broken)
    assert code == 2
    assert [row["clip"] for row in csv.DictReader(io.StringIO(out))] == [str(sound)]
    assert "1 of 2 clips failed" in err and str(broken) in err


def test_no_face_is_an_answer(model, run, tmp_path):
    card = json.loads((model / "model.json").read_text())
    card["cut"]["crop_face"] = True
    (model / "model.json").write_text(json.dumps(card))
    clip = write_folder(tmp_path / "clip", random_frames(5, (64, 64)))
    code, out, err = run("predict", model, clip)
    assert code == 0, err
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["label"] == "" and "no face found" in row["note"]
