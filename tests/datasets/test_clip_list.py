"""Lists of clips that a run is restricted to."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from stores import frame_of, write_tree
from trees_casme2 import CLIPS, write_casme2

from originet import datasets
from originet.cli.inputs import read_clips
from originet.datasets import store
from originet.datasets.clip_list import Clip, read_clip_list
from originet.datasets.prepare import Settings
from originet.system.errors import InputError

QUICK = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--select", "last")
SIZE = ("--image-size", 16)
ASKED = dict.fromkeys(("dataset", "annotations", "frames", "task", "image_size", "crop_face"))


def write_list(path, *rows, header="subject,clip"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def tree(tmp_path):
    """Three subjects s0 to s2, each with a clip happiness_N and a clip sadness_N."""
    return write_tree(tmp_path / "tree", subjects=3)


@pytest.fixture
def two(tmp_path):
    """Two of the three subjects, in no order, with columns and lines that do not matter."""
    rows = ("x,sadness_2,s2", "x,happiness_0,s0", ",,", "y,sadness_0,s0", "y,happiness_2,s2")
    return write_list(tmp_path / "two.csv", *rows, header="note, Clip ,subject")


def names(table):
    return list(zip(table["subject"], table["clip"], strict=True))


TWO = [("s0", "happiness_0"), ("s0", "sadness_0"), ("s2", "happiness_2"), ("s2", "sadness_2")]


def test_a_survey_holds_the_listed_clips_alone(tree, two):
    found = datasets.survey("folder", tree, clips=two)
    assert names(found.table) == TWO and not found.unusable and not found.left_out
    sha = hashlib.sha256(two.read_bytes()).hexdigest()
    assert found.clips_file == two
    assert found.remarks[-1] == (
        f"restricted to {two} (SHA-256 {sha}): 4 clips of folder; 2 others left out"
    )
    assert names(datasets.load_dataset("folder", tree, clips=two)) == TWO


def test_listed_clips_that_cannot_be_used_are_told_with_the_reason(tree, tmp_path):
    (tree / "sadness" / "s1" / "empty").mkdir()  # a clip without frames
    (tree / "sadness" / "s2" / "other").mkdir()  # another, which is not listed
    rows = ("s0,happiness_0", "s1,empty", "s1,nowhere", "s7,sadness_1")
    listed = write_list(tmp_path / "list.csv", *rows)
    found = datasets.survey("folder", tree, clips=listed)
    assert names(found.table) == [("s0", "happiness_0")]
    reasons = {(entry.subject, entry.clip): entry.reason for entry in found.unusable}
    assert reasons.keys() == {("s1", "empty"), ("s1", "nowhere"), ("s7", "sadness_1")}
    assert "no frames in" in reasons["s1", "empty"]
    assert reasons["s1", "nowhere"] == "there is no such clip in folder"
    assert found.unusable[-1].where == f"{listed}, line 5"


def test_what_the_task_leaves_out_is_told_where_it_is_listed(tmp_path):
    write_casme2(tmp_path / "casme2")
    others = next(row for row in CLIPS if row.emotion == "Others")
    listed = write_list(tmp_path / "list.csv", f"{others.subject},{others.clip}", "1,EP02_01f")
    found = datasets.survey("casme2", tmp_path / "casme2", task="megc2019", clips=listed)
    assert names(found.table) == [("sub01", "EP02_01f")]
    (entry,) = found.unusable
    assert entry.reason == "task megc2019 has no class for 'others'" and not found.left_out
    assert not found.corrections  # those of clips that are not listed


def test_what_is_said_of_other_clips_is_not_said_of_the_listed_ones(tmp_path):
    write_casme2(tmp_path / "casme2", extra=[(1, "EP02_01f", None, 46, 59, 66, None, "", "fear")])
    (tmp_path / "casme2/Cropped/Cropped/sub02/EP08_1/reg_img9.jpg").unlink()
    whole = datasets.survey("casme2", tmp_path / "casme2")
    assert len(whole.corrections) == len(whole.gaps) == len(whole.unusable) == 1

    def restricted(*rows):
        listed = write_list(tmp_path / "list.csv", *rows)
        return datasets.survey("casme2", tmp_path / "casme2", clips=listed)

    found = restricted("2,EP08_1", "17,EP06_02_02")
    assert found.gaps == whole.gaps and not found.unusable
    assert {entry.clip for entry in found.corrections} == {"EP06_02_02"}
    found = restricted("1,EP02_01f")  # coded twice: the first row counts, and the second is told
    assert names(found.table) == [("sub01", "EP02_01f")]
    assert not found.gaps and not found.corrections
    assert found.unusable == whole.unusable
    with pytest.raises(InputError, match="at least 2 subjects"):  # not that a clip is missing
        read_clips(
            *([tmp_path / "casme2"], ["cumulative"]),
            **{**ASKED, "dataset": "casme2", "clips": tmp_path / "list.csv"},
        )


def test_subjects_are_found_by_their_number(tmp_path):
    def places(*rows, known):
        listed = read_clip_list(write_list(tmp_path / "list.csv", *rows))
        return listed.match([Clip("samm", subject, "a") for subject in known]).places

    assert places("6,a", known=["006", "016", "x6y"]) == [0]
    assert places("6,a", "07,a", known=["sub07", "sub06"]) == [0, 1]
    assert places("6,a", known=["06", "6"]) == [1]  # as it is written comes first
    assert places("a6,a", known=["b6"]) == []
    with pytest.raises(InputError, match=r"line 2: 6/a could be samm/s6/a and samm/t6/a"):
        places("6,a", known=["s6", "t6"])
    with pytest.raises(InputError, match=r"line 3: 6/a is the same clip as in .*, line 2"):
        places("006,a", "6,a", known=["006"])


def test_numbers_inside_names_may_lack_their_zeros(tmp_path):
    known = [Clip("smic", "s03", "s03_ne_01"), Clip("smic", "s03", "s03_ne_10")]
    for row in ("s3,s3_ne_1", "3,s3_ne_01", "s003,s03_ne_01"):
        assert read_clip_list(write_list(tmp_path / "list.csv", row)).match(known).places == [0]
    listed = read_clip_list(write_list(tmp_path / "list.csv", "s3,s3_ne_001"))
    with pytest.raises(InputError, match="could be smic/s03/s03_ne_01 and smic/s03/s3_ne_1: "):
        listed.match([*known, Clip("smic", "s03", "s3_ne_1")])


def test_a_clip_of_two_data_sets_needs_the_column_dataset(tmp_path):
    known = [Clip("casme2", "s1", "a"), Clip("samm", "s1", "a")]
    bare = read_clip_list(write_list(tmp_path / "bare.csv", "s1,a"))
    with pytest.raises(InputError, match="could be casme2/s1/a and samm/s1/a: fill in the column"):
        bare.match(known)
    rows = ("s1,a,SAMM", "s1,a,smic", "s2,a,smic")
    full = read_clip_list(write_list(tmp_path / "full.csv", *rows, header="subject,clip,dataset"))
    assert full.match(known).places == [1]
    assert full.besides(["samm"]) == "2 clips of smic"
    with pytest.raises(InputError, match="lists no clips of casme2, only 1 clip of samm, 2 clips"):
        full.match(known[:1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,name\ns1,a\n", "has no column clip: its header has subject, name"),
        ("subject,clip\n", "no clips in"),
        ("subject,clip\ns1,\n", "line 2: clip is empty"),
        ("subject,clip,dataset\ns1,a,\n", "line 2: dataset is empty"),
        ("subject,clip\ns1,a\ns2,a\ns1,a\n", r"line 4: s1/a is already listed in .*, line 2"),
        ("subject,clip\ns1\n", "line 2: expected 2 fields, as in the header, got 1"),
        ('subject,clip\n"s1,a\n', r"list\.csv, line 2: misplaced or missing quotes"),
        ("subject,clip,Subject\ns1,a,s1\n", "has 2 columns for subject"),
        (f"subject,clip\ns1,a\ns2,{'b' * 1001}\n", "line 3: the name 'bb.*' has 1,001 characters"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, text, message):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_clip_list(path)


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no such file: .*nowhere\.csv"):
        read_clip_list(tmp_path / "nowhere.csv")


def test_check_and_prepare_take_a_list(run, tree, two, tmp_path):
    report, out = tmp_path / "check.json", tmp_path / "store"
    code, printed, _ = run("check", "folder", tree, "--clips", two, "--json", report)
    assert code == 0 and "folder, task original: 4 usable clips of 2 subjects" in printed
    values = json.loads(report.read_text())
    assert values["clips_file"] == str(two)
    assert values["clips_file_sha256"] == hashlib.sha256(two.read_bytes()).hexdigest()
    assert run("prepare", "folder", tree, "-o", out, *SIZE, "--clips", two)[0] == 0
    made = store.read_store(out)
    assert names(made.table) == TWO
    assert made.manifest["clips_file_sha256"] == values["clips_file_sha256"]
    write_list(two, "s0,sadness_0", "s0,sadness_5")
    code, printed, _ = run("check", "folder", tree, "--clips", two)
    assert code == 1
    assert f"  {two}, line 3 (s0/sadness_5): there is no such clip in folder\n" in printed


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True])
def test_a_run_stands_on_the_listed_clips_and_records_the_list(run, tree, two, tmp_path, stored):
    path, size = tree, SIZE
    if stored:
        path, size = tmp_path / "store", ()
        assert run("prepare", "folder", tree, "-o", path, *SIZE)[0] == 0
    out = tmp_path / "out"
    arguments = (path, *size, *QUICK, "--clips", two)
    code, _, err = run("loso", *arguments, "-o", out)
    assert code == 0, err
    values = json.loads((out / "results.json").read_text())
    assert [tuple(clip) for clip in values["clips"]] == TWO
    sha = hashlib.sha256(two.read_bytes()).hexdigest()
    assert values["config"]["clips_file_sha256"] == sha
    assert sha in (out / "report.html").read_text()
    code, _, err = run("report", out, path, "--clips", two)
    assert code == 0, err
    code, _, err = run("ablation", *arguments, "-o", tmp_path / "ablation", "--row", "Sig")
    assert code == 0, err
    study = json.loads((tmp_path / "ablation" / "ablation.json").read_text())
    assert study["clips"] == 4 and study["config"]["clips_file_sha256"] == sha
    code, _, err = run("loso", path, *size, *QUICK, "-o", out)  # without the list: another run
    assert code == 2 and "config.clips_file_sha256 is" in err


def test_images_of_a_store_stay_with_their_clips(run, tree, two, tmp_path):
    """The listed clips are not the first ones of the store, and the list has another order."""
    made = store.write_store(
        datasets.survey("folder", tree), tmp_path / "store", Settings(image_size=16)
    )
    clips = read_clips([tmp_path / "store"], ["cumulative"], **ASKED, clips=two)
    assert names(clips.table) == TWO and len(clips.cuts) == 4
    for place, name in enumerate(names(clips.table)):
        whole = names(made.table).index(name)
        image = made.images["cumulative"][whole]
        np.testing.assert_array_equal(clips.images["cumulative"][place], image)


def test_a_run_refuses_to_take_a_part_for_the_whole(run, tree, tmp_path):
    listed = write_list(tmp_path / "list.csv", "s0,happiness_0", "s1,sadness_1", "s2,nothing")
    out = tmp_path / "out"
    code, _, err = run("loso", tree, *SIZE, *QUICK, "-o", out, "--clips", listed)
    reason = "s2/nothing: there is no such clip in folder"
    assert code == 2 and f"1 of 3 clips in {listed} cannot be used; the first is {reason}" in err
    frame_of(tree).write_bytes(b"")  # s1/sadness_1 fails, and the store knows why
    path = tmp_path / "store"
    assert run("prepare", "folder", tree, "-o", path, *SIZE)[0] == 2
    code, _, err = run("loso", path, *QUICK, "-o", out, "--clips", listed)
    assert code == 2 and f"2 of 3 clips in {listed} cannot be used" in err
    assert "the first is folder/s1/sadness_1: empty file" in err
    assert not out.exists()


@pytest.mark.slow
def test_a_composite_takes_one_list_for_all_its_sets(run, tree, tmp_path):
    found = datasets.survey("folder", tree)
    for name in ("samm", "casme2"):
        other = dataclasses.replace(found, dataset=name, table=found.table.assign(dataset=name))
        store.write_store(other, tmp_path / name, Settings(image_size=16))
    rows = [f"{s},{kind}_{s[1]},casme2" for s in ("s0", "s1") for kind in ("happiness", "sadness")]
    rows += ["2,happiness_2,samm", "2,sadness_2,samm", "s1,s1_ne_01,smic"]
    listed = write_list(tmp_path / "list.csv", *rows, header="subject,clip,dataset")
    stores, out = (tmp_path / "samm", tmp_path / "casme2"), tmp_path / "out"
    code, _, err = run("loso", *stores, *QUICK, "-o", out, "--clips", listed)
    assert code == 0, err
    assert "list.csv also lists 1 clip of smic, not used in this run" in err
    folds = json.loads((out / "results.json").read_text())["folds"]
    assert [fold["subject"] for fold in folds] == ["casme2/s0", "casme2/s1", "samm/s2"]


def test_macro_expressions_are_a_roots_matter(run, tree, tmp_path):
    assert run("prepare", "folder", tree, "-o", tmp_path / "store", *SIZE)[0] == 0
    code, _, err = run("loso", tmp_path / "store", "-o", tmp_path / "out", "--micro-only")
    assert code == 2 and "--micro-only is for a data set's root, not for a store" in err
