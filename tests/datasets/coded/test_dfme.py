import math

import pytest
from trees_casme2 import write_casme2
from trees_dfme import CLIPS, HEADER, Coded, write_dfme
from workbooks import write_workbook

from originet.datasets import survey
from originet.datasets.coded.dfme import survey_dfme
from originet.system.errors import InputError


def names(table):
    return list(zip(table["subject"], table["clip"], strict=True))


def row_of(found, clip):
    (row,) = found.table[found.table["clip"] == clip].itertuples()
    return row


def numbers(row):
    return [int(path.rsplit("/", 1)[1].removesuffix(".png")) for path in row.frames]


@pytest.mark.parametrize("tree", ["DFME_train", "DFME/DFME_train", "b"])
def test_clips_lie_side_by_side(tmp_path, tree):
    path = write_dfme(tmp_path, tree=tree)
    found = survey_dfme(tmp_path)
    assert (found.dataset, found.annotations, found.cropped) == ("dfme", path, False)
    assert found.frames == tmp_path / tree
    assert names(found.table) == [(clip.subject, clip.clip) for clip in CLIPS]
    for clip in CLIPS:
        row = row_of(found, clip.clip)
        assert numbers(row) == list(range(int(clip.onset), int(clip.offset or clip.apex) + 1))
    assert list(found.table.label) == ["happiness", "disgust", "fear", "surprise"]
    assert list(found.table.action_units) == ["12", "4+L10", "4", ""]
    assert [(c.clip, c.field, c.used) for c in found.corrections] == [("sub0671_11", "offset", "9")]
    assert not found.unusable and not found.left_out and not found.gaps
    assert found.remarks[0] == (
        "sheet Sheet1: 4 rows (published: 1,856, 474 and 299 rows in its three parts)"
    )


def test_each_clip_has_its_own_frame_rate(tmp_path):
    write_dfme(tmp_path)
    *rates, last = survey_dfme(tmp_path).table.fps
    assert rates == [500.0, 200.0, 300.0] and math.isnan(last)


@pytest.mark.parametrize("spelled", [int, str, "sub{:03d}".format])
def test_subjects_have_the_names_of_the_clips(tmp_path, spelled):
    rows = [row._replace(subject=spelled(int(row.subject[3:]))) for row in CLIPS]
    write_dfme(tmp_path, rows=rows)
    assert set(survey_dfme(tmp_path).table.subject) == {"sub0003", "sub0017", "sub0671"}


def test_rows_that_cannot_be_used_are_named(tmp_path):
    write_dfme(tmp_path, without=("sub0671_11",))
    (tmp_path / "DFME_train/sub0003_02/00009.png").unlink()
    (tmp_path / "DFME_train/sub0003_01/00110.png").unlink()
    rows = [
        *CLIPS,
        CLIPS[0]._replace(clip="EP01"),
        CLIPS[0]._replace(clip="sub0004_01"),
        CLIPS[0]._replace(subject="p"),
        CLIPS[0]._replace(fps="fast"),
        CLIPS[0]._replace(fps=0),
        CLIPS[2],
    ]
    path = write_workbook(tmp_path / "own.xlsx", {"A": [HEADER, *rows]})
    found = survey_dfme(tmp_path, annotations=path)
    reasons = {omission.where.split("row ")[1]: omission.reason for omission in found.unusable}
    assert "the onset is missing" in reasons.pop("3")
    assert reasons == {
        "5": f"no frames for it in {tmp_path / 'DFME_train'}",
        "6": "'EP01' is not a clip such as sub0003_01",
        "7": "clip sub0004_01 is not one of subject sub0003, by its name",
        "8": "column Subject: 'p' is not a subject",
        "9": "'fast' is not a number of frames per second",
        "10": "'0' is not a number of frames per second",
        "11": "the same subject and clip as in own.xlsx, sheet A, row 4",
    }
    (gap,) = found.gaps
    assert (gap.clip, gap.numbers) == ("sub0003_01", "110")
    assert names(found.table) == [("sub0003", "sub0003_01"), ("sub0017", "sub0017_01")]


def test_the_part_with_most_clips_is_read_unless_another_is_named(tmp_path):
    train = write_dfme(tmp_path)
    rows = [Coded("sub0100", "sub0100_01", 5, 6, 8, "anger", 5, 200, 4)]
    test = write_dfme(tmp_path, rows=rows, workbook="a.xlsx", tree="DFME_testA")
    found = survey_dfme(tmp_path)
    assert found.annotations == train and found.frames == tmp_path / "DFME_train"
    left = f"workbook not used (choose with --annotations): {test} (1 of 1 coded clips on disk)"
    assert left in found.remarks
    found = survey_dfme(tmp_path, annotations=test)
    assert found.frames == tmp_path / "DFME_testA"
    assert names(found.table) == [("sub0100", "sub0100_01")]


def test_casme2_under_the_same_root_is_another_set(tmp_path):
    mine, other = write_dfme(tmp_path, workbook="a.xlsx"), write_casme2(tmp_path, workbook="b.xlsx")
    assert survey("dfme", tmp_path).annotations == mine
    assert survey("casme2", tmp_path).annotations == other
    with pytest.raises(InputError, match=r"a\.xlsx is the workbook of dfme"):
        survey("casme2", tmp_path, annotations=mine)


def test_tasks_give_the_classes(tmp_path):
    write_dfme(tmp_path)
    found = survey_dfme(tmp_path, task="three")
    assert list(found.table.label) == ["positive", "negative", "negative", "surprise"]
    with pytest.raises(InputError, match="dfme has no task 'paper': choose original, three"):
        survey_dfme(tmp_path, task="paper")


def test_what_is_missing_altogether_is_named(tmp_path):
    with pytest.raises(InputError, match=r"looked for a \.xls or \.xlsx file with columns .*Fps"):
        survey_dfme(tmp_path)
    write_workbook(tmp_path / "train.xlsx", {"A": [HEADER, *CLIPS]})
    with pytest.raises(InputError, match=r"no frames in .*DFME_train/sub0003_01/00109\.png"):
        survey_dfme(tmp_path)
