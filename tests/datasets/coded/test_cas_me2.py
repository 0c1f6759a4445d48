import pytest
from trees_cas_me2 import ROWS, SHEETS, SUBJECTS, VIDEOS, Row, write_cas_me2
from workbooks import write_workbook

from originet.clips.frames import read_clip
from originet.datasets import survey
from originet.datasets.coded.cas_me2 import survey_cas_me2
from originet.system.errors import InputError

# As (subject, clip), in the order of the table.
CLIPS = [
    ("s15", "anger1_1"),
    ("s15", "disgust1_2"),
    ("s16", "anger1_1"),
    ("s16", "happy5_10"),
    ("s19", "happy1_1"),
    ("s23", "happy1_1"),
]


def names(table):
    return list(zip(table["subject"], table["clip"], strict=True))


def row_of(found, subject, clip):
    table = found.table
    (row,) = table[(table["subject"] == subject) & (table["clip"] == clip)].itertuples()
    return row


def file_names(frames):
    return [path.rsplit("/", 1)[1] for path in frames]


@pytest.fixture
def found(tmp_path):
    return survey_cas_me2(write_cas_me2(tmp_path))


def test_clips_of_the_published_layout_become_a_table(found, tmp_path):
    assert names(found.table) == CLIPS
    assert set(found.table.dataset) == {"cas_me2"}
    assert set(found.table.fps) == {30.0}
    assert found.annotations == tmp_path / "CAS(ME)^2code_final.xlsx"
    assert found.frames == tmp_path / "selectedpic" / "selectedpic"
    assert not found.cropped
    assert not found.unusable and not found.left_out and not found.gaps
    assert list(found.table.action_units) == ["4+L10", "4", "4", "6+12", "12", "?"]


def test_the_papers_class_is_that_of_the_eliciting_video(found):
    assert list(found.table.label) == [
        "anger",
        "disgust",
        "anger",
        "happiness",
        "happiness",
        "happiness",
    ]
    assert list(found.table.emotion) == [
        "negative",
        "others",
        "negative",
        "positive",
        "positive",
        "surprise",
    ]


def test_other_tasks_go_by_the_estimated_emotion(tmp_path):
    write_cas_me2(tmp_path)
    original = survey_cas_me2(tmp_path, task="original")
    assert (original.table.label == original.table.emotion).all()
    three = survey_cas_me2(tmp_path, task="three")
    assert names(three.table) == [clip for clip in CLIPS if clip != ("s15", "disgust1_2")]
    assert [omission.emotion for omission in three.left_out] == ["others"]


def test_micro_expressions_alone_are_taken_where_they_are_asked_for(tmp_path):
    rows = [*ROWS, Row(3, "happy2_1", 2, 3, "4?", "12", "positive", "Macro-expression")]
    rows += [Row(3, "happy3_1", 2, 3, 4, "12", "positive", "")]
    write_cas_me2(tmp_path, ROWS)
    write_cas_me2(tmp_path, rows, trees=())
    assert len(survey_cas_me2(tmp_path).table) == len(ROWS)
    found = survey("cas_me2", tmp_path, micro_only=True)
    assert names(found.table) == [("s16", "anger1_1"), ("s23", "happy1_1")]
    reasons = {omission.clip: omission.reason for omission in found.left_out}
    assert reasons["disgust1_2"] == ("macro-expression, but only micro-expressions were requested")
    assert reasons["happy3_1"].startswith("of unknown kind, but")
    assert len(found.left_out) == len(rows) - 2 and not found.unusable
    assert "(5 macro-expression, 2 micro-expression, 1 of unknown kind;" in found.remarks[0]
    with pytest.raises(InputError, match="the data set samm takes no micro_only"):
        survey("samm", tmp_path, micro_only=True)


def test_kind_and_self_report_are_told(found):
    assert row_of(found, "s23", "happy1_1").notes == "micro-expression; self-reported surprise"
    assert row_of(found, "s15", "anger1_1").notes == "macro-expression; self-reported anger"
    assert (
        "sheet CASFEcode_final: 6 rows (4 macro-expression, 2 micro-expression; "
        "published: 300 macro-expression, 57 micro-expression)"
    ) in found.remarks


def test_a_doubled_suffix_does_not_hide_the_frame_number(found):
    clip = row_of(found, "s15", "anger1_1")
    assert file_names(clip.frames) == [
        "img8.jpg",
        "img9.jpg",
        "img10.jpg.jpg",
        "img11.jpg",
        "img12.jpg",
    ]


def test_an_offset_of_zero_is_the_apex(found):
    clip = row_of(found, "s16", "anger1_1")
    assert (clip.onset, clip.apex, clip.offset) == (5, 7, 7)
    assert file_names(clip.frames) == ["img5.jpg", "img6.jpg", "img7.jpg.jpg"]
    (correction,) = found.corrections
    assert correction.where == "CAS(ME)^2code_final.xlsx, sheet CASFEcode_final, row 3"
    assert correction[1:6] == ("s16", "anger1_1", "offset", "0", "7")


@pytest.mark.parametrize(
    "name",
    [
        "CAS(ME)^2code_final.xlsx",
        "CAS(ME)^2code_final(Updated).xlsx",
        "code_final.xlsx",
        "labels/mine.xls",
    ],
)
def test_workbooks_of_any_name_are_found(tmp_path, name):
    found = survey_cas_me2(write_cas_me2(tmp_path, workbook=name))
    assert found.annotations == tmp_path / name
    assert names(found.table) == CLIPS


def test_the_usual_name_is_taken_first(tmp_path):
    write_cas_me2(tmp_path, workbook="a/code_final.xlsx", trees=())
    write_cas_me2(tmp_path, workbook="b/CAS(ME)^2code_final.xlsx")
    found = survey_cas_me2(tmp_path)
    assert found.annotations == tmp_path / "b/CAS(ME)^2code_final.xlsx"
    other = tmp_path / "a/code_final.xlsx"
    left = f"workbook not used (choose with --annotations): {other} (6 of 6 coded clips on disk)"
    assert left in found.remarks


@pytest.mark.parametrize("sheets", [SHEETS, ("CASMEcode_final", *SHEETS[1:]), ("a", "b", "c")])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_sheets_of_any_name_and_order_are_told_apart(tmp_path, sheets, order):
    found = survey_cas_me2(write_cas_me2(tmp_path, sheets=sheets, order=order))
    assert names(found.table) == CLIPS


def test_frames_of_faces_are_taken_before_others(tmp_path):
    write_cas_me2(tmp_path, trees=("selectedpic", "cropped", "rawpic", "rawvideo"))
    found = survey_cas_me2(tmp_path)
    assert found.cropped
    assert found.frames == tmp_path / "cropped" / "cropped"
    assert names(found.table) == CLIPS
    assert row_of(found, "s15", "disgust1_2").frames[0] == str(
        tmp_path / "cropped/cropped/15/disgust1_2/img3.jpg"
    )
    for other in ("selectedpic/selectedpic", "rawpic/rawpic", "rawvideo"):
        (remark,) = [remark for remark in found.remarks if f"{tmp_path / other} (" in remark]
        assert remark.startswith("frames not used (choose with --frames): ")


def test_clips_that_the_release_of_faces_lacks_are_told(tmp_path):
    missing = [(16, "happy5_10"), (23, "happy1_1")]
    write_cas_me2(tmp_path, trees=("cropped", "selectedpic"), missing=missing)
    found = survey_cas_me2(tmp_path)
    assert names(found.table) == [
        clip for clip in CLIPS if clip not in [("s16", "happy5_10"), ("s23", "happy1_1")]
    ]
    assert [(o.subject, o.clip) for o in found.unusable] == [
        ("s16", "happy5_10"),
        ("s23", "happy1_1"),
    ]
    assert all("no frames for it in" in omission.reason for omission in found.unusable)
    assert any(
        remark.startswith("frames not used (choose with --frames)") and "6 of 6" in remark
        for remark in found.remarks
    )
    other = survey_cas_me2(tmp_path, frames=tmp_path / "selectedpic")
    assert names(other.table) == CLIPS and not other.unusable


@pytest.mark.parametrize("codes", [str, int])
def test_recorded_pictures_hold_clips_as_ranges(tmp_path, codes):
    found = survey_cas_me2(write_cas_me2(tmp_path, trees=("rawpic",), codes=codes))
    assert found.frames == tmp_path / "rawpic" / "rawpic"
    assert names(found.table) == CLIPS
    clip = row_of(found, "s15", "disgust1_2")
    assert file_names(clip.frames) == ["img003.jpg", "img004.jpg", "img005.jpg", "img006.jpg"]
    assert "s15/15_0101disgustingteeth" in clip.frames[0]


@pytest.mark.parametrize("codes", [str, int])
def test_recorded_videos_hold_clips_as_ranges(tmp_path, codes):
    found = survey_cas_me2(write_cas_me2(tmp_path, trees=("rawvideo",), codes=codes))
    assert found.frames == tmp_path / "rawvideo"
    assert not found.cropped
    assert names(found.table) == CLIPS
    clip = row_of(found, "s15", "disgust1_2")
    assert file_names(clip.frames) == ["15_0101disgustingteeth.avi"]
    frames = read_clip(clip.frames, clip.onset, clip.offset)
    assert frames.mean(axis=(1, 2)) == pytest.approx([30, 40, 50, 60], abs=3)


def test_pictures_of_clips_are_taken_before_recordings(tmp_path):
    write_cas_me2(tmp_path, trees=("rawpic", "selectedpic"))
    (tmp_path / "selectedpic/selectedpic/s23/happy1_1").rename(tmp_path / "lost")
    found = survey_cas_me2(tmp_path)
    assert found.frames == tmp_path / "selectedpic" / "selectedpic"
    assert len(found.unusable) == 1
    raw = survey_cas_me2(tmp_path, frames=tmp_path / "rawpic")
    assert raw.frames == tmp_path / "rawpic" / "rawpic"
    assert not raw.unusable


@pytest.mark.parametrize("tree", ["rawpic", "rawvideo"])
def test_the_recording_in_the_wrong_folder_is_found_and_told(tmp_path, tree):
    found = survey_cas_me2(write_cas_me2(tmp_path, trees=(tree,)))
    assert "s19/23_0502funnyerrors" in row_of(found, "s23", "happy1_1").frames[0]
    assert "s19/19_0502funnyerrors" in row_of(found, "s19", "happy1_1").frames[0]
    (correction,) = [change for change in found.corrections if change.field == "frames"]
    assert (correction.subject, correction.clip) == ("s23", "happy1_1")
    assert correction.coded.startswith("s23/23_0502") and correction.used.startswith("s19/23_0502")


def test_a_link_to_a_folder_above_does_not_lead_in_a_circle(tmp_path):
    write_cas_me2(tmp_path, trees=("rawvideo",))
    (tmp_path / "rawvideo" / "again").symlink_to(tmp_path)
    found = survey_cas_me2(tmp_path)
    assert found.frames == tmp_path / "rawvideo"
    assert len([remark for remark in found.remarks if remark.startswith("frames")]) == 1


def test_a_clip_beyond_the_end_of_its_recording_is_told(tmp_path):
    rows = [*ROWS, Row(1, "anger1_2", 10, 12, 99, "4", "negative")]
    found = survey_cas_me2(write_cas_me2(tmp_path, rows, trees=("rawvideo",)))
    (omission,) = found.unusable
    assert (omission.subject, omission.clip) == ("s15", "anger1_2")
    assert "frames 10 to 99 are coded" in omission.reason


@pytest.mark.parametrize(
    ("change", "subject", "reason"),
    [
        ({"index": 99}, "99", "column A: '99' is not the index of a subject"),
        ({"clip": "beautiful"}, "s16", "column B: 'beautiful' is not a clip such as anger1_1"),
        ({"onset": "first"}, "s16", "column C (onset): 'first' is not a frame number"),
        ({"apex": 6.5}, "s16", "column D (apex): '6.5' is not a frame number"),
        ({"offset": "#REF!"}, "s16", "column E (offset): '#REF!' is not a frame number"),
        ({"onset": None}, "s16", "onset is missing"),
    ],
)
def test_a_row_with_a_wrong_cell_is_left_out_and_told(tmp_path, change, subject, reason):
    write_cas_me2(tmp_path)
    rows = [tuple(row) for row in ROWS]
    rows[2:3] = [(None,) * 9, tuple(ROWS[2]._replace(**change))]
    path = write_workbook(tmp_path / "wrong.xlsx", sheets_with(rows))
    found = survey_cas_me2(tmp_path, annotations=path)
    (omission,) = found.unusable
    assert omission.where == "wrong.xlsx, sheet CASFEcode_final, row 4"
    assert (omission.subject, omission.emotion) == (subject, "negative")
    assert reason in omission.reason
    assert names(found.table) == [clip for clip in CLIPS if clip != ("s16", "anger1_1")]


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("naming rule1", "has no sheet of subjects (naming rule1: 15 | s15 | 1)"),
        ("naming rule2", "has no sheet of videos (naming rule2: 0101 | disgust1)"),
        ("CASFEcode_final", "no workbook of cas_me2"),
    ],
)
def test_a_lost_sheet_is_named(tmp_path, lost, message):
    write_cas_me2(tmp_path)
    sheets = sheets_with(ROWS)
    del sheets[lost]
    path = write_workbook(tmp_path / "part.xlsx", sheets)
    with pytest.raises(InputError) as error:
        survey_cas_me2(tmp_path, annotations=path)
    assert message in str(error.value) and "part.xlsx" in str(error.value)


def test_what_is_missing_altogether_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no workbook .*CAS\(ME\)\^2code_final\.xlsx"):
        survey_cas_me2(tmp_path)
    write_cas_me2(tmp_path, trees=())
    with pytest.raises(InputError, match=r"no frames in .*s15/anger1_1/img557\.jpg"):
        survey_cas_me2(tmp_path)
    with pytest.raises(InputError, match=r"no such folder: .*nowhere"):
        survey_cas_me2(tmp_path, frames=tmp_path / "nowhere")


def sheets_with(rows):
    subjects = [(number, f"s{number}", index) for index, number in SUBJECTS.items()]
    return {
        SHEETS[0]: rows,
        SHEETS[1]: subjects,
        SHEETS[2]: [(name[:4], video) for video, name in VIDEOS.items()],
    }
