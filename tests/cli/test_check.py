"""`originet check`: what it prints and how it ends."""

import json

import pytest
from clips import random_frames, write_folder
from trees_casme2 import CLIPS, HEADER, write_casme2
from workbooks import write_workbook


@pytest.fixture
def tree(tmp_path):
    """Two classes of two subjects each."""
    for emotion in ("fear", "sad"):
        for subject in ("s1", "s2"):
            write_folder(tmp_path / "clips" / emotion / subject / "a", random_frames(4))
    return tmp_path / "clips"


def test_a_sound_folder_ends_with_exit_code_0(run, tree):
    code, printed, err = run("check", "folder", tree)
    assert code == 0, err
    assert "unusable clips: none\n" in printed
    assert "frames missing between onset and offset: none\n" in printed


def test_missing_frames_of_a_folder_end_with_exit_code_1(run, tree):
    (tree / "sad" / "s2" / "a" / "img3.png").unlink()
    code, printed, _ = run("check", "folder", tree)
    assert code == 1
    assert "frames missing between onset and offset: 1\n  s2/sadness-a: 1 (3)\n" in printed


def test_a_class_of_one_subject_ends_with_exit_code_1(run, tree, tmp_path):
    write_folder(tree / "anger" / "s1" / "a", random_frames(4))
    code, printed, _ = run("check", "folder", tree)
    assert code == 1 and "none" not in printed.replace("left out by the task: none", "").replace(
        "corrections: none", ""
    )
    told = "only subject 's1' shows class 'anger'"
    assert f"reasons for loso to refuse the clips: 1\n  {told}" in printed
    code, _, err = run("loso", tree, "-o", tmp_path / "out")
    assert code == 2 and told in err


def test_a_bad_row_ends_with_exit_code_1_and_the_others_are_prepared(run, tree, tmp_path):
    rows = [f"clips/{e}/{s}/a,{s},{e}," for e in ("fear", "sad") for s in ("s1", "s2")]
    rows.insert(2, "clips/gone,s1,fear,0")
    path = tmp_path / "list.csv"
    path.write_text("\n".join(["path,subject,emotion,offset", *rows]))
    code, printed, _ = run("check", "folder", path)
    assert code == 1 and "unusable clips: 1\n" in printed
    assert f"{path}, line 4 (s1/gone, fear): no such file or folder: " in printed
    code, printed, _ = run("prepare", "folder", path, "-o", tmp_path / "out", "--image-size", 16)
    assert code == 0 and "4 of 4 clips" in printed and f"{path}, line 4 (s1/gone)" in printed


def test_failed_clips_of_two_sets_in_one_csv_are_all_named(run, tree, tmp_path):
    for subject in ("s1", "s2"):
        (tree / "sad" / subject / "a" / "img3.png").write_bytes(b"")
    rows = [f"clips/sad/s{n}/a,1,sad,{name}" for n, name in ((1, "x"), (2, "y"))]
    (tmp_path / "list.csv").write_text(
        "\n".join(["path,subject,emotion,dataset", *rows, "clips/fear/s1/a,2,fear,x"])
    )
    out = ("-o", tmp_path / "out", "--image-size", 16)
    code, _, err = run("prepare", "folder", tmp_path / "list.csv", *out)
    assert code == 2 and "2 of 3 clips failed" in err
    assert "  x/1/a: " in err and "  y/1/a: " in err


def test_a_second_sheet_is_asked_for_and_chosen(run, tmp_path):
    rows = [["1", c.clip, None, *c[2:5], None, 4, c.emotion] for c in CLIPS[:2]]
    write_casme2(tmp_path)
    (tmp_path / "CASME2-coding-20140508.xlsx").unlink()
    path = write_workbook(tmp_path / "x.xlsx", {"a": [HEADER, *rows], "b": [HEADER, *rows[:1]]})
    code, _, err = run("check", "casme2", tmp_path)
    assert code == 2 and f"{path} has coded clips on several sheets, a (2), b (1)" in err
    code, printed, err = run("check", "casme2", tmp_path, "--sheet", "b")
    assert "casme2, task paper: 1 usable clip of 1 subject" in printed
    code, _, err = run("loso", tmp_path, "-o", tmp_path / "out", "--sheet", "c")
    assert code == 2 and "the data set folder takes no sheet, got c" in err


def test_all_sets_under_a_root_are_found(run, tmp_path):
    write_casme2(tmp_path)
    code, printed, err = run("check", "--all", tmp_path, "--json", tmp_path / "all.json")
    assert code == 0, err
    assert printed.startswith("casme2: 7 usable clips of 3 subjects (1 correction)\n")
    assert "not found: casme, cas_me2, samm, " in printed
    assert json.loads((tmp_path / "all.json").read_text())["found"][0]["dataset"] == "casme2"
    (tmp_path / "empty").mkdir()
    assert run("check", "--all", tmp_path / "empty")[0] == 1


def test_all_describes_no_set_in_detail(run, tmp_path):
    for words in (["casme2", tmp_path], ["--task", "three"], ["--micro-only"]):
        code, _, err = run("check", "--all", tmp_path, *words)
        assert code == 2 and "--all takes only a folder and --json" in err
    for words in ([], ["casme2"]):
        code, _, err = run("check", *words)
        assert code == 2 and "give a data set and its folder, or --all and a folder" in err
