"""`originet ablation`: what is printed and written, and what is refused."""

import json

import pytest
from stores import make, write_tree
from torch import nn

from originet.datasets import synth
from originet.paper import ablation

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree", subjects=3)


@pytest.fixture
def made(tree, tmp_path):
    make(tree, tmp_path / "made", "cumulative", "rank")
    return tmp_path / "made"


def cells(printed: str) -> dict[str, list[str]]:
    """The lines of the printed table by their first cell."""
    lines = [line.split() for line in printed.splitlines()]
    return {line[0]: line[1:] for line in reversed(lines) if line}


@pytest.mark.slow
def test_rows_are_printed_beside_the_papers(run, made, tmp_path):
    out = tmp_path / "out"
    code, printed, err = run("ablation", made, "-o", out, *QUICK)
    assert code == 0, err
    assert "Ablations of Table VI on folder: 6 clips, protocol strict" in printed
    assert max(map(len, printed.split("Majority")[0].splitlines())) <= 80
    table = cells(printed)
    told = json.loads((out / "ablation.json").read_text())
    assert [record["row"] for record in told["rows"]] == [row.name for row in ablation.ROWS]
    for record, row in zip(told["rows"], ablation.ROWS, strict=True):
        pooled, fold, uf1, uar, parameters, mib, accuracy, *_ = table[row.name]
        assert pooled == f"{100 * record['pooled_accuracy']:.2f}"
        assert fold == f"{100 * record['fold_accuracy']:.2f}"
        assert (uf1, uar) == (f"{record['uf1']:.3f}", f"{record['uar']:.3f}")
        assert parameters == f"{record['parameters'] / 1e6:.3f}M"
        assert mib == f"{record['parameters'] * 8 / 2**20:.1f}"
        assert accuracy == f"{100 * row.paper.accuracy:.2f}"
    assert table["LFC"][-4:] == ["≠", "0.9M", "≠", "7.6"]
    assert "Majority-class baseline: 50.00 %" in printed
    assert f"Clip list: sha256 {told['clip_list_sha256']}" in printed
    departures = "the clips are folder, the images have 16 pixels a side, not 128, the protocol is"
    assert "Not as the paper's figures (CASME II" in printed and departures in printed
    assert "Leaky" not in printed and told["leaky"] is False
    both, small = (told["lfc_by_variant"][name]["parameters"] for name in ("paper", "authors"))
    assert f"LFC has {both:,} parameters" in printed and f"{small:,} (" in printed


@pytest.mark.slow
def test_chosen_rows_of_several_seeds_need_their_methods_only(run, tree, made, tmp_path):
    make(tree, tmp_path / "dynamic", "rank")
    arguments = ("-o", tmp_path / "out", *QUICK, "--seed", 0, "--seed", 4, "--row", "wdy")
    code, printed, err = run("ablation", tmp_path / "dynamic", *arguments)
    assert code == 0, err
    assert "6 clips, protocol strict, mean ± deviation of 2 seeds" in " ".join(printed.split())
    assert "WDy" in printed and "LFC" not in printed and "OrigiNet" not in printed
    # More rows later; those that are finished are read.
    code, printed, err = run("ablation", made, *arguments, "--row", "OrigiNet")
    assert code == 0, err
    assert {"WDy", "OrigiNet"} < cells(printed).keys()


@pytest.mark.slow
def test_the_papers_protocol_is_told_to_leak(run, made, tmp_path):
    arguments = ("ablation", made, "-o", tmp_path / "out", "--epochs", 1, "--row", "LFC")
    code, printed, err = run(*arguments, "--protocol", "paper", "--class-weights", "balanced")
    assert code == 0, err
    text = " ".join(printed.split())
    assert "Leaky: " in text and "balanced" in text and "the protocol is" not in text
    told = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert told["leaky"] is True and "leaky" in told["rows"][0]["protocol"]


@pytest.mark.slow
def test_a_root_gives_what_its_store_gives(run, tree, made, tmp_path):
    tables = []
    for path, more in ((made, ()), (tree, ("--image-size", 16))):
        out = tmp_path / f"ablation-{path.name}"
        arguments = ("ablation", path, "-o", out, *QUICK, "--row", "WDy", "--row", "LR", *more)
        code, _, err = run(*arguments)
        assert code == 0, err
        told = json.loads((out / "ablation.json").read_text())
        tables.append([record | {"seconds": 0} for record in told["rows"]])
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_semi_synthetic_clips_are_named_so(run, tmp_path):
    clips = synth.generate(tmp_path / "clips", subjects=2, clips_per_class=1)
    arguments = ("ablation", clips, "-o", tmp_path / "out", *QUICK, "--image-size", 16)
    code, printed, err = run(*arguments, "--row", "KS-1")
    assert code == 0, err
    assert "Ablations of Table VI on semi-synthetic: 8 clips" in printed
    assert "the clips are semi-synthetic" in printed
    assert json.loads((tmp_path / "out" / "ablation.json").read_text())["semi_synthetic"] is True


def test_a_row_that_fails_is_told_and_changes_the_exit_code(run, made, tmp_path, monkeypatch):
    def forward(self, x):
        raise RuntimeError("CUDA out of memory. [tried]")

    monkeypatch.setattr(nn.Sigmoid, "forward", forward)
    arguments = ("ablation", made, "-o", tmp_path / "out", *QUICK, "--row", "Sig")
    code, printed, err = run(*arguments, "--row", "LR")
    assert code == 2
    first, second = err.splitlines()[-2:]
    assert first == "error: 1 of 2 rows failed:"
    reason = "Sig: seed 0, subject s0: CUDA out of memory. [tried]"
    assert second == f"  {reason}; a smaller batch_size or fewer folds at a time may help"
    assert cells(printed)["Sig"][0] == "failed"
    assert cells(printed)["LR"][-5:] == ["57.79", "≠", "1.8M", "≠", "14.3"]
    # Alone it leaves no table to print.
    code, printed, err = run(*arguments)
    assert code == 2 and printed == ""
    assert f"none of 1 row could be evaluated, as {reason}" in err


def test_bad_input_of_ablation(run, tree, tmp_path):
    store, out = tmp_path / "cumulative only", tmp_path / "out"
    make(tree, store, "cumulative")
    for arguments, message in (
        (
            (),
            f"{store} has no images by rank, only by cumulative: run its `originet prepare` with ",
        ),
        (("--row", "KS-3"), "row must be one of Sig, LR, LFC, KS-1, KS-2, WDy, OrigiNet, got"),
        (("--method", "rank"), "method 'rank' is what row WDy takes"),
        (("--epochs", 0), "epochs must be at least 1, got 0"),
        (("--device", "cuda:99"), "device 'cuda:99' cannot be used"),
    ):
        code, printed, err = run("ablation", store, "-o", out, *QUICK, *arguments)
        assert code == 2 and printed == "" and err.startswith(f"error: {message}"), err
        assert len(err.splitlines()) == 1
    assert not out.exists()


@pytest.mark.slow
def test_executors_give_the_same_table(run, made, tmp_path):
    told = []
    for name, more in (("serial", ()), ("processes", ("--workers", 2))):
        out = tmp_path / name
        rows = ("--row", "LR", "--row", "WDy")
        arguments = ("ablation", made, "-o", out, *QUICK, *rows, "--executor", name, *more)
        code, _, err = run(*arguments, "--threads", 1)
        assert code == 0, err
        folds = [path.suffix for path in (out / "WDy" / "folds").iterdir()]
        assert sorted(folds) == [".json"] * 3 + [".safetensors"] * 3
        table = json.loads((out / "ablation.json").read_text())
        told.append([record | {"seconds": 0} for record in table["rows"]])
    assert told[0] == told[1]
    code, _, err = run(*arguments, "--threads", 2, "--no-weights")
    assert code == 2 and err.endswith("another run: compute.threads is 1 there, 2 here\n")
