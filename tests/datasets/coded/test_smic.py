import math
import shutil

import pytest
from trees_casme2 import write_casme2
from trees_smic import CLIPS, HEADER, LAYOUTS, WORKBOOK, Coded, cells, write_smic
from workbooks import write_workbook

from originet.datasets import survey
from originet.datasets.coded.smic import survey_smic
from originet.system.errors import InputError

NAMES = sorted((f"s{row.subject:02d}", row.clip) for row in CLIPS)


def names(table):
    return list(zip(table["subject"], table["clip"], strict=True))


def row_of(found, clip):
    (row,) = found.table[found.table["clip"] == clip].itertuples()
    return row


def numbers(row):
    return [int(path.rsplit("image", 1)[1].split(".")[0]) for path in row.frames]


@pytest.mark.parametrize("workbook", [WORKBOOK, "SMIC-HS-E_annotation.xlsx", "codes.xls"])
@pytest.mark.parametrize("layout", ["cropped", "raw", "long"])
def test_every_layout_gives_the_clips_from_onset_to_offset(tmp_path, workbook, layout):
    path = write_smic(tmp_path, workbook=workbook, layouts=(layout,))
    found = survey_smic(tmp_path)
    assert (found.dataset, found.annotations) == ("smic", path)
    assert found.frames == tmp_path / LAYOUTS[layout]
    assert found.cropped is (layout == "cropped")
    assert names(found.table) == NAMES and set(found.table.fps) == {100.0}
    assert not found.unusable and not found.left_out and not found.gaps
    for clip in CLIPS:
        row = row_of(found, clip.clip)
        assert numbers(row) == list(clip.frames)
        assert (row.onset, row.offset) == (clip.frames[0], clip.frames[-1])
        assert row.label == row.emotion == clip.emotion.strip().lower()
    assert "sheet Sheet1: 6 rows (published: 164 clips, 16 subjects)" in found.remarks
    assert [(c.clip, c.field, c.used) for c in found.corrections] == [
        ("s11_ne_01", "offset", "44"),
        ("s20_po_12", "apex", "10"),
    ]


@pytest.mark.parametrize("spelled", [lambda n: f"s{n:02d}", lambda n: f"s{n}", str])
def test_subjects_and_clips_have_the_names_of_lists_however_they_are_spelled(tmp_path, spelled):
    rows = [row._replace(clip=row.folder) for row in CLIPS]
    write_smic(tmp_path, rows=rows, subject=spelled)
    assert names(survey_smic(tmp_path).table) == NAMES
    listed = tmp_path / "list.csv"
    listed.write_text("subject,clip\ns3,s3_ne_01\n3,s03_ne_03\ns11,s11_po_01\n")
    found = survey("smic", tmp_path, clips=listed)
    assert list(found.table["clip"]) == ["s03_ne_01", "s03_ne_03", "s11_po_01"]
    assert not found.unusable


def test_the_middle_is_the_apex_where_none_is_coded(tmp_path):
    header = [name for name in HEADER if name != "ApexF"]
    write_smic(tmp_path, header=header, workbook="SMIC-HS-E_annotation.xlsx", rows=CLIPS[:3])
    found = survey_smic(tmp_path)
    assert list(found.table.apex) == [9883, 100024, 304]
    assert found.table.notes[0] == "apex midway" and not found.corrections
    write_smic(tmp_path / "2019")
    found = survey_smic(tmp_path / "2019")
    assert (row_of(found, "s03_ne_01").apex, row_of(found, "s03_ne_01").notes) == (9880, "")
    assert (row_of(found, "s03_ne_03").apex, row_of(found, "s03_ne_03").notes) == (
        100024,
        "apex midway",
    )


def test_further_movements_of_a_clip_are_noted(tmp_path):
    write_smic(tmp_path)
    assert row_of(survey_smic(tmp_path), "s03_su_02").notes == "further movements: 312 to 314"


def test_what_the_cropped_release_lacks_is_said(tmp_path):
    write_smic(tmp_path, without=("s11_po_01",), missing=(9880, 9881, 309))
    write_smic(tmp_path / "more", layouts=("raw",), workbook=None)
    found = survey_smic(tmp_path)
    assert found.cropped and len(found.table) == 5
    (gap,) = found.gaps
    assert (gap.clip, gap.numbers) == ("s03_ne_01", "9880-9881")
    (omission,) = found.unusable
    assert omission.clip == "s11_po_01"
    assert omission.reason == f"no frames for it in {tmp_path / LAYOUTS['cropped']}"
    # A folder holds only the clip: its last frame is the offset where the coded one is missing.
    (changed,) = [c for c in found.corrections if c.clip == "s03_su_02"]
    assert (changed.field, changed.coded, changed.used) == ("offset", "309", "308")
    assert "(300 to 308), and the folder contains only the clip" in changed.reason


def test_a_whole_recording_that_lacks_the_onset_is_unusable(tmp_path):
    write_smic(tmp_path, layouts=("long",))
    (tmp_path / "SMIC_HS_E/s03/s3_ne_01/image009876.jpg").unlink()
    (omission,) = survey_smic(tmp_path).unusable
    assert omission.clip == "s03_ne_01" and "the onset is missing" in omission.reason


@pytest.mark.parametrize("layout", ["cropped", "raw"])
def test_names_of_folders_do_without_a_workbook(tmp_path, layout):
    write_smic(tmp_path, workbook=None, layouts=(layout,))
    found = survey_smic(tmp_path)
    assert found.annotations is None and names(found.table) == NAMES
    for clip in CLIPS:
        row = row_of(found, clip.clip)
        assert numbers(row) == list(clip.frames)
        assert (row.onset, row.offset) == (clip.frames[0], clip.frames[-1])
        assert row.label == clip.emotion.strip().lower()
        assert (row.apex, row.notes) == ((row.onset + row.offset) // 2, "apex midway")
    assert not found.corrections and not found.unusable
    assert found.remarks[0].startswith("emotions are those of the folders' names, and clips are")


def test_another_sets_workbook_does_not_stop_the_names_of_folders(tmp_path):
    path = write_casme2(tmp_path)
    write_smic(tmp_path, workbook=None)
    found = survey_smic(tmp_path)
    assert names(found.table) == NAMES
    assert f"{path} is the workbook of casme2" in found.remarks[0]
    with pytest.raises(InputError, match="is the workbook of casme2"):
        survey_smic(tmp_path, annotations=path)
    assert survey("casme2", tmp_path).annotations == path


def test_without_a_workbook_clips_that_another_tree_has_are_named(tmp_path):
    write_smic(tmp_path, workbook=None, without=("s11_po_01",))
    write_smic(tmp_path, workbook=None, layouts=("long",))
    found = survey_smic(tmp_path)
    assert found.frames == tmp_path / LAYOUTS["cropped"] and len(found.table) == 5
    (omission,) = found.unusable
    assert (omission.subject, omission.clip, omission.emotion) == ("s11", "s11_po_01", "positive")
    assert "no frames for it" in omission.reason
    assert f"frames not used: {tmp_path / 'SMIC_HS_E'} (not cut to" in found.remarks[-1]


def test_whole_recordings_need_the_workbook(tmp_path):
    write_smic(tmp_path, workbook=None, layouts=("long",))
    with pytest.raises(InputError, match=r"no workbook in .*unlike those in .*SMIC_HS_E"):
        survey_smic(tmp_path)


@pytest.mark.parametrize("emotion", ["surprise", "boredom"])
def test_folders_that_contradict_a_clips_name_make_it_unusable(tmp_path, emotion):
    write_smic(tmp_path, workbook=None)
    there = tmp_path / LAYOUTS["cropped"] / "s3/micro"
    if emotion == "boredom":
        (there / "negative/s3_ne_01").rename(there / "negative/s3_bo_01")
    else:
        (there / "negative/s3_ne_01").rename(there / "surprise/s3_ne_01")
    (omission,) = survey_smic(tmp_path).unusable
    assert omission.clip in ("s03_ne_01", "s03_bo_01")
    assert omission.reason.startswith("folders and name do not agree on an emotion")


def test_a_clip_in_the_folder_of_another_emotion_is_reported(tmp_path):
    write_smic(tmp_path)
    there = tmp_path / LAYOUTS["cropped"] / "s3/micro"
    (there / "negative/s3_ne_01").rename(there / "surprise/s3_ne_01")
    found = survey_smic(tmp_path)
    assert row_of(found, "s03_ne_01").label == "negative"
    assert (
        "in the folder of another emotion: s03/s03_ne_01 (negative, in surprise)" in found.remarks
    )
    shutil.copytree(there / "surprise/s3_ne_01", there / "negative/s3_ne_01")
    (omission,) = survey_smic(tmp_path).unusable
    assert omission.reason.startswith("several folders for it: ")


def test_the_high_speed_camera_comes_before_the_others(tmp_path):
    write_smic(tmp_path, layouts=("VIS", "NIR", "raw"))
    found = survey_smic(tmp_path)
    assert found.frames == tmp_path / LAYOUTS["raw"] and set(found.table.fps) == {100.0}
    assert sum("frames not used (choose with --frames)" in remark for remark in found.remarks) == 2


@pytest.mark.parametrize("layout", ["VIS", "NIR"])
def test_the_other_cameras_are_read_by_the_names_of_folders(tmp_path, layout):
    other = [Coded(11, "s11_ne_01", 0, 0, 0, "negative", range(1, 6))]
    write_smic(tmp_path)
    write_smic(tmp_path / "other", rows=other, layouts=(layout,), workbook=None)
    found = survey_smic(tmp_path, frames=tmp_path / "other")
    assert found.frames == tmp_path / "other" / LAYOUTS[layout]
    (row,) = found.table.itertuples()
    assert numbers(row) == [1, 2, 3, 4, 5] and row.notes == f"{layout}; apex midway"
    assert math.isnan(row.fps) and found.annotations is None and not found.unusable
    assert (
        f"the clips are those of {layout}, and {tmp_path / WORKBOOK} codes those of HS"
        in (found.remarks[0])
    )


def test_folders_of_other_recordings_are_not_clips(tmp_path):
    write_smic(tmp_path, workbook=None)
    there = tmp_path / LAYOUTS["cropped"] / "s3"
    shutil.copytree(there / "micro/negative/s3_ne_01", there / "non_micro/s3_ne_09")
    assert names(survey_smic(tmp_path).table) == NAMES


def test_a_row_with_a_wrong_cell_is_left_out_and_named(tmp_path):
    write_smic(tmp_path)
    wrong = [row._replace(clip="EP01") if row is CLIPS[0] else row for row in CLIPS]
    wrong[1] = wrong[1]._replace(onset="soon")
    wrong[2] = wrong[2]._replace(second=("late", None))
    path = write_workbook(
        tmp_path / "wrong.xlsx", {"A": [HEADER, *(cells(row) for row in wrong), ["x"]]}
    )
    found = survey_smic(tmp_path, annotations=path)
    assert len(found.table) == 3
    assert {omission.where[-5:]: omission.reason for omission in found.unusable} == {
        "row 2": "'EP01' is not a clip such as s3_ne_01",
        "row 3": "column OnsetF: 'soon' is not a frame number",
        "row 4": "onset of a further movement: 'late' is not a frame number",
        "row 8": "column Subject: 'x' is not a subject",
    }


@pytest.mark.parametrize("task", ["original", "three", "megc2019"])
def test_tasks_have_the_three_classes(tmp_path, task):
    write_smic(tmp_path)
    found = survey_smic(tmp_path, task=task)
    assert (found.table.label == found.table.emotion).all() and len(found.table) == 6
    for other in ("paper", "five"):
        with pytest.raises(InputError, match=f"smic has no task '{other}': choose original, three"):
            survey_smic(tmp_path, task=other)


def test_what_is_missing_altogether_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no frames in .*s3/micro/negative/s3_ne_01/image009876"):
        survey_smic(tmp_path)
    path = write_smic(tmp_path, layouts=())
    with pytest.raises(InputError, match=r"no frames in .*s3/micro/negative"):
        survey_smic(tmp_path)
    with pytest.raises(InputError, match=r"no such folder: .*nowhere"):
        survey_smic(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no such file: .*absent"):
        survey_smic(tmp_path, annotations=path.with_name("absent.xlsx"))
