import math

import pandas as pd
import pytest
from trees_casme3 import CLIPS, HEADER, PART_C, WORKBOOK, write_casme3, write_part_c
from workbooks import write_workbook

from originet.datasets.coded.casme3 import survey_casme3
from originet.system.errors import InputError


def names(table):
    return list(zip(table["subject"], table["clip"], strict=True))


def row_of(found, subject, clip):
    return found.table.set_index(["subject", "clip"]).loc[(subject, clip)]


def numbers(row):
    return [int(path.rsplit("/", 1)[1].removesuffix(".jpg")) for path in row.frames]


def test_clips_of_part_a_are_ranges_of_videos(tmp_path):
    path = write_casme3(tmp_path)
    found = survey_casme3(tmp_path)
    assert (found.dataset, found.annotations, found.cropped) == ("casme3", path, False)
    assert found.frames == tmp_path / "part_A/part_A"
    assert names(found.table) == sorted((row.subject, row.name) for row in CLIPS)
    assert set(found.table.fps) == {30.0}
    for clip in CLIPS:
        row = row_of(found, clip.subject, clip.name)
        low, high = map(int, clip.name.split("_")[1:])
        assert numbers(row) == list(range(low, high + 1))
        assert (row.onset, row.apex, row.offset) == (low, int(clip.apex), high)
        assert "/color/" in row.frames[0] and f"/{clip.video.lower()}/" in row.frames[0]
    assert not found.unusable and not found.left_out and not found.gaps
    assert found.remarks[0] == "sheet label: 5 rows (published: part A: 860 rows, 94 subjects)"


def test_spellings_of_emotions_and_zeros_are_those_of_all_sets(tmp_path):
    write_casme3(tmp_path)
    found = survey_casme3(tmp_path)
    assert list(found.table.emotion) == ["disgust", "others", "disgust", "others", "happiness"]
    assert list(found.table.label) == list(found.table.emotion)
    (changed,) = found.corrections
    assert (changed.clip, changed.field, changed.coded, changed.used) == (
        "c_9_11",
        "offset",
        "0",
        "11",
    )
    row = row_of(found, "spNO.1", "a_355_366")
    assert (row.action_units, row.notes) == ("4+L10", "objective class 3")


@pytest.mark.parametrize("spelled", ["{}", "spno.{}", "spNO.0{}"])
def test_subjects_are_those_of_the_folders(tmp_path, spelled):
    write_casme3(tmp_path)
    rows = [(spelled.format(row.subject.removeprefix("spNO.")), *row[1:8]) for row in CLIPS]
    write_workbook(tmp_path / WORKBOOK, {"A": [HEADER, *rows]})
    found = survey_casme3(tmp_path)
    assert set(found.table.subject) == {"spNO.1", "spNO.2", "spNO.10"} and not found.unusable


def test_samples_without_frames_are_listed(tmp_path):
    write_casme3(tmp_path, without={("spNO.1", "b")})
    for number in range(998, 1001):
        (tmp_path / f"part_A/part_A/spNO.10/a/color/{number}.jpg").unlink()
    for frame in (tmp_path / "part_A/part_A/spNO.2/c/color").glob("*.jpg"):
        frame.unlink()
    found = survey_casme3(tmp_path)
    reasons = {(o.subject, o.clip): o.reason for o in found.unusable}
    assert reasons.keys() == {
        ("spNO.1", "b_355_366"),
        ("spNO.10", "a_998_1003"),
        ("spNO.2", "c_9_11"),
    }
    assert "no frames for it in" in reasons["spNO.1", "b_355_366"]
    assert "the onset is missing" in reasons["spNO.10", "a_998_1003"]
    assert "no frames for it in" in reasons["spNO.2", "c_9_11"]
    assert len(found.table) == 2


def test_frames_that_are_missing_inside_are_a_gap(tmp_path):
    write_casme3(tmp_path)
    (tmp_path / "part_A/part_A/spNO.1/a/color/402.jpg").unlink()
    (gap,) = survey_casme3(tmp_path).gaps
    assert (gap.clip, gap.numbers) == ("a_400_405", "402")


def test_rows_that_cannot_be_used_are_named(tmp_path):
    write_casme3(tmp_path)
    rows = [list(row[:8]) for row in CLIPS]
    rows[0][1], rows[1][2], rows[2][0] = "ab", "soon", "p1"
    rows += [CLIPS[3][:8], ("spNO.2", "C", None, 10, 11, 4, 1, "fear")]
    path = write_workbook(tmp_path / "own.xlsx", {"A": [HEADER, *rows]})
    found = survey_casme3(tmp_path, annotations=path)
    assert {omission.where[-5:]: omission.reason for omission in found.unusable} == {
        "row 2": "'ab' is neither a video's letter nor a clip's number",
        "row 3": "column Onset: 'soon' is not a frame number",
        "row 4": "column Subject: 'p1' is not a subject",
        "row 7": "the same subject and clip as in own.xlsx, sheet A, row 5",
        "row 8": "onset is missing",
    }
    assert len(found.table) == 2


@pytest.mark.parametrize("inner", ["color", ""])
def test_clips_of_part_c_are_counted_and_have_no_apex(tmp_path, inner):
    path = write_part_c(tmp_path, inner=inner)
    found = survey_casme3(tmp_path)
    assert found.annotations == path and found.frames == tmp_path / "part_C"
    assert names(found.table) == [(row.subject, row.name) for row in PART_C]
    assert numbers(row_of(found, "spNO.1", "2_5_9")) == [5, 6, 7, 8, 9]
    assert all(apex is pd.NA for apex in found.table.apex)
    assert all(map(math.isnan, found.table.fps)) and not found.unusable


def test_the_part_with_most_clips_is_read_unless_the_other_is_named(tmp_path):
    write_casme3(tmp_path)
    path = write_part_c(tmp_path)
    found = survey_casme3(tmp_path)
    assert found.annotations == tmp_path / WORKBOOK and len(found.table) == 5
    left = f"workbook not used (choose with --annotations): {path} (2 of 2 coded clips on disk)"
    assert left in found.remarks
    found = survey_casme3(tmp_path, annotations=path)
    assert found.frames == tmp_path / "part_C" and len(found.table) == 2


def test_tasks_give_the_classes(tmp_path):
    write_casme3(tmp_path)
    found = survey_casme3(tmp_path, task="three")
    assert list(found.table.label) == ["negative", "negative", "positive"]
    assert [omission.emotion for omission in found.left_out] == ["others", "others"]
    for task in ("paper", "five", "megc2019"):
        with pytest.raises(InputError, match=f"casme3 has no task '{task}': choose original, thr"):
            survey_casme3(tmp_path, task=task)


def test_what_is_missing_altogether_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no workbook .*part_A_ME_label"):
        survey_casme3(tmp_path)
    write_workbook(tmp_path / WORKBOOK, {"A": [HEADER, *(row[:8] for row in CLIPS)]})
    with pytest.raises(InputError, match=r"no frames in .*spNO\.1/a/color/355\.jpg"):
        survey_casme3(tmp_path)
