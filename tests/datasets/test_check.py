import dataclasses
import json
import re
import shutil

import cv2
import numpy as np
import pytest
from clips import random_frames, write_folder, write_video

from originet.datasets import make_table, survey
from originet.datasets.check import count_clips, to_json, to_text, validate
from originet.datasets.survey import Correction, Gap, Omission, Survey
from originet.evaluation.splits import check_table
from originet.system.errors import InputError


@pytest.fixture
def tree(tmp_path):
    for emotion, subject, clip in (("sad", "s1", "a"), ("sad", "s2", "a"), ("fear", "s2", "b")):
        write_folder(tmp_path / emotion / subject / clip, random_frames(4))
    return tmp_path


@pytest.fixture
def sound(tree):
    """A tree that can be evaluated."""
    write_folder(tree / "fear" / "s1" / "b", random_frames(4))
    return tree


def paper_set(labels):
    """A survey of CASME II with one clip for each (subject, label)."""
    rows = [
        dict(
            dataset="casme2",
            subject=subject,
            clip=f"EP{index}",
            emotion=label,
            label=label,
            onset=1,
            apex=None,
            offset=2,
            action_units="",
            fps=200.0,
            frames=("1.jpg", "2.jpg"),
            notes="",
        )
        for index, (subject, label) in enumerate(labels)
    ]
    return Survey("casme2", "paper", make_table(rows), False, None, "frames")


def test_a_sound_set_has_no_faults(sound):
    calls = []
    result = validate(survey("folder", sound), jobs=2, progress=lambda *call: calls.append(call))
    assert result.faults == [] and result.refused == [] and result.sound
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for title in (
        "unusable clips",
        "unreadable pictures and changing sizes",
        "reasons for loso to refuse",
    ):
        assert re.search(f"^{title}.*: none$", to_text(result), re.MULTILINE)


def test_what_loso_would_refuse_is_found(tree):
    result = validate(survey("folder", tree), pictures=False)
    (reason,) = result.refused
    assert reason.startswith("only subject 's2' shows class 'fear'")
    assert not result.sound and to_json(result)["refused"] == [reason]
    text = to_text(result)
    assert f"reasons for loso to refuse the clips: 1\n  {reason}\n" in text
    assert "unusable clips" not in text and "frames missing" not in text
    with pytest.raises(InputError) as caught:
        check_table(result.found.table)
    assert str(caught.value) == reason


def test_all_that_loso_would_refuse_is_found(tree):
    shutil.rmtree(tree / "sad" / "s1")
    result = validate(survey("folder", tree))
    assert result.refused == ["leave-one-subject-out needs at least 2 subjects, got 1"]
    shutil.rmtree(tree / "sad")
    (tree / "fear" / "s3" / "empty").mkdir(parents=True)
    result = validate(survey("folder", tree))
    assert result.refused == [
        "leave-one-subject-out needs at least 2 subjects, got 1",
        "evaluation needs at least 2 classes, got 1 ('fear')",
    ]
    assert "unusable clips: 1\n" in to_text(result)
    shutil.rmtree(tree / "fear" / "s2")
    assert "subjects, got 0" in to_text(validate(survey("folder", tree)))


def test_every_unreadable_picture_is_named(tree):
    clip = tree / "sad" / "s2" / "a"
    (clip / "img2.png").write_bytes((clip / "img2.png").read_bytes()[:100])
    (clip / "img4.png").write_bytes(b"")
    result = validate(survey("folder", tree), jobs=2)
    assert not result.sound
    assert [(fault.subject, fault.clip) for fault in result.faults] == [("s2", "a")] * 2
    assert result.faults[0].reason == f"truncated image: {clip / 'img2.png'}"
    assert result.faults[1].reason == f"empty file (0 bytes): {clip / 'img4.png'}"


def test_sizes_that_change_inside_a_clip_are_named(tree):
    path = tree / "fear" / "s2" / "b" / "img3.png"
    assert cv2.imwrite(str(path), np.zeros((24, 20), np.uint8))
    faults = validate(survey("folder", tree)).faults
    assert [fault.reason.split(": ")[1] for fault in faults] == [
        "20x24 after 32x24",
        "32x24 after 20x24",
    ]
    assert str(path) in faults[0].reason


def test_a_broken_video_is_named(tree):
    path = write_video(tree / "fear" / "s1" / "c.avi", random_frames(30))
    assert validate(survey("folder", tree)).sound
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (fault,) = validate(survey("folder", tree)).faults
    assert (fault.subject, fault.clip) == ("s1", "c") and str(path) in fault.reason


GAPS = "frames missing between onset and offset: "


def test_missing_frames_of_a_folder_are_told(tree):
    (tree / "sad" / "s2" / "a" / "img3.png").unlink()
    result = validate(survey("folder", tree))
    assert not result.sound
    assert f"{GAPS}1\n  s2/a: 1 (3)\n" in to_text(result)
    assert to_json(result)["gaps"] == [{"subject": "s2", "clip": "a", "missing": 1, "numbers": "3"}]


def test_missing_frames_are_not_said_to_be_none_where_they_were_not_looked_for(sound):
    tree = sound
    assert f"{GAPS}none\n" in to_text(validate(survey("folder", tree), pictures=False))
    for name in ("c.avi", "d.avi"):
        write_video(tree / "fear" / "s1" / name, random_frames(4))
    found = survey("folder", tree)
    assert f"{GAPS}none (not checked in 2 videos)\n" in to_text(validate(found))
    for folder in ("sad", "fear/s2", "fear/s1/b"):
        shutil.rmtree(tree / folder)
    assert f"{GAPS}not checked in videos\n" in to_text(validate(survey("folder", tree)))


def test_pictures_may_be_left_unread(tree):
    (tree / "sad" / "s1" / "a" / "img1.png").write_bytes(b"")
    result = validate(survey("folder", tree), pictures=False)
    assert result.faults is None and "pictures: not read" in to_text(result)


def test_clips_are_counted_by_subject_and_class_beside_the_paper():
    found = paper_set([("sub01", "positive"), ("sub02", "positive"), ("sub02", "surprise")])
    counts = count_clips(found)
    assert counts.index.tolist() == ["sub01", "sub02", "total", "paper", "difference"]
    assert counts.columns.tolist() == ["negative", "others", "positive", "surprise", "total"]
    assert counts.loc["sub02"].tolist() == [0, 0, 1, 1, 2]
    assert counts.loc["total"].tolist() == [0, 0, 2, 1, 3]
    assert counts.loc["paper"].tolist() == [67, 126, 32, 25, 250]
    assert counts.loc["difference"].tolist() == [-67, -126, -30, -24, -247]


def test_a_set_without_clips_is_counted_too():
    counts = count_clips(paper_set([]))
    assert counts.loc["total", "total"] == 0 and counts.loc["difference", "total"] == -250


def test_under_the_challenges_task_its_counts_are_those_to_hold_a_set_against():
    found = dataclasses.replace(paper_set([("sub01", "positive")]), task="megc2019")
    counts = count_clips(found)
    assert counts.index.tolist() == ["sub01", "total", "MEGC 2019", "difference"]
    assert counts.loc["MEGC 2019"].to_dict() == {
        **{"negative": 88, "positive": 32, "surprise": 25, "total": 145},
    }
    result = validate(found, pictures=False)
    assert "task megc2019: 1 usable clip of 1 subject (MEGC 2019: 24)" in to_text(result)
    values = to_json(result)
    assert values["paper"] is None and values["difference"]["total"] == -144
    assert values["published"]["source"] == "MEGC 2019"


def test_sets_that_the_paper_does_not_have_are_counted_alone(tree):
    counts = count_clips(survey("folder", tree))
    assert counts.index.tolist() == ["s1", "s2", "total"]
    assert counts.loc["total"].to_dict() == {"fear": 1, "sadness": 2, "total": 3}


def test_the_report_names_everything(tree):
    found = paper_set([("sub01", "positive")])
    where = "x.xlsx, row 2"
    found = Survey(
        **{
            **vars(found),
            "corrections": [Correction(where, "sub01", "a", "apex", "0", "", "why not")],
            "unusable": [Omission(where, "sub02", "b", "fear", "no frames")],
            "left_out": [Omission(where, "sub03", "c", "tense", "no class")],
            "gaps": [Gap("sub01", "EP0", 3, "7-9")],
            "remarks": ["frames: here"],
            "annotations": tree / "sad" / "s1" / "a" / "img1.png",
        }
    )
    result = validate(found, pictures=False)
    lines = to_text(result).splitlines()
    assert lines[0] == "casme2, task paper: 1 usable clip of 1 subject (paper: 26)"
    assert "x.xlsx, row 2 (sub01/a): apex 0 -> missing: why not" in to_text(result)
    assert "  x.xlsx, row 2 (sub02/b, fear): no frames" in lines
    assert "  x.xlsx, row 2 (sub03/c, tense): no class" in lines
    assert "  sub01/EP0: 3 (7-9)" in lines
    assert "frames: here" in lines
    assert not result.sound

    values = json.loads(json.dumps(to_json(result)))
    assert values["corrections"][0]["field"] == "apex"
    assert values["unusable"][0]["reason"] == "no frames"
    assert values["subjects"] == {
        "sub01": {"negative": 0, "others": 0, "positive": 1, "surprise": 0, "total": 1}
    }
    assert values["paper"]["total"] == 250 and values["difference"]["positive"] == -31
    assert values["faults"] is None
    assert len(values["clip_list_sha256"]) == 64
    assert values["clip_list_sha256"] in lines[-1]


def test_jobs_below_one_are_refused(tree):
    with pytest.raises(InputError, match="--jobs must be at least 1, got 0"):
        validate(survey("folder", tree), jobs=0)
