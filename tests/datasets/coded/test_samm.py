import pandas as pd
import pytest
from trees_casme import write_frames
from trees_samm import HEADER, ROWS, Row, cells, many_rows, write_samm
from workbooks import write_workbook

from originet.datasets.coded.samm import survey_samm
from originet.system.errors import InputError


def names(table):
    return list(zip(table["subject"], table["clip"], strict=True))


def row_of(found, clip):
    (row,) = found.table[found.table["clip"] == clip].itertuples()
    return row


def file_names(frames):
    return [path.rsplit("/", 1)[1] for path in frames]


def only(*clips):
    return [row for row in ROWS if row.clip in clips]


@pytest.fixture
def found(tmp_path):
    return survey_samm(write_samm(tmp_path))


def test_clips_of_the_published_layout_become_a_table(found, tmp_path):
    assert names(found.table) == [(row.subject, row.clip) for row in ROWS]
    assert set(found.table.dataset) == {"samm"}
    assert set(found.table.fps) == {200.0}
    first = found.table.iloc[0]
    assert (first.onset, first.apex, first.offset) == (5562, 5564, 5566)
    assert file_names(first.frames) == [f"006_0{n}.jpg" for n in range(5562, 5567)]
    assert first.frames[0] == str(tmp_path / "SAMM/SAMM/006/006_1_2/006_05562.jpg")
    assert found.annotations == tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx"
    assert found.frames == tmp_path / "SAMM/SAMM"
    assert not found.cropped
    assert "sheet MICRO ONLY: 6 rows" in found.remarks
    assert not found.unusable and not found.left_out and not found.corrections and not found.gaps


@pytest.mark.parametrize("preamble", [0, 1, 13, 20])
def test_the_header_is_found_below_any_text(tmp_path, preamble):
    found = survey_samm(write_samm(tmp_path, preamble=preamble))
    assert names(found.table) == [(row.subject, row.clip) for row in ROWS]


def test_subjects_that_became_numbers_get_their_zeros_back(tmp_path):
    found = survey_samm(write_samm(tmp_path, subject=int))
    assert set(found.table.subject) == {"006", "007", "011", "035"}


def test_labels_are_normalised(found):
    assert list(found.table.emotion) == [
        "happiness",
        "others",
        "anger",
        "surprise",
        "others",
        "contempt",
    ]
    assert (found.table.label == found.table.emotion).all()  # the paper has all eight


def test_action_units_are_text(found):
    assert list(found.table.action_units) == ["R12 or R15", "?", "4", "4+7", "A1B", "14"]


def test_the_coders_notes_are_kept(found):
    assert row_of(found, "006_2_1").notes == "Blink at offset"
    assert row_of(found, "006_1_2").notes == ""


def test_a_copy_without_notes_is_read(tmp_path):
    rows = [HEADER[:-1], *(cells(row)[:-1] for row in ROWS)]
    path = write_workbook(write_samm(tmp_path) / "short.xlsx", {"A": rows})
    assert len(survey_samm(tmp_path, annotations=path).table) == len(ROWS)


def test_a_missing_apex_stays_missing(found):
    assert row_of(found, "011_1_1").apex is pd.NA  # an empty cell
    assert row_of(found, "035_7_1").apex is pd.NA  # a slash


def test_numbers_of_four_and_five_digits_sort_by_value(found):
    clip = row_of(found, "007_6_5")
    assert file_names(clip.frames) == [f"007_{n}.jpg" for n in (9998, 9999, 10000, 10001)]


def test_frames_outside_onset_and_offset_are_not_taken(tmp_path):
    rows = only("006_2_1")
    found = survey_samm(write_samm(tmp_path, rows, disk={"006_2_1": range(600, 620)}))
    assert file_names(found.table.frames[0]) == [f"006_00{n}.jpg" for n in range(610, 614)]


@pytest.mark.parametrize("right", [5793, 5739])
def test_the_mistyped_offset_is_the_one_on_disk(tmp_path, right):
    rows = many_rows(57)
    rows[56] = Row("020", "020_56_1", 5700, 5710, 57390, 4, "Anger")
    root = write_samm(tmp_path, rows, disk={"020_56_1": range(5700, right + 1)})
    found = survey_samm(root)
    assert len(found.table) == 57
    assert row_of(found, "020_56_1").offset == right
    (correction,) = found.corrections
    # 13 lines of text, the header, 56 rows above it
    assert correction.where == "SAMM_Micro_FACS_Codes_v2.xlsx, sheet MICRO ONLY, row 71"
    assert correction[1:6] == ("020", "020_56_1", "offset", "57390", str(right))


def test_a_copy_with_the_right_offset_is_not_changed(tmp_path):
    rows = many_rows(57)
    rows[56] = Row("020", "020_56_1", 5700, 5710, 5795, 4, "Anger")
    found = survey_samm(write_samm(tmp_path, rows))
    assert row_of(found, "020_56_1").offset == 5795
    assert not found.corrections and not found.unusable


@pytest.mark.parametrize("cropped", ["SAMM_CROP", "SAMM_Cropped"])
def test_a_copy_of_faces_is_taken_before_the_raw_one(tmp_path, cropped):
    found = survey_samm(write_samm(tmp_path, trees=("SAMM", cropped)))
    assert found.cropped
    assert found.frames == tmp_path / cropped
    assert any(f"not used (choose with --frames): {tmp_path / 'SAMM'}" in r for r in found.remarks)
    raw = survey_samm(tmp_path, frames=tmp_path / "SAMM")
    assert not raw.cropped
    assert raw.frames == tmp_path / "SAMM"


@pytest.mark.parametrize("place", ["SAMM/codes v2.xlsx", "SAMM/codes.xls"])
def test_the_workbook_may_lie_among_the_frames_and_have_another_name(tmp_path, place):
    found = survey_samm(write_samm(tmp_path, workbook=place))
    assert found.annotations == tmp_path / place
    assert names(found.table) == [(row.subject, row.clip) for row in ROWS]


def test_workbook_and_frames_may_be_named(tmp_path):
    write_samm(tmp_path / "a", rows=only("006_1_2"), workbook="own.xlsx")
    write_samm(tmp_path / "b", rows=only("006_1_2", "007_3_1"))
    found = survey_samm(
        tmp_path, annotations=tmp_path / "a" / "own.xlsx", frames=tmp_path / "b" / "SAMM"
    )
    assert names(found.table) == [("006", "006_1_2")]
    assert found.frames == tmp_path / "b" / "SAMM" / "SAMM"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"onset": "soon"}, "column Onset Frame: 'soon' is not a frame number"),
        ({"apex": 7031.5}, "column Apex Frame: '7031.5' is not a frame number"),
        ({"offset": "7,033"}, "column Offset Frame: '7,033' is not a frame number"),
        ({"subject": "seven"}, "column Subject: 'seven' is not a subject"),
        ({"onset": None}, "onset is missing"),
    ],
)
def test_a_row_with_a_wrong_cell_is_left_out_and_told(tmp_path, change, reason):
    write_samm(tmp_path)
    rows = [row._replace(**change) if row.clip == "007_3_1" else row for row in ROWS]
    path = write_workbook(tmp_path / "wrong.xlsx", {"A": [HEADER, *map(cells, rows)]})
    found = survey_samm(tmp_path, annotations=path)
    (omission,) = found.unusable
    assert omission.where == "wrong.xlsx, sheet A, row 4"
    assert (omission.clip, omission.emotion) == ("007_3_1", "anger")
    assert reason in omission.reason
    assert len(found.table) == len(ROWS) - 1


def test_empty_rows_are_skipped_but_counted(tmp_path):
    write_samm(tmp_path)
    blank = [None] * len(HEADER)
    wrong = ROWS[1]._replace(onset="x")
    rows = [HEADER, blank, cells(ROWS[0]), blank, cells(wrong)]
    path = write_workbook(tmp_path / "gaps.xlsx", {"A": rows})
    found = survey_samm(tmp_path, annotations=path)
    assert names(found.table) == [("006", "006_1_2")]
    assert found.unusable[0].where == "gaps.xlsx, sheet A, row 5"


def test_a_clip_without_frames_is_told(tmp_path):
    root = write_samm(tmp_path, disk={"007_3_1": range(1, 5)})
    for frame in (root / "SAMM/SAMM/006/006_2_1").glob("*.jpg"):
        frame.unlink()
    (root / "SAMM/SAMM/035/035_7_1").rename(root / "elsewhere")
    found = survey_samm(root)
    reasons = {omission.clip: omission.reason for omission in found.unusable}
    assert reasons.keys() == {"006_2_1", "007_3_1", "035_7_1"}
    assert "no frames in" in reasons["006_2_1"]
    assert "frames 7030 to 7033" in reasons["007_3_1"]
    assert "no frames for it in" in reasons["035_7_1"]
    assert len(found.table) == 3


def test_tasks_give_the_classes(tmp_path):
    write_samm(tmp_path)
    three = survey_samm(tmp_path, task="three")
    assert list(three.table.label) == ["positive", "negative", "surprise", "negative"]
    assert [omission.emotion for omission in three.left_out] == ["others", "others"]
    with pytest.raises(InputError, match="samm has no task 'five'"):
        survey_samm(tmp_path, task="five")


def test_what_is_missing_altogether_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no workbook .*SAMM_Micro_FACS_Codes_v2\.xlsx"):
        survey_samm(tmp_path)
    write_samm(tmp_path, trees=())
    with pytest.raises(InputError, match=r"no frames in .*006/006_1_2/006_05562\.jpg"):
        survey_samm(tmp_path)
    with pytest.raises(InputError, match=r"no such file: .*absent\.xlsx"):
        survey_samm(tmp_path, annotations=tmp_path / "absent.xlsx")


def test_another_sets_workbook_is_refused(tmp_path):
    header = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None]
    header += ["Action Units", "Estimated Emotion"]
    row = [1, "EP02_01f", None, 46, 59, 86, None, "12", "happiness"]
    write_workbook(tmp_path / "CASME2-coding-20140508.xlsx", {"Sheet1": [header, row]})
    write_frames(tmp_path / "sub01" / "EP02_01f", ["img46.jpg"])
    with pytest.raises(InputError, match=r"CASME2-coding-20140508\.xlsx is the workbook of casme2"):
        survey_samm(tmp_path)
