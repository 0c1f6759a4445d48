"""`originet compare`: what is printed and written, and what is refused."""

import json
import sys

import pytest
from clips import random_frames, write_folder
from stores import make, write_tree

from originet.cli.inputs import read_clips
from originet.paper import comparison
from originet.system import timings

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")


@pytest.fixture(autouse=True)
def quick_timing(monkeypatch):
    monkeypatch.setattr(comparison.inference_times, "__kwdefaults__", {"budget": 0.0})


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree", subjects=3)


def cells(printed: str) -> dict[str, list[str]]:
    """The lines of a printed table by their first cell."""
    lines = [line.split() for line in printed.splitlines()]
    return {line[0]: line[1:] for line in reversed(lines) if line}


def chosen(*names: str) -> list[str]:
    return [word for name in names for word in ("--network", name)]


@pytest.mark.slow
def test_rows_are_printed_beside_the_papers(run, tree, tmp_path):
    out = tmp_path / "out"
    networks = chosen("MobileNetV2", "originet", "LBP-TOP")
    code, printed, err = run(
        *("compare", tree, "-o", out, *QUICK, "--image-size", 32, "--seed", 0, "--seed", 1),
        *networks,
    )
    assert code == 0, err
    told = json.loads((out / "compare.json").read_text())
    records = {record["row"]: record for record in told["rows"]}
    assert list(records) == ["MobileNetV2", "OrigiNet", "LBP-TOP"]
    title = "Comparison on folder: 6 clips, protocol strict, mean ± deviation of 2 seeds"
    assert title in " ".join(printed.split())
    first, second = printed.split("Sizes as in Table V, and time for one image on cpu")
    scores, sizes = cells(first), cells(second)
    for name, record in records.items():
        assert scores[name][:3] == [
            f"{100 * record['pooled_accuracy']:.2f}",
            "±",
            f"{100 * record['pooled_accuracy_std']:.2f}",
        ]
        assert scores[name][-3] == f"{record['uar']:.3f}"
    assert "LBP-TOP" not in sizes
    assert sizes["MobileNetV2"][0] == "2.23M"
    assert sizes["MobileNetV2"][1] == f"{records['MobileNetV2']['milliseconds']:.1f}"
    assert sizes["MobileNetV2"][2:] == ["53", "53", "3.50M", "13.4", "26.7", "53", "3.5M", "14"]
    assert sizes["OrigiNet"][2:] == ["11", "6", "1.87M", "7.1", "14.3", "≠", "10", "1.8M", "14.3"]
    for table in (first.split("Majority")[0], second.split("Published")[0]):
        assert max(map(len, table.splitlines())) <= 80 and "…" not in table
    assert "Majority-class baseline: 50.00 %" in printed and "Leaky" not in printed
    assert f"Clip list: sha256 {told['clip_list_sha256']}" in printed
    assert "): the clips are folder, the images have 32 pixels a side, not 128, the pr" in printed
    assert "Quoted" not in printed and told["rows"][0]["failed"] is None


@pytest.mark.slow
def test_times_that_are_unreliable_are_told(run, tree, tmp_path, monkeypatch):
    arguments = ("compare", tree, "-o", tmp_path / "out", *QUICK, "--image-size", 16)
    for steady, told in ((1e9, False), (-1, True)):
        monkeypatch.setattr(timings, "STEADY", steady)
        code, printed, err = run(*arguments, "--network", "OrigiNet")
        assert code == 0, err
        assert (
            "Unreliable times, perhaps because other programs were running: OrigiNet." in printed
        ) is told
        (record,) = json.loads((tmp_path / "out" / "compare.json").read_text())["rows"]
        assert record["milliseconds_reliable"] is not told


def test_a_row_that_cannot_be_evaluated_is_told_and_changes_the_exit_code(run, tree, tmp_path):
    # A store outlives its frames, which LBP-TOP alone would need.
    make(tree, tmp_path / "made")
    tree.rename(tmp_path / "moved")
    networks = chosen("VGG-16", "OrigiNet", "LBP-TOP")
    code, printed, err = run(
        "compare", tmp_path / "made", "-o", tmp_path / "out", *QUICK, *networks
    )
    assert code == 2
    first, lbp_top, vgg = err.splitlines()[-3:]
    assert first == "error: 2 of 3 rows could not be evaluated:"
    assert lbp_top.startswith(f"  LBP-TOP: the clips' frames are needed, but {tree}/")
    assert vgg == "  VGG-16: VGG-16 needs images of at least 32 pixels a side, got image_size 16"
    table = cells(printed.split("Majority")[0])
    assert table["VGG-16"] == table["LBP-TOP"] == ["not", "evaluated"]
    assert float(table["OrigiNet"][0]) >= 0


def test_figures_that_the_paper_quotes_are_told_to_be_so(run, tree, tmp_path, monkeypatch):
    def renamed(*arguments, **options):
        clips = read_clips(*arguments, **options)
        return clips._replace(table=clips.table.assign(dataset="casme2"))

    monkeypatch.setattr("originet.cli.inputs.read_clips", renamed)
    arguments = ("--protocol", "paper", "--validation-fraction", 0.4, "--epochs", 1)
    code, printed, err = run(
        *("compare", tree, "-o", tmp_path / "out", *arguments, "--rotation", 0),
        *("--image-size", 16, *chosen("OrigiNet")),
    )
    assert code == 0, err
    table = cells(printed.split("Majority")[0])
    assert table["OrigiNet"][-1] == "62.09"
    assert table["TICS"] == ["quoted", "61.11"] and table["CNN-LSTM"] == ["quoted", "N/A"]
    assert "not measured here: STLBP-IP (H, S, D, R, O), TICS (P, N, S, O), FHOFO" in printed
    text = " ".join(printed.split())
    assert "Leaky: " in text and "protocol paper (leaky)" in text
    assert "the classes are happiness, sadness, the images have 16" in text


def test_bad_input_of_compare(run, tree, tmp_path, monkeypatch):
    def refused(*arguments):
        code, printed, err = run("compare", tree, "-o", tmp_path / "out", *QUICK, *arguments)
        assert code == 2 and printed == "" and len(err.splitlines()) == 1
        assert not (tmp_path / "out").exists()
        return err

    assert refused("--network", "VGG").startswith("error: network must be one of AlexNet, VGG-16")
    assert "device 'cuda:99' cannot be used" in refused("--device", "cuda:99")
    monkeypatch.setitem(sys.modules, "timm", None)
    assert "(pip install 'originet[baselines]'), but timm cannot be imported" in refused()
    write_folder(tree / "sadness" / "s0" / "short", random_frames(2))
    alone = ("-o", tmp_path / "out", "--network", "LBP-TOP", "--image-size", 16)
    code, printed, err = run("compare", tree, *alone)
    assert code == 2 and printed == ""
    assert err.splitlines()[-1].startswith(
        f"error: none of 1 row could be evaluated, as LBP-TOP: {tree}/sadness/s0"
    )
