import json
import math
import os

import cv2
import numpy as np
import pandas as pd
import pytest

from originet.datasets import COLUMNS, Gap, clip_list_hash, load_dataset, survey
from originet.errors import InputError


def write_clip(folder, numbers=(1, 2, 3)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        assert cv2.imwrite(str(folder / f"img{number}.png"), np.full((8, 8), number, np.uint8))


def write_csv(folder, text):
    path = folder / "clips.csv"
    path.write_text(text)
    return path


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


def names(table):
    return list(table[["subject", "clip", "emotion"]].itertuples(index=False, name=None))


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


def test_root_without_clips_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"no clips in .*<emotion>/<subject>/<clip>/<frames>"):
        load_dataset("folder", tmp_path)
    with pytest.raises(InputError, match=r"no such file or folder: .*nowhere"):
        load_dataset("folder", tmp_path / "nowhere")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=r"a\.mp4 is neither a folder nor a CSV file"):
        load_dataset("folder", tmp_path / "a.mp4")
    with pytest.raises(InputError, match="unknown data set 'samm9'"):
        load_dataset("samm9", tmp_path)


def test_clip_folder_without_frames_is_named(tree):
    (tree / "Other" / "s1" / "empty").mkdir()
    with pytest.warns(UserWarning, match=r"1 of 4 clips cannot be used.*no frames in .*empty"):
        assert len(load_dataset("folder", tree)) == 3
    (omission,) = survey("folder", tree).unusable
    assert (omission.subject, omission.clip, omission.emotion) == ("s1", "empty", "others")


def test_a_set_without_usable_clips_is_refused(tmp_path):
    (tmp_path / "fear" / "s1" / "empty").mkdir(parents=True)
    with pytest.raises(InputError, match=r"none of 1 clips of folder can be used.*no frames in"):
        load_dataset("folder", tmp_path)


@pytest.mark.parametrize("place", ["Other/s1/img1.png", "Other/clip.mp4"])
def test_frames_above_the_clip_level_are_refused(tree, place):
    (tree / place).touch()
    with pytest.raises(InputError, match=f"{place} is at the wrong level"):
        load_dataset("folder", tree)


def test_missing_frames_of_a_tree_are_found(tree):
    write_clip(tree / "fear" / "s1" / "a", (1, 3, 4, 8))  # named apart, like Other/s1/a
    found = survey("folder", tree)
    assert found.gaps == (
        Gap("s1", "fear-a", 4, "2, 5-7"),
        Gap("s2", "b", 89, "11-99"),
    )
    assert len(found.table) == 4


def test_missing_frames_of_a_csv_are_those_of_its_ranges(tmp_path):
    write_clip(tmp_path / "a", (1, 3, 4, 5, 7, 8))
    lines = ("path,subject,emotion,onset,offset", "a,1,happy,3,5", "a,2,happy,4,7", "a,3,sad,5,")
    found = survey("folder", write_csv(tmp_path, "\n".join(lines)))
    assert found.gaps == (Gap("2", "a", 1, "6"), Gap("3", "a", 1, "6"))


def test_frames_that_are_numbered_by_time_stamps_are_looked_through_at_once(tmp_path):
    (tmp_path / "fear" / "s1" / "a").mkdir(parents=True)
    for number in (1700000000, 1700000005, 999):
        (tmp_path / "fear" / "s1" / "a" / f"{number}.png").touch()
    (gap,) = survey("folder", tmp_path).gaps
    assert gap.missing == 1700000005 - 999 + 1 - 3


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


def test_clips_that_cannot_be_told_apart_are_refused(tree):
    write_clip(tree / "others" / "s1" / "a")  # "Other" is the same emotion
    with pytest.raises(InputError, match=r"two clips named others-a of subject s1: .*img1\.png"):
        load_dataset("folder", tree)


def test_names_that_are_not_utf_8_are_refused(tree):
    subject = tree / "Other" / "s1"
    subject.rename(subject.with_name(os.fsdecode(b"M\xfcller")))  # as old archives unpack
    with pytest.raises(InputError, match=r"the name 'M\\udcfcller' is not UTF-8: rename its"):
        load_dataset("folder", tree)


def test_frames_and_video_of_one_name_are_refused(tree):
    (tree / "Other" / "s1" / "a.mp4").write_bytes(b"not read here")
    with pytest.raises(InputError, match=r"two clips named others-a .*a\.mp4"):
        load_dataset("folder", tree)


def test_csv_gives_clips_with_frame_ranges(tmp_path):
    write_clip(tmp_path / "x" / "a", range(5, 15))
    (tmp_path / "x" / "v.mp4").write_bytes(b"not read here")
    path = write_csv(
        tmp_path,
        "\ufeffPath, Subject, Emotion, onset, offset\n"
        "x/a, 006, Sad, 7, 9\n"
        "x/a, 006, Sad, 10, 12\n"
        "x/v.mp4, 007, tension, 3,\n",
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
    ("text", "message"),
    [
        ("", "lacks the column path, subject, emotion: its header has nothing"),
        ("path;subject;emotion\n", "lacks the column"),
        ("path,subject\na,1\n", "lacks the column emotion: its header has path, subject"),
        ("path,subject,emotion\n", "holds only the header"),
        ("path,subject,emotion\na,1\n", "line 2: 3 fields expected"),
        ("path,subject,emotion\na,1,x,y\n", "line 2: 3 fields expected"),
        ("path,subject,emotion\na,,happy\n", "line 2: subject is empty"),
        ("path,subject,emotion\nb,1,happy\n", "line 2: no such file or folder: .*b"),
        ("path,subject,emotion,onset\na,1,happy,x\n", "onset must be a frame number, got 'x'"),
        ("path,subject,emotion,onset,offset\na,1,happy,3,2\n", "onset 3 is after offset 2"),
        ("path,subject,emotion,offset\na,1,happy,4\n", r"offset 4: no such frame in .*\(1 to 3\)"),
        ("path,subject,emotion\na,1,happy\na,1,happy\n", "two clips named happiness-a"),
    ],
)
def test_wrong_csv_is_refused(tmp_path, text, message):
    write_clip(tmp_path / "a")
    with pytest.raises(InputError, match=message):
        load_dataset("folder", write_csv(tmp_path, text))


def test_file_that_is_no_text_is_refused_as_csv(tmp_path):
    (tmp_path / "clips.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(InputError, match=r"clips\.csv is not a CSV file in UTF-8"):
        load_dataset("folder", tmp_path / "clips.csv")
    with pytest.raises(InputError, match=r"no such annotation file: .*other\.csv"):
        load_dataset("folder", tmp_path, annotations=tmp_path / "other.csv")


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
    with pytest.raises(InputError, match=r"unreadable manifest .*dataset\.json"):
        load_dataset("folder", tree)


def test_clip_list_hash_ignores_order_and_sees_labels():
    table = pd.DataFrame(
        {"dataset": "d", "subject": ["1", "2"], "clip": ["a", "b"], "label": ["x", "y"]}
    )
    # printf 'd/1/a/x\nd/2/b/y\n' | sha256sum
    expected = "b7f103049847b41d45902a48f5f7344b7284ec00387f43254141abd239b8366a"
    assert clip_list_hash(table) == expected
    assert clip_list_hash(table.iloc[::-1]) == expected
    assert clip_list_hash(table.assign(label="x")) != expected
