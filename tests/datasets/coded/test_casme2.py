import re

import pytest
from trees_casme2 import (
    CLIPS,
    HEADER,
    KNOWN_FRAMES,
    KNOWN_ROW,
    LAYOUTS,
    Coded,
    numbered_rows,
    write_casme2,
    write_objective_classes,
)
from workbooks import write_workbook

from originet.datasets.coded.casme2 import survey_casme2
from originet.system.errors import InputError

WORKBOOKS = [
    "CASME2-coding-20140508.xlsx",
    "CASME2-coding-20190701.xlsx",
    "CASME2-coding-updated.xlsx",
    "CASME2_label_Ver_2.xls",
]


def row_of(found, subject, clip):
    return found.table.set_index(["subject", "clip"]).loc[(subject, clip)]


def numbers(row):
    return [int(path.rsplit("img", 1)[1].removesuffix(".jpg")) for path in row.frames]


@pytest.mark.parametrize("workbook", WORKBOOKS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_clip_is_read_from_its_onset_to_its_offset(tmp_path, workbook, layout):
    path = write_casme2(tmp_path, workbook=workbook, layout=layout)
    write_objective_classes(tmp_path)
    found = survey_casme2(tmp_path)
    assert (found.dataset, found.annotations) == ("casme2", path)
    assert found.frames == tmp_path / LAYOUTS[layout]
    assert found.cropped is (layout != "raw")
    assert not found.unusable and not found.left_out and not found.gaps
    assert len(found.table) == len(CLIPS)
    assert set(found.table.fps) == {200.0}
    for clip in CLIPS:
        row = row_of(found, f"sub{clip.subject:02d}", clip.clip)
        assert numbers(row) == list(clip.frames)
        assert (row.onset, row.offset) == (clip.frames[0], clip.frames[-1])
        assert row.action_units == str(clip.action_units)


def test_apex_may_be_a_stroke_and_numbers_text(tmp_path):
    write_casme2(tmp_path)
    found = survey_casme2(tmp_path)
    without = found.table[found.table["apex"].isna()]
    assert without[["subject", "clip"]].values.tolist() == [["sub01", "EP09f"]]
    assert row_of(found, "sub17", "EP06_02_01").apex == 23
    assert [(c.clip, c.field, c.used) for c in found.corrections] == [
        ("EP06_02_02", "offset", "44")
    ]


def test_labels_are_those_of_the_paper(tmp_path):
    write_casme2(tmp_path)
    table = survey_casme2(tmp_path).table
    labels = dict(zip(table.emotion, table.label, strict=True))
    assert labels == {
        **dict.fromkeys(("disgust", "fear", "sadness"), "negative"),
        **dict.fromkeys(("others", "repression"), "others"),
        "happiness": "positive",
        "surprise": "surprise",
    }


@pytest.mark.parametrize("layout", ["raw", "cropped"])
@pytest.mark.parametrize("count", [255, 256])
def test_known_wrong_row_is_set_right(tmp_path, layout, count):
    write_casme2(tmp_path, rows=numbered_rows(count), layout=layout)
    found = survey_casme2(tmp_path)
    assert len(found.table) == count
    assert len(set(found.table.subject)) == 26
    row = row_of(found, "sub09", f"EP{KNOWN_ROW}_03")
    assert numbers(row) == list(KNOWN_FRAMES)
    (told,) = (c for c in found.corrections if c.clip == f"EP{KNOWN_ROW}_03")
    assert (told.field, told.coded, told.used) == ("offset", "19", "91")
    assert told.where == f"CASME2-coding-20140508.xlsx, sheet Sheet1, row {KNOWN_ROW + 2}"


def test_mended_workbook_is_left_alone(tmp_path):
    write_casme2(tmp_path, rows=numbered_rows(256, offset=90), workbook=WORKBOOKS[1])
    found = survey_casme2(tmp_path)
    assert row_of(found, "sub09", f"EP{KNOWN_ROW}_03").offset == 90
    assert {c.clip for c in found.corrections} == {"EP06_02_02"}  # the zero
    assert found.remarks[0] == "sheet Sheet1: 256 rows"


def test_the_usual_workbook_is_taken_and_the_others_named(tmp_path):
    write_casme2(tmp_path, workbook="a-copy.xlsx", without={(c.subject, c.clip) for c in CLIPS})
    path = write_casme2(tmp_path, workbook="casme2-CODING-20140508.xlsx")
    classes = write_objective_classes(tmp_path)
    found = survey_casme2(tmp_path)
    assert found.annotations == path
    copy = tmp_path / "a-copy.xlsx"
    count = f"{len(CLIPS)} of {len(CLIPS)} coded clips on disk"
    assert f"workbook not used (choose with --annotations): {copy} ({count})" in found.remarks
    assert any(r.startswith(f"workbook not used: {classes} has sheet ") for r in found.remarks)
    with pytest.raises(InputError, match=r"no workbook of casme2: .*ObjectiveClasses\.xlsx has s"):
        survey_casme2(tmp_path, annotations=classes)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda name: name.upper(),
        lambda name: name.replace("Frame", " Frame\n"),
        lambda name: name.replace(" ", "_"),
        lambda name: f" {name.lower()}  ",
        lambda name: {"Action Units": "AU", "Estimated Emotion": "Emotion"}.get(name, name),
    ],
)
def test_headings_are_known_in_other_spellings(tmp_path, spelling):
    write_casme2(tmp_path, header=[name and spelling(name) for name in HEADER])
    assert len(survey_casme2(tmp_path).table) == len(CLIPS)


def test_frames_of_the_face_alone_are_taken_before_raw_ones(tmp_path):
    write_casme2(tmp_path, layout="raw")
    write_casme2(tmp_path, layout="cropped", doubled={(2, "EP01_2")}, without={(1, "EP02_01f")})
    found = survey_casme2(tmp_path)
    assert found.cropped
    assert [(o.subject, o.clip) for o in found.unusable] == [("sub01", "EP02_01f")]
    assert numbers(row_of(found, "sub02", "EP01_2")) == list(range(5, 12))
    raw = tmp_path / "CASME2_RAW_selected"
    assert any(f"frames not used (choose with --frames): {raw}" in r for r in found.remarks)
    found = survey_casme2(tmp_path, frames=raw)
    assert len(found.table) == len(CLIPS) and not found.cropped


# The copies of 2014 and 2019: of two clips they have other ranges, of a third other ones than the
# frames have.
OF_2014 = [
    *CLIPS[:4],
    Coded(3, "EP07_1", 20, 25, 30, 4, "disgust", range(20, 31)),
    Coded(3, "EP07_2", 40, 45, 50, 4, "disgust", range(36, 49)),
    Coded(3, "EP07_3", 60, 65, 70, 4, "disgust", range(63, 73)),
]
OF_2019 = [
    *CLIPS[:4],
    Coded(3, "EP07_1", 15, 25, 30, 4, "disgust", range(15, 31)),
    Coded(3, "EP07_2", 36, 41, 48, 4, "disgust", range(36, 49)),
    Coded(3, "EP07_3", 61, 65, 75, 4, "disgust", range(63, 73)),
]


@pytest.fixture
def copies(tmp_path):
    """Both workbooks, and the frames that `OF_2014` names: each row's own copy's, or neither's."""
    write_casme2(tmp_path, rows=OF_2014)
    nowhere = {(row.subject, row.clip) for row in OF_2019}
    write_casme2(tmp_path, rows=OF_2019, workbook=WORKBOOKS[1], without=nowhere)
    return tmp_path


@pytest.mark.parametrize("named", [False, True])
def test_the_frames_decide_between_the_ranges_of_two_copies(copies, named):
    path = copies / WORKBOOKS[0]
    found = survey_casme2(copies, annotations=path if named else None)
    assert found.annotations == path
    assert numbers(row_of(found, "sub03", "EP07_1")) == list(range(20, 31))
    row = row_of(found, "sub03", "EP07_2")
    assert (row.onset, row.apex, row.offset) == (36, 41, 48)
    assert numbers(row) == list(range(36, 49))
    assert [(c.clip, c.field, c.coded, c.used) for c in found.corrections] == [
        ("EP07_2", "onset", "40", "36"),
        ("EP07_2", "apex", "45", "41"),
        ("EP07_2", "offset", "50", "48"),
    ]
    where = f"{WORKBOOKS[1]}, sheet Sheet1, row 7"
    assert all(f"(36 to 48), but those of {where} do" in c.reason for c in found.corrections)
    (omission,) = found.unusable
    assert omission.clip == "EP07_3" and not found.gaps
    assert re.search(r"frames 60 to 70 are coded, but .* has 63 to 72", omission.reason)


def test_a_workbook_alone_leaves_the_clips_of_the_other_copy_unusable(copies):
    (copies / WORKBOOKS[1]).unlink()
    found = survey_casme2(copies)
    assert [o.clip for o in found.unusable] == ["EP07_2", "EP07_3"]
    assert not found.corrections and not found.gaps


def test_row_with_a_wrong_cell_is_named_and_the_others_are_used(tmp_path):
    wrong = [3, "EP1", None, 46.5, "/", 60, None, 4, "others"]
    write_casme2(tmp_path, extra=[wrong, [], [3, "EP1", None, 4, "/", 60, None, 4, None]])
    found = survey_casme2(tmp_path)
    assert len(found.table) == len(CLIPS)
    assert [(o.where, o.clip, o.reason) for o in found.unusable] == [
        (f"CASME2-coding-20140508.xlsx, sheet Sheet1, row {row}", "EP1", reason)
        for row, reason in (
            (len(CLIPS) + 2, "column OnsetFrame: '46.5' is not a frame number"),
            (len(CLIPS) + 4, "column Estimated Emotion is empty"),
        )
    ]


def test_workbook_without_a_column_is_described(tmp_path):
    write_casme2(tmp_path, header=[None if name == "ApexFrame" else name for name in HEADER])
    message = r"has sheet Sheet1 \(Subject \| .* \| OnsetFrame \| OffsetFrame .*columns .*ApexFrame"
    with pytest.raises(InputError, match=message):
        survey_casme2(tmp_path)


def test_workbook_of_samm_is_not_read_as_that_of_casme2(tmp_path):
    columns = ["Onset Frame", "Apex Frame", "Offset Frame", "Action Units", "Estimated Emotion"]
    header = ["Subject", "Filename", "Inducement Code", *columns, "Objective Classes"]
    path = write_workbook(tmp_path / "codes.xlsx", {"MICRO": [["text"], header]})
    with pytest.raises(InputError, match=r"codes\.xlsx is the workbook of samm; looked for CASME2"):
        survey_casme2(tmp_path)
    write_casme2(tmp_path, workbook="zz.xlsx")
    found = survey_casme2(tmp_path)
    assert found.annotations == tmp_path / "zz.xlsx"
    assert f"workbook not used: {path} is the workbook of samm" in found.remarks


def test_truncated_workbook_is_named(tmp_path):
    path = write_casme2(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"damaged or truncated workbook: .*20140508\.xlsx"):
        survey_casme2(tmp_path)
    write_casme2(tmp_path / "copy", workbook="other.xlsx")
    remarks = survey_casme2(tmp_path).remarks
    assert any(r.startswith("workbook not used: damaged or truncated work") for r in remarks)
