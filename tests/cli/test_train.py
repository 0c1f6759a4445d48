"""`originet train` and `originet predict`, from clips to answers."""

import csv
import io
import json

import pytest
from clips import random_frames, write_folder
from stores import make, write_tree

TINY = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--batch-size", 4)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    make(write_tree(root / "tree", subjects=4), root / "store")
    return root / "store"


@pytest.fixture
def model(store, run, tmp_path):
    code, out, err = run("train", store, "-o", tmp_path / "model", "--seeds", 2, *TINY)
    assert code == 0, err
    assert "2 networks on 8 clips of 4 subjects, epochs 1, 1; happiness, sadness" in out
    return tmp_path / "model"


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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["predict", "MODEL"], "give videos or folders, or - for a pipe, or --camera N"),
        (["predict", "MODEL", "a.mp4", "--camera", "0"], "give videos or folders"),
        (["predict", "MODEL", "a.mp4", "-o", "a.txt"], "a.txt must end in .csv or .json"),
        (["predict", "MODEL", "a.mp4", "-o", "a.csv", "--json"], "--json is for what is printed"),
        (["predict", "MODEL", "a.mp4", "--seconds", "3"], "--seconds 3 is for - and --camera"),
        (["predict", "MODEL", "-", "--jobs", "2"], "--jobs 2 is for files"),
        (["predict", "MODEL", "-", "a.mp4"], "- reads one video from a pipe"),
        (["predict", "MODEL", "none.mp4"], "no such file or folder: none.mp4"),
        (["predict", "STORE", "a.mp4"], "is not a model: it has no model.json"),
        (["train", "STORE", "-o", "OUT", "--seeds", "0"], "--seeds must be 1 to 1,000, got 0"),
        (["train", "STORE", "-o", "OUT", "--seeds", "2", "--seed", "5"], "--seeds 2 and --seed"),
        (["train", "STORE", "-o", "OUT", "--executor", "processes"], "are for folds"),
        (["train", "STORE", "-o", "OUT", "--evaluated", "STORE"], "has no results.json"),
    ],
)
def test_wrong_options_end_in_one_line(arguments, told, store, run, tmp_path, request):
    places = {"STORE": store, "OUT": tmp_path / "out"}
    if "MODEL" in arguments:
        places["MODEL"] = request.getfixturevalue("model")
    code, _, err = run(*(places.get(word, word) for word in arguments))
    assert code == 2 and told in err and "Traceback" not in err, err


@pytest.mark.slow
def test_a_model_is_trained_as_it_was_evaluated(store, run, tmp_path):
    code, _, err = run("loso", store, "-o", tmp_path / "results", *TINY)
    assert code == 0, err
    made = ("train", store, "-o", tmp_path / "model", "--evaluated", tmp_path / "results")
    code, _, err = run(*made)
    assert code == 0, err
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["config"]["batch_size"] == 4 and card["evaluated"]["subjects"] == 4
    code, _, err = run(*made, "--learning-rate", 0.5)
    assert code == 2 and "learning_rate is 0.001 there, 0.5 here" in err
