"""`originet score`: its table, its JSON and how it ends."""

import json

import pytest

TRUTH = """subject,video,onset,offset,label,kind
1,a,40,80,happiness,micro
1,b,130,160,others,micro
1,c,20,75,others,micro
2,d,45,95,repression,macro
2,e,30,140,repression,macro
"""
SPOTTED = """video,face,onset,offset,label,kind,score,note
videos/a.mp4,0,5,65,happiness,micro,0.1,
videos/b.mp4,0,100,170,others,micro,0.2,
videos/c.mp4,0,5,75,others,micro,0.9,
videos/d.mp4,0,20,90,happiness,macro,0.8,
videos/e.mp4,0,70,140,happiness,macro,0.7,
videos/e.mp4,0,200,204,,micro,0.9,blink
"""


@pytest.fixture
def truth(tmp_path):
    (tmp_path / "truth.csv").write_text(TRUTH)
    return tmp_path / "truth.csv"


@pytest.fixture
def spotted(tmp_path):
    (tmp_path / "intervals.csv").write_text(SPOTTED)
    return tmp_path / "intervals.csv"


def test_the_table(run, truth, spotted, tmp_path):
    code, printed, err = run("score", truth, spotted, "--json", tmp_path / "scores.json")
    assert code == 0
    heads, everything, micro, macro = (line.split() for line in printed.splitlines())
    assert heads[-4:] == ["classes", "UF1", "UAR", "STRS"]
    assert everything[:7] == ["all", "3", "2", "2", "0.6000", "0.6000", "0.6000"]
    assert everything[-1] == "0.2000"
    assert micro[:4] == ["micro", "1", "2", "2"] and macro[:4] == ["macro", "2", "0", "0"]
    assert err == "left out, as they are no expressions: 1 blink\n"
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["all"]["strs"] == pytest.approx(0.2) and written["thresholds"] == {}


def test_thresholds_of_the_other_subjects(run, truth, spotted, tmp_path):
    code, printed, err = run("score", truth, spotted, "--loso", "--json", tmp_path / "s.json")
    assert code == 0, err
    assert json.loads((tmp_path / "s.json").read_text())["thresholds"] == {"1": 0.7, "2": 0.9}
    assert printed.splitlines()[1].split()[:4] == ["all", "1", "0", "4"]


def test_videos_that_the_truth_does_not_name_are_told(run, truth, tmp_path):
    (tmp_path / "p.csv").write_text("video,onset,offset\nz,1,2\n")
    code, printed, err = run("score", truth, tmp_path / "p.csv")
    assert code == 0 and printed.splitlines()[1].split()[:4] == ["all", "0", "1", "5"]
    assert err == f"1 video not in {truth}: z\n"


def test_refusals(refuse, truth, spotted, tmp_path):
    (tmp_path / "p.csv").write_text("video,onset,offset,score\nz,1,2,1\n")
    refuse("omit --loso", "score", truth, spotted, "--loso", "--compatible")
    refuse("does not say whose video z is", "score", truth, tmp_path / "p.csv", "--loso")
    refuse("IoU must be above 0 and at most 1, got 0", "score", truth, spotted, "--iou", "0")
    refuse("no such file", "score", tmp_path / "gone.csv", spotted)
