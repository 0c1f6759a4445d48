"""`originet loso` writes a report, `originet report` makes it again."""

import json
import re
import shutil

import pytest
from pages import Parsed
from stores import make, write_tree
from torch import nn

from originet.datasets import synth

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = ("--epochs", 1, "--rotation", 0, "--no-equalize")


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree", subjects=3)


@pytest.fixture
def made(tree, tmp_path):
    make(tree, tmp_path / "made")
    return tmp_path / "made"


@pytest.fixture
def finished(run, made, tmp_path):
    """The folder of a finished run."""
    code, _, err = run("loso", made, "-o", tmp_path / "out", *QUICK)
    assert code == 0, err
    return tmp_path / "out"


def up_to_made_with(folder):
    return (folder / "report.html").read_text().split(">Made with</h2>")[0]


def pictures(folder):
    images = Parsed((folder / "report.html").read_text()).all("img")
    return [attrs for attrs in images if attrs["alt"].startswith("Active image")]


@pytest.mark.slow
def test_loso_writes_a_report_with_pictures(finished):
    html = (finished / "report.html").read_text()
    page = Parsed(html)
    results = json.loads((finished / "results.json").read_text())
    assert (
        re.search("<title>(.*)</title>", html).group(1)
        == "OrigiNet on a folder of clips, protocol strict"
    )
    assert ["clip list (SHA-256)", results["clip_list_sha256"]] in page.rows
    assert ["torch", results["compute"]["torch"]] in page.rows
    assert any(row[0] == "python" for row in page.rows)
    wrong = sum(t != p for t, p in zip(results["y_true"], results["y_pred"][0], strict=True))
    right = {p for t, p in zip(results["y_true"], results["y_pred"][0], strict=True) if t == p}
    assert len(pictures(finished)) == wrong + len(right) > 0


@pytest.mark.slow
def test_report_made_again_is_the_same_but_for_what_it_is_made_with(run, finished, made, tree):
    first = up_to_made_with(finished)
    (finished / "report.html").unlink()
    code, printed, err = run("report", finished, made)
    assert (code, err) == (0, "")
    assert f"Report: {finished / 'report.html'}" in printed and "without" not in printed
    assert up_to_made_with(finished) == first
    # A root gives the same images, made with the settings of the run.
    code, _, err = run("report", finished, tree)
    assert code == 0, err
    assert up_to_made_with(finished) == first


@pytest.mark.slow
def test_report_without_the_clips_says_what_it_lacks(run, finished):
    code, printed, _ = run("report", finished)
    assert code == 0
    assert "without pictures of clips: give the run's PATH to include" in printed
    assert pictures(finished) == []
    assert "No pictures are shown" in (finished / "report.html").read_text()


@pytest.mark.slow
def test_titles_name_generated_clips_and_leaks(run, tmp_path):
    clips = synth.generate(tmp_path / "clips", subjects=2, clips_per_class=1)
    arguments = ("--epochs", 1, "--image-size", 16, "--protocol", "paper", "--seed", 3, "--seed", 4)
    code, _, err = run("loso", clips, "-o", tmp_path / "out", *arguments)
    assert code == 0, err
    html = (tmp_path / "out" / "report.html").read_text()
    title = "OrigiNet on semi-synthetic clips, protocol paper (leaky)"
    assert f"<title>{title}</title>" in html and f"<h1>{title}</h1>" in html
    assert "Leaky: copies of one clip" in html and "± " in html
    assert ["seeds", "3, 4"] in Parsed(html).rows


@pytest.mark.slow
def test_report_writes_logs_for_tensorboard_and_nothing_else(run, finished, tmp_path):
    pytest.importorskip("tensorboard")
    before = (finished / "report.html").read_bytes()
    code, printed, err = run("report", finished, "--tensorboard", tmp_path / "logs")
    assert (code, err) == (0, "")
    assert f"3 folds: tensorboard --logdir {tmp_path / 'logs'}" in printed
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == ["seed0_000_s0", "seed0_001_s1", "seed0_002_s2"]
    assert (finished / "report.html").read_bytes() == before


@pytest.mark.slow
def test_ablation_writes_a_report_beside_the_papers_figures(run, made, tmp_path):
    out = tmp_path / "out"
    rows = ("--row", "KS-1", "--row", "LFC", "--seed", 0, "--seed", 1)
    code, printed, err = run("ablation", made, "-o", out, *QUICK, *rows)
    assert code == 0, err
    assert f"report: {out / 'report.html'}" in printed
    page = Parsed((out / "report.html").read_text())
    records = {
        each["row"]: each for each in json.loads((out / "ablation.json").read_text())["rows"]
    }
    assert records.keys() == {"KS-1", "LFC"}
    for name, record in records.items():
        scores, sizes = (row for row in page.rows if row[0] == name)
        interval = json.loads((out / name / "results.json").read_text())["intervals"]
        low, high = interval["pooled_accuracy"]
        assert scores[1:4] == [
            record["change"],
            f"{100 * record['pooled_accuracy']:.1f} ± {100 * record['pooled_accuracy_std']:.1f} %",
            f"{100 * low:.1f} to {100 * high:.1f} %",
        ]
        assert scores[-1] == f"{100 * record['paper_accuracy']:.2f} %"
        assert sizes[1] == f"{record['parameters']:,}"
    assert "≠ 0.9M" in page.text and "LFC has " in page.text
    assert "Not as the paper's figures" in page.text
    assert ["clip list (SHA-256)", records["LFC"]["clip_list_sha256"]] in page.rows


def test_ablation_reports_a_row_that_failed(run, made, tmp_path, monkeypatch):
    def forward(self, x):
        raise RuntimeError("no <sigmoid> here")

    monkeypatch.setattr(nn.Sigmoid, "forward", forward)
    rows = ("--row", "Sig", "--row", "LR")
    code, _, _ = run("ablation", made, "-o", tmp_path / "out", *QUICK, *rows)
    assert code == 2
    page = Parsed((tmp_path / "out" / "report.html").read_text())
    assert ["Sig", "sigmoid for psi", "failed", "-", "-", "-", "-", "54.13 %"] in page.rows
    assert "Sig could not be evaluated: " in page.text and "no <sigmoid> here" in page.text


@pytest.mark.slow
def test_compare_writes_a_report_beside_the_papers_figures(run, tree, tmp_path):
    out = tmp_path / "out"
    rows = ("--network", "OrigiNet", "--network", "LBP-TOP", "--network", "VGG-16")
    code, printed, err = run("compare", tree, "-o", out, "--image-size", 16, *QUICK, *rows)
    assert code == 2 and "1 of 3 rows could not be evaluated:" in err  # VGG-16 needs 32 pixels
    assert f"report: {out / 'report.html'}" in printed
    html = (out / "report.html").read_text()
    page = Parsed(html)
    assert "<title>Comparison on a folder of clips, protocol strict</title>" in html
    records = {each["row"]: each for each in json.loads((out / "compare.json").read_text())["rows"]}
    for name in ("OrigiNet", "LBP-TOP"):
        interval = json.loads((out / name / "results.json").read_text())["intervals"]
        low, high = interval["pooled_accuracy"]
        (scores, *_) = (row for row in page.rows if row[0] == name)
        assert scores == [
            name,
            f"{100 * records[name]['pooled_accuracy']:.1f} %",
            f"{100 * low:.1f} to {100 * high:.1f} %",
            *(f"{100 * records[name][key]:.1f} %" for key in ("fold_accuracy", "uf1", "uar")),
            "-",
        ]
    assert ["VGG-16", "failed", "-", "-", "-", "-", "-"] in page.rows
    assert "VGG-16 could not be evaluated: VGG-16 needs images of at least 32 pixels" in page.text
    (size,) = (row for row in page.rows if row[0] == "OrigiNet" and len(row) == 11)
    assert size[1:3] == [
        f"{records['OrigiNet']['parameters']:,}",
        f"{records['OrigiNet']['milliseconds']:.1f}",
    ]
    assert size[-3:] == ["≠ 10", "1.8M", "14.3"]
    assert "Not as the paper's figures" in page.text
    assert ["clip list (SHA-256)", records["OrigiNet"]["clip_list_sha256"]] in page.rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("ablation", ("--row", "LFC", "--row", "WDy", "--seed", 0, "--seed", 1)),
        ("compare", ("--network", "OrigiNet", "--network", "LBP-TOP", "--network", "VGG-16")),
    ],
)
def test_tables_are_reported_again_from_their_folder(run, tree, tmp_path, command, options):
    out = tmp_path / "out"
    run(command, tree, "-o", out, "--image-size", 16, *QUICK, *options)
    first = up_to_made_with(out)
    assert ">Settings</h2>" in first
    (out / "report.html").unlink()
    tree.rename(tmp_path / "moved")  # neither clips nor networks are needed
    code, printed, err = run("report", out)
    assert (code, printed, err) == (0, f"Report: {out / 'report.html'}\n", "")
    assert up_to_made_with(out) == first
    assert "report rewritten by" in (out / "report.html").read_text()
    for arguments, message in (
        ((out, tmp_path / "moved"), f"`originet {command}` has no pictures"),
        (
            (out, "--tensorboard", tmp_path / "logs"),
            f"the folder of one network, such as one in {out}",
        ),
    ):
        code, _, err = run("report", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1
    path = out / f"{command}.json"
    for text in ("[]", "{}", '{"rows": [{"row": "none"}]}', path.read_text().replace("LFC", "x")):
        before, _ = path.read_bytes(), path.write_text(text)
        if before != path.read_bytes():
            code, _, err = run("report", out)
            assert code == 2 and err.startswith(f"error: {path}") and err.count("\n") == 1, err
        path.write_bytes(before)


@pytest.mark.slow
def test_a_reproduction_is_reported_again_without_training(run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    arguments = ("reproduce", "-o", out, "--quick", "--image-size", 16, "--network", "OrigiNet")
    run(*arguments)  # the networks of some pictures need larger images: exit code 2
    first = up_to_made_with(out)
    folds = {path: path.stat().st_mtime_ns for path in out.rglob("folds/*.json")}
    assert folds
    (out / "report.html").write_text("")
    code, printed, err = run("report", out)
    assert f"Report: {out / 'report.html'}" in printed and code in (0, 2), err
    assert up_to_made_with(out) == first
    assert {path: path.stat().st_mtime_ns for path in out.rglob("folds/*.json")} == folds
    (out / "report.html").unlink()
    code, _, err = run("report", out)
    assert code == 2 and err == f"error: {out} is unfinished: run the same command again\n"
    code, printed, err = run("report", out / "ablation")
    assert code == 0 and f"Report: {out / 'ablation' / 'report.html'}" in printed, err


def test_folders_of_no_run_are_told_what_was_looked_for(run, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "none"):
        code, _, err = run("report", folder)
        assert code == 2 and err.count("\n") == 1
        for name in ("results.json", "ablation.json", "compare.json", "config.json"):
            assert name in err
    (tmp_path / "demo" / "clips").mkdir(parents=True)
    (tmp_path / "demo" / "loso").mkdir()
    (tmp_path / "demo" / "loso" / "config.json").write_text("{}")
    code, _, err = run("report", tmp_path / "demo")
    assert code == 2 and f"`originet demo -o {tmp_path / 'demo'}` rewrites its report" in err
    study = tmp_path / "study"
    study.mkdir()
    (study / "config.json").write_text('{"config": {}}')
    code, _, err = run("report", study)
    assert code == 2 and f"{study} is unfinished" in err


@pytest.mark.slow
def test_bad_input_of_report(run, finished, tree, made, tmp_path):
    other = write_tree(tmp_path / "other", subjects=2)
    make(write_tree(tmp_path / "rank tree", subjects=3), tmp_path / "rank", "rank")
    unfinished = tmp_path / "unfinished"
    shutil.copytree(finished, unfinished)
    (unfinished / "results.json").unlink()
    (tmp_path / "file").touch()
    before = (finished / "report.html").read_bytes()
    for arguments, message in (
        ((tmp_path / "none",), f"{tmp_path / 'none'} holds no results.json"),
        ((unfinished,), f"{unfinished} is unfinished"),
        ((finished, other), "got 4 clips, not the 6 of the run"),
        ((finished, tmp_path / "rank"), f"{tmp_path / 'rank'} has no images by cumulative"),
        ((finished, made, "--task", "paper"), "--task paper is for a data set's root"),
        ((finished, made, "--tensorboard", tmp_path / "logs"), f"omit {made}"),
        ((finished, "--tensorboard", tmp_path / "file"), str(tmp_path / "file")),
    ):
        code, printed, err = run("report", *arguments)
        *_, last = err.splitlines()  # a root's images may have been made before
        assert code == 2 and printed == "" and message in last, err
        assert last.startswith("error: ") and err.count("error: ") == 1
    assert (finished / "report.html").read_bytes() == before
    assert not (tmp_path / "logs").exists()
