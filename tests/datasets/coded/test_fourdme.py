import math

import pytest
from trees_fourdme import CLIPS, HEADER, WORKBOOK, write_fourdme
from workbooks import write_workbook

from originet.datasets.coded.fourdme import survey_fourdme
from originet.system.errors import InputError

NAMES = [("11", "a"), ("2", "1"), ("2", "10"), ("p01", "clip_1"), ("p01", "clip_2")]


def names(table):
    return list(zip(table["subject"], table["clip"], strict=True))


def numbers(row):
    return [int(path.rsplit("/", 1)[1].removesuffix(".jpg")) for path in row.frames]


def reasons(found):
    return {omission.where.split("row ")[1]: omission.reason for omission in found.unusable}


def test_grey_clips_are_found_by_the_workbooks_names(tmp_path):
    path = write_fourdme(tmp_path)
    found = survey_fourdme(tmp_path)
    assert (found.dataset, found.annotations, found.cropped) == ("fourdme", path, False)
    assert found.frames == tmp_path / "4DME/gray_micro"
    assert names(found.table) == NAMES
    assert [numbers(row)[:: len(row.frames) - 1] for row in found.table.itertuples()] == [
        [3, 6],
        [98, 102],
        [5, 9],
        [10, 19],
        [30, 36],
    ]
    assert list(found.table.apex.fillna(-1)) == [4, 100, 9, 14, -1]
    assert list(found.table.action_units) == ["", "4", "?", "4+7", "R12"]
    assert all(map(math.isnan, found.table.fps))
    assert [(c.clip, c.field, c.used) for c in found.corrections] == [("10", "offset", "9")]
    assert not found.unusable and not found.left_out and not found.gaps


def test_several_emotions_are_a_class_of_their_own(tmp_path):
    write_fourdme(tmp_path)
    assert list(survey_fourdme(tmp_path).table.label) == [
        "others+positive",
        "negative+repression",
        "happiness",
        "negative",
        "negative+surprise",
    ]
    found = survey_fourdme(tmp_path, task="three")
    assert list(found.table.label) == ["negative", "positive", "negative"]
    assert {omission.emotion for omission in found.left_out} == {
        "others+positive",
        "negative+surprise",
    }
    with pytest.raises(InputError, match="fourdme has no task 'five': choose original, three"):
        survey_fourdme(tmp_path, task="five")


@pytest.mark.parametrize("inside", [False, True])
def test_the_folder_of_the_subjects_may_be_the_root(tmp_path, monkeypatch, inside):
    path = write_fourdme(tmp_path)
    there = tmp_path / "4DME/gray_micro"
    if inside:
        monkeypatch.chdir(there)
    found = survey_fourdme(there.relative_to(there) if inside else there, annotations=path)
    assert names(found.table) == NAMES


def test_rows_that_cannot_be_used_are_named(tmp_path):
    write_fourdme(tmp_path, without=("002/001",))
    (tmp_path / "4DME/gray_micro/P01/Clip_1/0010.jpg").unlink()
    (tmp_path / "4DME/gray_micro/p01/clip_2/0033.jpg").unlink()
    rows = [list(row[:7]) for row in CLIPS]
    rows[3][3] = "soon"
    rows += [[None, "a", "fear", 1, 2, 3, 4], CLIPS[4][:7], [11, "a", "/", 3, 4, 6, 4]]
    path = write_workbook(tmp_path / "own.xlsx", {"A": [HEADER, *rows]})
    found = survey_fourdme(tmp_path, annotations=path)
    told = reasons(found)
    assert "the onset is missing" in told.pop("2")
    assert told == {
        "4": f"no frames for it in {tmp_path / '4DME/gray_micro'}",
        "5": "column Onset: 'soon' is not a frame number",
        "7": "column sub_ID: '' is not a subject",
        "8": "the same subject and clip as in own.xlsx, sheet A, row 6",
    }
    assert [omission.reason for omission in found.left_out] == [
        "task original has no class for 'no emotion'"
    ]
    assert [(gap.clip, gap.numbers) for gap in found.gaps] == [("clip_2", "33")]
    assert names(found.table) == [("11", "a"), ("p01", "clip_2")]


def test_what_is_missing_altogether_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no workbook .*4DME_Labelling_Micro_release v1\.xlsx"):
        survey_fourdme(tmp_path)
    write_workbook(tmp_path / WORKBOOK, {"A": [HEADER, *(row[:7] for row in CLIPS)]})
    with pytest.raises(InputError, match=r"no frames in .*gray_micro/<sub_ID>/<fold_name>"):
        survey_fourdme(tmp_path)
