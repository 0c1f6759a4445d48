"""Clips in folders by emotion and subject, or listed in a CSV file."""

import json
import math
import os
import re

import pandas as pd
import pytest
from clips import random_frames, write_video
from folders import names, write_clip, write_csv
from timed_videos import UNEVEN, bars, write_timed

from originet.datasets import COLUMNS, load_dataset, survey
from originet.datasets.check import count_clips
from originet.datasets.folder import is_semi_synthetic
from originet.system.errors import InputError


@pytest.fixture
def tree(tmp_path):
    """Two subjects, three clips, one of them a video, among junk."""
    write_clip(tmp_path / " Happy " / "s2" / "b", (10, 9, 100))
    write_clip(tmp_path / "Other" / "s1" / "a")
    (tmp_path / "Other" / "s1" / "c.AVI").write_bytes(b"not read here")
    (tmp_path / "Other" / "s1" / "Thumbs.db").touch()
    (tmp_path / "Other" / ".DS_Store").touch()
    (tmp_path / "__MACOSX" / "s1" / "x").mkdir(parents=True)
    return tmp_path


def test_folder_tree_becomes_a_clip_table(tree):
    table = load_dataset("folder", tree)
    assert tuple(table.columns) == COLUMNS
    assert names(table) == [("s1", "a", "others"), ("s1", "c", "others"), ("s2", "b", "happiness")]
    assert (table.label == table.emotion).all()
    assert (table.dataset == "folder").all()
    assert table.fps.isna().all()
    assert table[["onset", "apex", "offset"]].isna().all(axis=None)
    assert table.onset.dtype == "Int64"
    numbers = [path.rsplit("/", 1)[1] for path in table.frames[2]]
    assert numbers == ["img9.png", "img10.png", "img100.png"]
    assert table.frames[1] == (str(tree / "Other" / "s1" / "c.AVI"),)


def test_doubled_root_is_entered(tmp_path):
    write_clip(tmp_path / "set" / "set" / "happy" / "s1" / "a")
    assert len(load_dataset("folder", tmp_path / "set")) == 1


def test_clip_folder_without_frames_is_named(tree):
    (tree / "Other" / "s1" / "empty").mkdir()
    with pytest.warns(UserWarning, match=r"1 of 4 clips cannot be used.*no frames in .*empty"):
        assert len(load_dataset("folder", tree)) == 3
    (omission,) = survey("folder", tree).unusable
    assert (omission.subject, omission.clip, omission.emotion) == ("s1", "empty", "others")


@pytest.mark.parametrize("place", ["Other/s1/img1.png", "Other/clip.mp4"])
def test_frames_above_the_clip_level_are_listed(tree, place):
    (tree / place).touch()
    with pytest.warns(UserWarning, match=f"{place}: .*(wrong level|single picture)"):
        assert len(load_dataset("folder", tree)) == 3


def test_one_clip_name_under_two_emotions_is_told_apart(tree):
    write_clip(tree / "fear" / "s1" / "a")
    write_clip(tree / "fear" / "s2" / "a")
    table = load_dataset("folder", tree)
    assert names(table) == [
        ("s1", "c", "others"),
        ("s1", "fear-a", "fear"),
        ("s1", "others-a", "others"),
        ("s2", "a", "fear"),
        ("s2", "b", "happiness"),
    ]
    assert [bool(note) for note in table.notes] == [False, True, True, False, False]


def test_clips_that_cannot_be_told_apart_are_listed(tree):
    write_clip(tree / "others" / "s1" / "a")  # "Other" is the same emotion
    found = survey("folder", tree)
    (omission,) = found.unusable
    assert omission.where == str(tree / "others" / "s1" / "a")
    assert omission.reason == f"the same subject and clip as in {tree / 'Other' / 's1' / 'a'}"
    assert ("s1", "others-a", "others") in names(found.table) and len(found.table) == 3


def test_names_that_are_not_utf_8_are_refused(tree):
    subject = tree / "Other" / "s1"
    subject.rename(subject.with_name(os.fsdecode(b"M\xfcller")))  # as old archives unpack
    with pytest.raises(InputError, match=r"the name 'M\\udcfcller' is not UTF-8: rename its"):
        load_dataset("folder", tree)


def test_frames_and_video_of_one_name_are_listed(tree):
    (tree / "Other" / "s1" / "a.mp4").write_bytes(b"not read here")
    (omission,) = survey("folder", tree).unusable
    assert omission.where == str(tree / "Other" / "s1" / "a.mp4")


def test_csv_gives_clips_with_frame_ranges(tmp_path):
    write_clip(tmp_path / "x" / "a", range(5, 15))
    write_video(tmp_path / "x" / "v.avi", random_frames(4))
    path = write_csv(
        tmp_path,
        "\ufeffPath, Subject, Emotion, onset, offset\n"
        "x/a, 006, Sad, 7, 9\n"
        "x/a, 006, Sad, 10, 12\n"
        "x/v.avi, 007, tension, 3,\n",
    )
    for table in (
        load_dataset("folder", path),
        load_dataset("folder", tmp_path, annotations=path),
    ):
        assert names(table) == [
            ("006", "sadness-a-10-12", "sadness"),
            ("006", "sadness-a-7-9", "sadness"),
            ("007", "v", "tense"),
        ]
        assert table.onset.tolist() == [10, 7, 3]
        assert table.offset.isna().tolist() == [False, False, True]
        assert [len(frames) for frames in table.frames] == [3, 3, 1]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,1", "expected 7 fields, as in the header, got 2"),
        ("a,1,happy,,,,,x", "expected 7 fields, as in the header, got 8"),
        ("a,,happy,,,,", "subject is empty"),
        ("a,1,/,,,,", "emotion is empty"),
        ("b,1,happy,,,,", "no such file or folder: .*b"),
        ("none.mp4,1,happy,,,,", "no such file or folder: .*none"),
        ("a/img1.png,1,happy,,,,", "is a single image"),
        ("a,1,happy,x,,,", "onset must be a frame number or a time .*, got 'x'"),
        ("a,1,happy,,2.5,,", "offset must be a frame number or a time .*, got '2.5'"),
        ("a,1,happy,-1,,,", "onset must be a frame number or a time .*, got '-1'"),
        ("a,1,happy,,,1:75,", "apex must be a frame number or a time .*, got '1:75'"),
        ("a,1,happy,3,2,,", "onset 3 is after offset 2"),
        ("a,1,happy,,4,,", r"offset 4: no such frame in .*a \(1 to 3\)"),
        ("a,1,happy,2,0,,", "onset 2 is after offset 0"),
        ("a,1,happy,,0,,", r"offset 0: no such frame in .*a \(1 to 3\)"),
        ("v.avi,1,happy,,0,,", r"offset 0: no such frame in .*v\.avi \(1 to 4\)"),
        ("v.avi,1,happy,2,5,,", r"offset 5: no such frame in .*v\.avi \(1 to 4\)"),
        ("bad.avi,1,happy,2,3,,", r"bad\.avi"),
        ("a,1,happy,,1,,", "a single frame shows no motion"),
        ("v.avi,1,happy,4,,,", "a single frame shows no motion"),
        ("a,1,happy,,,,fast", "fps must be above 0 and at most 1,000,000, got 'fast'"),
        ("a,1,happy,,,,0", "fps must be above 0 and at most 1,000,000, got '0'"),
        ("a,1,happy,0.01s,,,", "onset 0.01s is a time, but the fps of .*a is unknown"),
        ("good,1,happy,,,,", "the same subject and clip as in .*clips.csv, line 2"),
        ('"a"x,1,happy,,,,', "misplaced or missing quotes"),
    ],
)
def test_a_bad_row_is_listed_and_the_others_are_used(tmp_path, row, reason):
    for name in ("a", "good", "other"):
        write_clip(tmp_path / name)
    write_video(tmp_path / "v.avi", random_frames(4))
    (tmp_path / "bad.avi").write_bytes(b"no video")
    header = "path,subject,emotion,onset,offset,apex,fps"
    rows = (header, "good,1,happy,,,,", row, "", "other,2,sad,1,3,2,25")
    found = survey("folder", write_csv(tmp_path, "\n".join(rows)))
    (omission,) = found.unusable
    assert omission.where == f"{tmp_path / 'clips.csv'}, line 3"
    assert re.search(reason, omission.reason), omission.reason
    assert "good" in [name.removeprefix("happiness-") for name in found.table["clip"]]
    assert found.table["clip"].tolist()[-1] == "other" and len(found.table) == 2


def test_what_spreadsheets_write_is_read(tmp_path):
    write_clip(tmp_path / "a", range(40, 60))
    write_clip(tmp_path / "b", range(40, 60))
    text = (
        "Path,Subject,Emotion,OnSet,Offset,Apex,FPS,Action_Units,Coder\n"
        "a,1,happy,46.0,/,50.,200.0,4+L10,me,,\n"  # and empty cells beyond the header
        "b,2,sad,,-,\\,/,/,\n"
        ",,,,,,,,\n"
    )
    found = survey("folder", write_csv(tmp_path, text))
    assert not found.unusable and found.remarks == ("columns not read: coder",)
    first, second = found.table.itertuples(index=False)
    assert (first.onset, first.apex, first.fps, first.action_units) == (46, 50, 200, "4+L10")
    assert len(first.frames) == 14 and first.offset is pd.NA
    assert (second.onset, second.apex, second.offset) == (pd.NA, pd.NA, pd.NA)
    assert math.isnan(second.fps) and second.action_units == ""


def test_an_apex_outside_its_clip_is_dropped_and_told(tmp_path):
    write_clip(tmp_path / "a", range(1, 9))
    text = "path,subject,emotion,onset,apex,offset\na,1,happy,3,8,7\na,2,happy,,9,\na,3,sad,,8,"
    found = survey("folder", write_csv(tmp_path, text))
    assert found.table.apex.tolist() == [pd.NA, pd.NA, 8]
    assert [(c.subject, c.field, c.coded, c.used) for c in found.corrections] == [
        ("1", "apex", "8", ""),
        ("2", "apex", "9", ""),
    ]


@pytest.mark.parametrize("source", ["column", "manifest", "video"])
def test_times_are_frames_where_the_rate_is_known(tmp_path, source):
    if source == "video":
        write_video(tmp_path / "a.avi", random_frames(40), fps=20)
    else:
        write_clip(tmp_path / "a", range(101, 141))
    if source == "manifest":
        manifest = {"name": "semi-synthetic", "generator": "originet.synth", "fps": 20}
        (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    path, rate = ("a.avi", "") if source == "video" else ("a", "20" if source == "column" else "")
    text = f"path,subject,emotion,onset,apex,offset,fps\n{path},1,sad,0.51s,0:01.02,1.5s,{rate}\n"
    (row,) = survey("folder", write_csv(tmp_path, text)).table.itertuples(index=False)
    first = 1 if source == "video" else 101
    # The first frame then or later, the nearest, the last then or earlier.
    assert (row.onset, row.apex, row.offset) == (first + 11, first + 20, first + 30)
    assert row.fps == 20


def test_times_in_a_video_are_those_of_its_time_stamps(tmp_path):
    write_timed(tmp_path / "a.mp4", bars(len(UNEVEN)), UNEVEN)
    header = "path,subject,emotion,onset,apex,offset\n"
    given = write_csv(tmp_path, f"{header}a.mp4,1,sad,2.45s,2.5s,2.6s\n")
    (row,) = survey("folder", given).table.itertuples(index=False)
    assert (row.onset, row.apex, row.offset) == (37 + 3, 37 + 6, 37 + 12)
    given = write_csv(tmp_path, f"{header}a.mp4,1,sad,,,9s\n")
    (omission,) = survey("folder", given).unusable
    assert "end 9s is outside" in omission.reason


def test_a_time_at_the_end_of_a_clip_is_its_last_frame(tmp_path):
    write_clip(tmp_path / "a", range(11, 51))
    rows = ("a,1,sad,0s,2s,20", "a,2,sad,0s,2.1s,20")
    text = "\n".join(("path,subject,emotion,onset,offset,fps", *rows))
    found = survey("folder", write_csv(tmp_path, text))
    (row,) = found.table.itertuples(index=False)
    assert (row.subject, row.onset, row.offset) == ("1", 11, 50)
    assert "offset 53: no such frame in" in found.unusable[0].reason


def test_a_csv_names_clips_and_data_sets(tmp_path):
    for name in ("a", "b"):
        write_clip(tmp_path / name)
    lines = (
        "path,subject,emotion,clip,dataset",
        *("a,1,happy,,ours", "b,1,happy,smile 1,ours", "a,1,sad,a,theirs", "b,2,sad,,"),
        *("a,3,sad,,samm", "a,4,sad,,x+y", "a,1,happy,smile 1,theirs"),
    )
    found = survey("folder", write_csv(tmp_path, "\n".join(lines)), set_name="rest")
    assert found.table[["dataset", "subject", "clip"]].values.tolist() == [
        ["ours", "1", "a"],
        ["ours", "1", "smile 1"],
        ["rest", "2", "b"],
        ["theirs", "1", "a"],
        ["theirs", "1", "smile 1"],
    ]
    assert found.dataset == "ours+rest+theirs"
    assert [omission.reason.split(":")[0] for omission in found.unusable] == [
        "a data set cannot be called 'samm'",
        "a data set cannot be called 'x+y'",
    ]
    assert count_clips(found).index.tolist() == ["ours/1", "rest/2", "theirs/1", "total"]


def test_made_up_clips_are_known_whatever_they_are_called(tree):
    manifest = {"name": "semi-synthetic", "generator": "originet.synth", "fps": 200}
    (tree / "dataset.json").write_text(json.dumps(manifest))
    for name in ("folder", "synthetic"):
        found = survey(name, tree, set_name="b")
        assert found.dataset == "semi-synthetic-b" == found.table.dataset.iloc[0]
    assert is_semi_synthetic("mine+semi-synthetic-b") and is_semi_synthetic("semi-synthetic")
    assert not is_semi_synthetic("mine+semi-synthetics")


def test_manifest_of_synth_labels_the_set(tree):
    with pytest.raises(InputError, match=r"no dataset\.json written by"):
        load_dataset("synthetic", tree)
    manifest = {"name": "semi-synthetic", "generator": "originet.synth", "fps": 200}
    (tree / "dataset.json").write_text(json.dumps(manifest))
    csv = write_csv(tree, "path,subject,emotion\nOther/s1/a,s1,others\n")
    for table in (
        load_dataset("folder", tree),
        load_dataset("synthetic", tree),
        load_dataset("folder", csv),
    ):
        assert set(table.dataset) == {"semi-synthetic"}
        assert set(table.fps) == {200.0}
    with pytest.raises(InputError, match="takes no annotations"):
        load_dataset("synthetic", tree, annotations=csv)


def test_manifest_of_somebody_else_is_ignored_and_a_broken_one_refused(tree):
    (tree / "dataset.json").write_text('{"name": "theirs"}')
    table = load_dataset("folder", tree)
    assert set(table.dataset) == {"folder"}
    assert all(math.isnan(fps) for fps in table.fps)
    (tree / "dataset.json").write_text('{"name": ')
    with pytest.raises(InputError, match=r"dataset\.json is not valid JSON"):
        load_dataset("folder", tree)
