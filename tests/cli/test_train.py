"""`originet train`, and what it refuses as `originet predict` does."""

import json

import pytest

TINY = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--batch-size", 4)


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
