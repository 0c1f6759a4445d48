import pytest
from trees_casme import CLIPS, HEADER, KNOWN, MISSING, numbered_rows, write_casme
from trees_casme2 import write_casme2
from workbooks import write_workbook

from originet.datasets.coded.casme import subject_of, survey_casme
from originet.system.errors import InputError


def keys(table):
    return list(table[["subject", "clip"]].itertuples(index=False, name=None))


def numbers(row):
    return [int(path.rsplit("-", 1)[1].removesuffix(".jpg")) for path in row.frames]


def row_of(found, subject, clip):
    return found.table.set_index(["subject", "clip"]).loc[(subject, clip)]


@pytest.fixture(params=["CASME-coded-20190721.xls", "casme.xlsx", "renamed.XLS"])
def workbook(request):
    return request.param


@pytest.mark.parametrize("cropped", [True, False])
@pytest.mark.parametrize("sections", [True, False])
def test_every_clip_is_read_from_its_onset_to_its_offset(tmp_path, workbook, cropped, sections):
    path = write_casme(
        tmp_path, workbook=workbook.lower(), cropped=cropped, sections=sections
    ).rename(tmp_path / workbook)
    found = survey_casme(tmp_path)
    assert found.dataset == "casme"
    assert found.annotations == path
    assert found.frames == tmp_path / "frames"
    assert found.cropped is cropped
    assert not found.unusable and not found.left_out and not found.gaps
    assert keys(found.table) == sorted((f"sub{int(c.subject):02d}", c.clip) for c in CLIPS)
    assert set(found.table.fps) == {60.0}
    for clip in CLIPS:
        row = row_of(found, f"sub{int(clip.subject):02d}", clip.clip)
        assert numbers(row) == list(clip.frames)
        assert (row.onset, row.offset) == (clip.frames[0], clip.frames[-1])


def test_one_name_in_two_subjects_is_two_clips(tmp_path):
    write_casme(tmp_path)
    found = survey_casme(tmp_path)
    assert "sub01/EP01_5/reg_EP01_5-113.jpg" in row_of(found, "sub01", "EP01_5").frames[0]
    assert "sub02/EP01_5/reg_EP01_5-057.jpg" in row_of(found, "sub02", "EP01_5").frames[0]


def test_apex_is_the_second_where_the_first_is_missing(tmp_path):
    write_casme(tmp_path)
    found = survey_casme(tmp_path)
    assert row_of(found, "sub01", "EP01_12").apex == 81
    assert row_of(found, "sub01", "EP01_5").apex == 121
    row = row_of(found, "sub01", "EP03_1")
    assert (row.apex, row.notes) == (100, "apex from ApexF2")
    without = found.table[found.table.apex.isna()]
    assert keys(without) == [("sub02", "EP01_5")]


def test_workbook_may_have_one_column_of_apexes(tmp_path):
    names = {
        "OnsetF": "OnsetFrame",
        "ApexF1": "ApexFrame",
        "ApexF2": None,
        "OffsetF": "OffsetFrame",
        "AU": "Action Units",
    }
    write_casme(tmp_path, header=[names.get(name, name) for name in HEADER])
    found = survey_casme(tmp_path)
    assert row_of(found, "sub01", "EP01_12").apex == 81
    without = found.table[found.table.apex.isna()]
    assert keys(without) == [("sub01", "EP03_1"), ("sub02", "EP01_5")]


def test_zeros_stand_for_the_apex_and_the_midpoint_and_are_told(tmp_path):
    write_casme(tmp_path)
    found = survey_casme(tmp_path)
    assert row_of(found, "sub02", "EP02_1").offset == 26
    assert row_of(found, "sub02", "EP02_2").apex == 34
    told = [(c.clip, c.field, c.coded, c.used) for c in found.corrections]
    assert told == [("EP02_1", "offset", "0", "26"), ("EP02_2", "apex", "0", "34")]
    assert found.corrections[0].where == "CASME-coded-20190721.xls, sheet Sheet1, row 6"


def test_emotions_and_action_units_are_normalised_text(tmp_path):
    write_casme(tmp_path)
    found = survey_casme(tmp_path)
    table = found.table.set_index(["subject", "clip"])
    assert table.loc[("sub01", "EP03_1"), ["emotion", "label"]].tolist() == ["disgust", "negative"]
    assert table.loc[("sub02", "EP01_5"), "emotion"] == "sadness"
    assert set(table.label) == {"positive", "negative", "surprise", "others"}
    units = table.action_units
    assert units[("sub01", "EP01_12")] == "4"
    assert units[("sub02", "EP01_5")] == "?"
    assert units[("sub02", "EP02_1")] == "R12 or R15"
    assert units[("sub02", "EP02_2")] == ""
    assert set(survey_casme(tmp_path, task="original").table.label) == set(table.emotion)


@pytest.mark.slow
@pytest.mark.parametrize("cropped", [True, False])
def test_known_wrong_rows_are_set_right(tmp_path, cropped):
    write_casme(tmp_path, rows=numbered_rows(189), cropped=cropped)
    found = survey_casme(tmp_path)
    assert len(found.table) == 189
    table = found.table.set_index("clip")
    for row, (coded, right) in KNOWN.items():
        clip = table.loc[f"EP{row:02d}_1"]
        assert (clip.onset, clip.apex, clip.offset) == right
        told = {c.field: (c.coded, c.used) for c in found.corrections if c.clip == clip.name}
        assert told == {
            field: (str(old), str(new))
            for field, old, new in zip(("onset", "apex", "offset"), coded, right, strict=True)
            if old != new
        }


@pytest.mark.parametrize("count", [189, 193])
def test_mended_workbook_is_left_alone(tmp_path, count):
    write_casme(tmp_path, rows=numbered_rows(count, mended=True), workbook="casme.xlsx")
    found = survey_casme(tmp_path)
    assert len(found.table) == count
    assert {c.clip for c in found.corrections} == {"EP02_1", "EP02_2"}  # the zeros
    assert found.remarks[0] == f"sheet Sheet1: {count} rows"


def test_row_with_a_wrong_cell_is_named_and_the_others_are_used(tmp_path):
    good = [4, "EP9", None, 1, 2, MISSING, 3, None, None, None, 4, "tense"]
    bad = {3: "46,5", 4: 46.5, 6: "abc", 0: "Zoe", 1: None, 11: None}
    extra = [
        [value if at == wrong else cell for at, cell in enumerate(good)]
        for wrong, value in bad.items()
    ]
    write_casme(tmp_path, extra=[[None] * 12, *extra, good])
    found = survey_casme(tmp_path)
    assert len(found.table) == len(CLIPS)
    start = "CASME-coded-20190721.xls, sheet Sheet1, row "
    first = len(CLIPS) + 3
    expected = [
        (f"{start}{first}", "column OnsetF: '46,5' is not a frame number"),
        (f"{start}{first + 1}", "column ApexF1: '46.5' is not a frame number"),
        (f"{start}{first + 2}", "column OffsetF: 'abc' is not a frame number"),
        (f"{start}{first + 3}", "column Subject: 'Zoe' is not a subject"),
        (f"{start}{first + 4}", "column Filename is empty"),
        (f"{start}{first + 5}", "column Emotion is empty"),
    ]
    assert set(expected) <= {(entry.where, entry.reason) for entry in found.unusable}
    by_row = {entry.where: entry for entry in found.unusable}
    assert len(by_row) == 7
    assert "no frames for it in" in by_row[f"{start}{first + 6}"].reason  # the good row
    wrong = by_row[f"{start}{first}"]
    assert wrong.subject == "sub04" and wrong.emotion == "tense"


def test_clip_without_frames_is_named(tmp_path):
    write_casme(tmp_path, without={(1, "EP01_5")})
    (tmp_path / "frames" / "sub01" / "EP01_12" / "reg_EP01_12-80.jpg").unlink()
    found = survey_casme(tmp_path)
    (omission,) = found.unusable
    assert (omission.subject, omission.clip) == ("sub01", "EP01_5")
    assert omission.where.endswith("row 3")
    assert (omission.emotion, "no frames for it in" in omission.reason) == ("happiness", True)
    (gap,) = found.gaps
    assert (gap.clip, gap.numbers) == ("EP01_12", "80")


def test_workbook_and_frames_can_be_named(tmp_path):
    write_casme(tmp_path / "a")
    other = write_casme(tmp_path / "b", rows=CLIPS[:3], workbook="casme.xlsx", cropped=False)
    found = survey_casme(tmp_path / "a", annotations=other, frames=tmp_path / "b")
    assert (found.annotations, found.frames) == (other, tmp_path / "b" / "frames")
    assert len(found.table) == 3 and not found.cropped
    found = survey_casme(tmp_path)
    assert found.annotations.name == "CASME-coded-20190721.xls"
    left = f"workbook not used (choose with --annotations): {other} (3 of 3 coded clips on disk)"
    assert left in found.remarks
    assert found.cropped
    assert any(
        f"frames not used (choose with --frames): {tmp_path / 'b'}" in r for r in found.remarks
    )


def test_other_workbooks_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such folder: .*nowhere"):
        survey_casme(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no workbook in .*looked for CASME-coded-20190721\.xls"):
        survey_casme(tmp_path)
    path = write_casme2(tmp_path)
    message = r"no workbook of casme: .*20140508\.xlsx is the workbook of casme2; looked for CASME-"
    with pytest.raises(InputError, match=message):
        survey_casme(tmp_path)
    with pytest.raises(InputError, match=message):
        survey_casme(tmp_path, annotations=path)
    path = write_workbook(tmp_path / "casme.xls", {"Codes": [["Subject", "Clip"], [1, "a"]]})
    with pytest.raises(InputError, match=r"casme\.xls has sheet Codes \(Subject \| Clip \| 1 \| a"):
        survey_casme(tmp_path, annotations=path)


def test_workbook_without_frames_is_refused(tmp_path):
    write_casme(tmp_path, without={(int(clip.subject), clip.clip) for clip in CLIPS})
    with pytest.raises(InputError, match=r"no frames in .*sub01"):
        survey_casme(tmp_path)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        *(("1", "sub01"), ("01", "sub01"), ("sub01", "sub01"), ("Sub7", "sub07")),
        *((" 17 ", "sub17"), ("35", "sub35"), ("0", None), ("EP01_5", None), ("subject1", None)),
        *(("2013", None), ("", None), ("s15", None), ("1.5", None)),
    ],
)
def test_subjects_are_named_alike(text, subject):
    assert subject_of(text) == subject
