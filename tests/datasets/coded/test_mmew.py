import math

import pandas as pd
import pytest
from trees_casme2 import write_casme2
from trees_mmew import CLIPS, HEADER, WORKBOOK, write_mmew
from workbooks import write_workbook

from originet.datasets import survey
from originet.datasets.coded.mmew import survey_mmew
from originet.system.errors import InputError


def names(table):
    return list(zip(table["subject"], table["clip"], strict=True))


def row_of(found, clip):
    (row,) = found.table[found.table["clip"] == clip].itertuples()
    return row


def numbers(row):
    return [int(path.rsplit("/", 1)[1].removesuffix(".jpg")) for path in row.frames]


@pytest.mark.parametrize("workbook", [WORKBOOK, "codes.xls"])
def test_clips_have_their_subject_from_their_name(tmp_path, workbook):
    path = write_mmew(tmp_path, workbook=workbook)
    found = survey_mmew(tmp_path)
    assert (found.dataset, found.annotations, found.cropped) == ("mmew", path, False)
    assert found.frames == tmp_path / "Micro_Expression"
    assert names(found.table) == [(clip.clip[:3], clip.clip) for clip in CLIPS]
    assert all(map(math.isnan, found.table.fps))
    for clip in CLIPS:
        row = row_of(found, clip.clip)
        assert numbers(row) == list(range(int(clip.onset), int(clip.offset or clip.apex) + 1))
        assert row.action_units == str(clip.action_units)
    assert row_of(found, "S01-02-001").apex is pd.NA
    assert [row_of(found, clip.clip).notes for clip in CLIPS] == ["", "weak", "", ""]
    assert list(found.table.label) == ["happiness", "disgust", "others", "sadness"]
    assert [(c.clip, c.field, c.used) for c in found.corrections] == [("S30-07-010", "offset", "9")]
    assert (
        found.remarks[0] == "sheet Sheet1: 4 rows (published: 300 clips, 30 subjects, 7 emotions)"
    )
    assert not any("another emotion" in remark for remark in found.remarks)
    assert not found.unusable and not found.left_out and not found.gaps


def test_a_copy_without_remarks_is_read(tmp_path):
    write_mmew(tmp_path, header=HEADER[:-1])
    assert len(survey_mmew(tmp_path).table) == len(CLIPS)


def test_clips_filed_under_another_emotion_are_named(tmp_path):
    write_mmew(tmp_path, filed={"S01-01-001": ["disgust"]})
    found = survey_mmew(tmp_path)
    assert row_of(found, "S01-01-001").label == "happiness"
    assert (
        "in the folder of another emotion: S01/S01-01-001 (happiness, in disgust)" in found.remarks
    )


def test_a_clip_in_two_folders_is_unusable(tmp_path):
    write_mmew(tmp_path, filed={"S01-01-001": ["disgust", "happiness"]})
    (omission,) = survey_mmew(tmp_path).unusable
    there = tmp_path / "Micro_Expression"
    assert omission.reason == (
        f"several folders for it: {there / 'disgust' / 'S01-01-001'} and "
        f"{there / 'happiness' / 'S01-01-001'}"
    )


def test_rows_that_cannot_be_used_are_named(tmp_path):
    write_mmew(tmp_path)
    rows = [list(row) for row in CLIPS]
    rows[0][1], rows[1][0], rows[2][2] = "EP01", 2, "x"
    rows.append([3, "S03-01-001", 4, 5, 6, 4, "fear"])
    path = write_workbook(tmp_path / "own.xlsx", {"A": [HEADER, *rows]})
    found = survey_mmew(tmp_path, annotations=path)
    assert {omission.where[-5:]: omission.reason for omission in found.unusable} == {
        "row 2": "'EP01' is not a clip such as S01-01-001",
        "row 3": "clip S01-02-001 is not one of subject S02, by its name",
        "row 4": "column OnsetFrame: 'x' is not a frame number",
        "row 6": f"no frames for it in {tmp_path / 'Micro_Expression'}",
    }
    assert names(found.table) == [("S30", "S30-07-010")]


def test_an_end_that_is_missing_makes_a_clip_unusable_and_one_inside_a_gap(tmp_path):
    write_mmew(tmp_path)
    for clip, number in (("happiness/S01-01-001", 26), ("disgust/S01-02-001", 11)):
        (tmp_path / "Micro_Expression" / clip / f"{number}.jpg").unlink()
    found = survey_mmew(tmp_path)
    (omission,), (gap,) = found.unusable, found.gaps
    assert "the offset is missing" in omission.reason
    assert (gap.clip, gap.numbers) == ("S01-02-001", "11")


def test_it_shares_its_headings_with_casme2_but_not_its_root(tmp_path):
    mine, other = write_mmew(tmp_path, workbook="a.xlsx"), write_casme2(tmp_path, workbook="b.xlsx")
    assert survey("mmew", tmp_path).annotations == mine
    assert survey("casme2", tmp_path).annotations == other
    with pytest.raises(InputError, match=r"a\.xlsx is the workbook of mmew"):
        survey("casme2", tmp_path, annotations=mine)
    with pytest.raises(InputError, match=r"b\.xlsx is the workbook of casme2"):
        survey("mmew", tmp_path, annotations=other)


def test_tasks_give_the_classes(tmp_path):
    write_mmew(tmp_path)
    found = survey_mmew(tmp_path, task="three")
    assert list(found.table.label) == ["positive", "negative", "negative"]
    assert [omission.emotion for omission in found.left_out] == ["others"]
    with pytest.raises(InputError, match="mmew has no task 'five': choose original, three"):
        survey_mmew(tmp_path, task="five")


def test_what_is_missing_altogether_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no workbook .*MMEW_Micro_Exp\.xlsx"):
        survey_mmew(tmp_path)
    write_workbook(tmp_path / WORKBOOK, {"A": [HEADER, *CLIPS]})
    with pytest.raises(InputError, match=r"no frames in .*Micro_Expression/happiness/S01-01-001"):
        survey_mmew(tmp_path)
