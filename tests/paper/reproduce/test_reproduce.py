"""`originet reproduce`: the page, the tables, resuming, and what is refused."""

import io
import json
import re
import signal

import numpy as np
import pandas as pd
import pytest
from folds import sorted_clips
from interrupted import PROCESSES, QUICK_LOOK, kill_reproduction, reproduce_some
from PIL import Image
from stores import make, write_tree

from originet.datasets import load_dataset, synth
from originet.datasets.prepare import Settings, images_by_method
from originet.paper import reproduce

pytestmark = pytest.mark.usefixtures("one_thread")


def words(page: str) -> str:
    """The text of a page, without its tags and pictures."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL).split())


def tables(out) -> dict[str, bytes]:
    """The tables' bytes by name, without what a killed process left half written."""
    return {path.name: path.read_bytes() for path in sorted((out / "tables").glob("[!.]*"))}


@pytest.mark.slow
def test_without_data_everything_is_made_from_semi_synthetic_clips(run, tmp_path):
    out = tmp_path / "out"
    code, printed, err = run("reproduce", "-o", out, "--quick", "--image-size", 32)
    assert code == 0, err
    assert printed.split() == ["Report:", str(out / "report.html")]
    page = (out / "report.html").read_text()
    title = "The paper's tables and figures, on semi-synthetic clips (quick look)"
    assert f"<title>{title.replace(chr(39), '&#x27;')}</title>" in page
    assert re.findall("<h2 id[^>]*>(.*?)</h2>", page) == [
        "Table I and Fig. 3: activation functions",
        "Table II: clips",
        "Fig. 2: active images",
        "Tables III and IV: accuracies",
        "Table V: complexity",
        "Table VI: ablations",
        "Fig. 4: responses of the first layer",
        "Fig. 5: response maps",
        "Licensed data",
        "Settings",
        "Made with",
    ]
    text = words(page)
    assert "they say nothing about real micro-expressions" in text
    assert text.count("Open:") == 8 and "Not made" not in text
    assert "casme.psych.ac.cn/casme/e2" in text and text.count("not here") == 4
    assert "Every accuracy printed for SAMM is below that of the majority class" in text
    assert "script" not in page.split("</style>")[1].replace("descriptor", "")

    read = {name: pd.read_csv(io.BytesIO(data)) for name, data in tables(out).items()}
    erratum = read["erratum.csv"].set_index("quantity")["computed"]
    assert erratum["ψ′ from the left at 0"] == pytest.approx(0.3, abs=1e-8)
    assert erratum["largest error of the printed ψ′, x < 0"] == pytest.approx(0.45, abs=1e-3)
    assert erratum["smallest value of ψ"] < 0
    assert (read["clips.csv"]["clips"] == 8).all() and len(read["clips.csv"]) == 4
    assert read["table2.csv"]["clips"].isna().all()
    totals = read["table2.csv"].query("emotion == 'total'")
    assert totals["paper"].tolist() == [189, 250, 341, 159]
    sizes = read["table5.csv"].set_index("network")["parameters"]
    assert sizes["OrigiNet"] == 1_872_548 and sizes["VGG-16"] == 138_357_544
    told = json.loads((out / "ablation" / "ablation.json").read_text())["rows"]
    assert read["table6.csv"]["row"].tolist() == [row["row"] for row in told]
    assert read["table6.csv"]["pooled_accuracy"].tolist() == [r["pooled_accuracy"] for r in told]
    measured = read["table3_4.csv"]
    assert set(measured["row"]) == set(reproduce.QUICK_ROWS)
    assert measured["pooled_accuracy"].between(0, 1).all()
    shown = read["figure5.csv"]
    assert len(shown) == 3 * 8 and set(shown["network"]) == set(reproduce.PICTURED)
    probabilities = shown.filter(like="probability of ")
    assert (probabilities.max(axis=1) == shown["probability"]).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    pictures = sorted(path.name for path in (out / "figures").iterdir())
    assert pictures == ["erratum.png", *(f"figure{number}.png" for number in (2, 3, 4, 5))]
    for name in pictures:
        Image.open(out / "figures" / name).verify()
    assert page.count("<svg ") == 5


@pytest.fixture
def given(tmp_path):
    """12 semi-synthetic clips and their images."""
    root = synth.generate(tmp_path / "clips", subjects=3, clips_per_class=1)
    table = load_dataset("synthetic", root)
    images = images_by_method(table, Settings(("cumulative", "rank"), QUICK_LOOK.image_size))
    return sorted_clips(table, images)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_tables(given, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "PICTURED", reproduce.PICTURED)  # put back at the end
    out = tmp_path / "out"
    # Responses and comparison are finished then, the ablations half.
    process = PROCESSES.Process(target=kill_reproduction, args=(given, out, "KS-2/folds/seed0_001"))
    process.start()
    process.join(600)
    assert process.exitcode == -signal.SIGKILL
    assert len(list(out.glob("ablation/*/folds/*.json"))) in range(5, 20)
    assert not (out / "report.html").exists()
    assert not reproduce_some(given, out).failed
    whole = tmp_path / "whole"
    reproduce_some(given, whole)
    assert tables(out) == tables(whole) and len(tables(out)) == 12
    for name in ("figure4.png", "figure5.png"):
        assert (out / "figures" / name).read_bytes() == (whole / "figures" / name).read_bytes()


@pytest.mark.slow
def test_real_sets_are_named_and_counted_and_leaks_are_told(run, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "PICTURED", ("OrigiNet",))
    make(write_tree(tmp_path / "tree", subjects=3), tmp_path / "store", "cumulative", "rank")
    out = tmp_path / "out"
    arguments = ("--epochs", 1, "--protocol", "paper", "--network", "originet", "--seed", 0)
    code, _, err = run("reproduce", tmp_path / "store", "-o", out, *arguments, "--seed", 1)
    assert code == 0, err
    text = words((out / "report.html").read_text())
    assert "tables and figures, on a folder of clips" in text and "A quick look" not in text
    assert "Leaky: " in text and "protocol paper (leaky)" in text and "semi-synthetic" not in text
    assert "2 seeds" in text and " ± " in text
    assert (out / "figures" / "figure2.png").exists()


@pytest.mark.slow
def test_what_fails_is_told_and_the_rest_is_made(run, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "PICTURED", ("OrigiNet", "VGG-19"))
    tree = write_tree(tmp_path / "tree", subjects=3)
    make(tree, tmp_path / "store", "cumulative", "rank")
    tree.rename(tmp_path / "elsewhere")
    out = tmp_path / "out"
    arguments = ("-o", out, "--quick", "--network", "OrigiNet")
    code, printed, err = run("reproduce", tmp_path / "store", *arguments)
    assert code == 2 and "Report:" in printed
    lines = err.splitlines()[-3:]
    assert lines[0] == "error: 2 parts could not be made:"
    assert lines[1].startswith("  Fig. 2, frames: no such file: ")
    assert lines[2].startswith("  Figs. 4 and 5, VGG-19: VGG-19 needs images of at least 32 pixels")
    text = words((out / "report.html").read_text())
    assert "Table VI: ablations 6 clips (a folder of clips) made" in text
    assert "Fig. 2: active images 6 clips (a folder of clips) incomplete: no such file" in text
    assert "Missing frames are not shown: no such file" in text
    assert "VGG-19 failed: VGG-19 needs images of at least 32 pixels" in text
    assert (out / "figures" / "figure5.png").exists()

    monkeypatch.setattr(reproduce, "PICTURED", ("OrigiNet",))
    _, _, err = run("reproduce", tmp_path / "store", *arguments)
    assert "error: 1 part could not be made:\n  Fig. 2, frames: " in err


def test_bad_input_of_reproduce(run, tmp_path):
    store, file = tmp_path / "store", tmp_path / "file"
    make(write_tree(tmp_path / "tree", subjects=3), store, "cumulative", "rank")
    file.write_text("")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").write_text('{"quick": false}')
    out = tmp_path / "out"
    for arguments, message in (
        (("-o", file / "out"), f"out: cannot write to {file / 'out'}: Not a directory"),
        (("-o", tmp_path / "taken"), f"{tmp_path / 'taken'} holds results of another run: "),
        (("-o", out, "--epochs", 3), "a quick look sets epochs itself, got 3"),
        (("-o", out, "--select", "best"), "select must be one of"),
        (("-o", out, "--network", "VGG-20"), "network must be one of AlexNet, "),
        (("-o", out, "--method", "rank"), "method 'rank' is what row WDy takes"),
        (("-o", out, "--device", "cuda:99"), "device 'cuda:99' cannot be used"),
        (("-o", out, "--protocol", "paper"), "rotations must be several, or equalize on"),
    ):
        code, printed, err = run("reproduce", store, "--quick", *arguments)
        assert code == 2 and printed == "" and err.startswith(f"error: {message}"), err
        assert len(err.splitlines()) == 1
    assert not out.exists()
    code, _, err = run("reproduce", "-o", file, "--quick")
    assert code == 2 and len(err.splitlines()) == 1 and str(file) in err
