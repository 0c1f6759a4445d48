import pytest

from originet.datasets.coded.assemble import CodedClip, KnownError, assemble
from originet.system.errors import InputError


def coded(onset=3, apex=5, offset=8, *, row=0, clip="a", emotion="happiness"):
    return CodedClip(f"x.xlsx, row {row + 2}", row, "sub01", clip, onset, apex, offset, "", emotion)


@pytest.fixture
def look(tmp_path):
    """Surveys coded clips whose folders hold the frames given, 1 to 10 by default."""

    def run(
        *clips,
        numbers=range(1, 11),
        task="paper",
        dataset="casme2",
        known=(),
        names=None,
        copies=(),
        **options,
    ):
        folder = tmp_path / "a"
        folder.mkdir()
        for name in names or [f"img{number}.jpg" for number in numbers]:
            (folder / name).touch()
        return assemble(
            dataset,
            task,
            clips,
            lambda clip: folder if clip.clip != "nowhere" else None,
            fps=200,
            cropped=False,
            frames=tmp_path,
            known=known,
            copies=copies,
            **{"annotations": tmp_path / "x.xlsx", **options},
        )

    return run


def row_of(found):
    (row,) = found.table.itertuples(index=False)
    return row


def reason_of(found):
    assert not len(found.table)
    (omission,) = found.unusable
    assert omission.where == "x.xlsx, row 2" and omission.subject == "sub01"
    return omission.reason


def test_a_clip_has_the_frames_from_onset_to_offset(look):
    found = look(coded(), numbers=[10, 9, 100, 3, 4, 5, 6, 7, 8, 1])
    row = row_of(found)
    assert (row.onset, row.apex, row.offset, row.label, row.fps) == (3, 5, 8, "positive", 200)
    assert [path.rsplit("/", 1)[1] for path in row.frames] == [f"img{n}.jpg" for n in range(3, 9)]
    assert not (found.corrections or found.unusable or found.gaps or found.left_out)


def test_clips_that_the_challenges_list_lacks_are_left_out_under_its_task_alone(look):
    unlisted = coded(clip="EP12_01f", emotion="disgust")._replace(subject="sub04")
    found = look(unlisted, coded(), task="megc2019")
    assert list(found.table["clip"]) == ["a"]
    (omission,) = found.left_out
    assert omission.clip == "EP12_01f"
    assert omission.reason == "it is not on the published list of task megc2019"


def test_zeros_stand_for_the_apex_and_the_midpoint(look):
    found = look(coded(offset=0))
    assert row_of(found).offset == 5
    assert [entry[3:] for entry in found.corrections] == [("offset", "0", "5", "0 means the apex")]


def test_apex_zero_is_midway(look):
    found = look(coded(apex=0))
    assert row_of(found).apex == 5  # of 3 to 8, rounded down
    assert [entry[3:] for entry in found.corrections] == [("apex", "0", "5", "0 means the middle")]


def test_a_missing_apex_is_no_correction(look):
    found = look(coded(apex=None))
    assert found.table.apex.isna().all() and not found.corrections


def test_an_apex_outside_the_clip_is_dropped(look):
    found = look(coded(apex=9))
    assert found.table.apex.isna().all()
    assert [entry[3:6] for entry in found.corrections] == [("apex", "9", "")]


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (coded(onset=None), "onset is missing"),
        (coded(offset=None), "offset is missing"),
        (coded(apex=None, offset=0), "offset is missing"),
        (coded(onset=9), "onset 9 is after offset 8"),
        (coded(onset=20, apex=25, offset=30), "none of frames 20 to 30 exists; "),
        (coded(onset=9, apex=10, offset=11), "a has 1 to 10: the offset is missing"),
        (coded(onset=0, apex=3, offset=5), "frames 0 to 5 are coded, but "),
        (coded(onset=0, apex=3, offset=5), "a has 1 to 10: the onset is missing"),
        (
            coded(onset=10, apex=10, offset=10),
            "a single frame shows no motion: only one of frames 10 to 10",
        ),
        (coded(clip="nowhere"), "no frames for it in "),
    ],
)
def test_what_cannot_be_used_is_listed_with_its_reason(look, clip, reason):
    assert reason in reason_of(look(clip))


def test_frames_with_one_number_are_named(look):
    found = look(coded(), names=["img3.jpg", "reg_img3.jpg"])
    assert "img3.jpg and reg_img3.jpg are both frame 3" in reason_of(found)


def test_a_doubled_suffix_does_not_hide_the_number(look):
    found = look(coded(2976, None, 2977), names=["img2976.jpg", "img2977.jpg.jpg"])
    assert len(row_of(found).frames) == 2


def test_a_folder_without_frames_is_named(look):
    assert "no frames in" in reason_of(look(coded(), names=["Thumbs.db"]))


def test_missing_frames_are_counted(look):
    found = look(coded(offset=11), numbers=[1, 3, 4, 6, 10, 11])
    assert [gap[2:] for gap in found.gaps] == [(4, "5, 7-9")]
    assert len(row_of(found).frames) == 5


@pytest.mark.parametrize(
    ("clip", "used"),
    [
        (coded(onset=30, apex=None, offset=80), (3, 8)),
        (coded(onset=None, apex=None, offset=None), (3, 8)),
        (coded(onset=3, apex=5, offset=9), (3, 8)),
        (coded(onset=4, apex=5, offset=7), (4, 7)),  # fits
    ],
)
def test_a_folder_of_the_clip_alone_replaces_a_range_that_does_not_fit(look, clip, used):
    found = look(clip, numbers=range(3, 9), cut=True)
    row = row_of(found)
    assert (row.onset, row.offset) == used
    changed = {entry.field for entry in found.corrections}
    assert changed == {
        name for name in ("onset", "offset") if getattr(clip, name) != getattr(row, name)
    }
    assert all("(3 to 8), and the folder contains only" in e.reason for e in found.corrections)


def test_rows_made_from_folders_have_no_corrections(look):
    clip = coded(onset=None, apex=None, offset=None)
    assert not look(clip, cut=True, annotations=None).corrections


def test_the_middle_is_the_apex_where_that_is_the_sets_rule(look):
    row = row_of(look(coded(apex=None)._replace(notes="x"), midway=True))
    assert (row.apex, row.notes) == (5, "x; apex midway")


def test_an_apex_that_is_coded_stays_though_the_middle_could_replace_it(look):
    row = row_of(look(coded(apex=7), midway=True))
    assert (row.apex, row.notes) == (7, "")


def test_a_clip_may_have_a_frame_rate_of_its_own(look):
    assert row_of(look(coded()._replace(fps=500.0))).fps == 500


@pytest.mark.parametrize("lost", [3, 8])
def test_a_lost_end_is_no_gap(look, lost):
    found = look(coded(), numbers=[n for n in range(1, 11) if n != lost])
    assert "is missing" in reason_of(found) and not found.gaps


def test_the_same_clip_twice_is_unusable_the_second_time(look):
    found = look(coded(), coded(onset=4, row=1))
    assert row_of(found).onset == 3
    (omission,) = found.unusable
    assert omission.where == "x.xlsx, row 3" and "as in x.xlsx, row 2" in omission.reason


def test_emotions_without_a_class_are_left_out(look):
    found = look(coded(emotion="fear"), task="five")
    assert not len(found.table) and not found.unusable
    (omission,) = found.left_out
    assert omission.emotion == "fear" and omission.reason == "task five has no class for 'fear'"


def test_an_unknown_task_is_refused(look):
    with pytest.raises(InputError, match="casme2 has no task 'six'"):
        look(coded(), task="six")


# Known errors: what is wrong must be seen on disk, whatever the row.
KNOWN = (KnownError(40, (100,), (120,), (149,)), KnownError(54, offset=(40,)))


def test_a_known_error_is_mended_where_the_coded_range_does_not_fit(look):
    found = look(coded(10, 12, 14, row=40), numbers=range(90, 160), known=KNOWN)
    row = row_of(found)
    assert (row.onset, row.apex, row.offset) == (100, 120, 149)
    assert [entry[3:6] for entry in found.corrections] == [
        ("onset", "10", "100"),
        ("apex", "12", "120"),
        ("offset", "14", "149"),
    ]
    assert "known error" in found.corrections[0].reason


def test_a_copy_that_has_the_row_right_is_left_alone(look):
    found = look(coded(5, 7, 9, row=40), numbers=range(1, 160), known=KNOWN)
    assert row_of(found).onset == 5 and not found.corrections


def test_a_known_error_in_another_row_is_mended_if_it_fits_exactly(look):
    found = look(coded(30, None, 4, row=57), numbers=range(30, 41), known=KNOWN)
    assert (row_of(found).onset, row_of(found).offset) == (30, 40)


def test_a_known_error_in_another_row_is_not_mended_if_more_frames_are_there(look):
    found = look(coded(30, None, 4, row=57), numbers=range(25, 50), known=KNOWN)
    assert not len(found.table) and not found.corrections


def test_a_known_error_is_not_mended_where_the_right_range_does_not_fit(look):
    found = look(coded(10, 12, 14, row=40), numbers=range(1, 13), known=KNOWN)
    (omission,) = found.unusable
    assert "frames 10 to 14 are coded" in omission.reason and "offset is missing" in omission.reason
    assert not found.corrections and not len(found.table)


def test_of_two_candidates_the_one_on_disk_is_taken(look):
    known = (KnownError(0, offset=(30, 8)),)
    assert row_of(look(coded(offset=2), known=known)).offset == 8


def copied(*span, clip="a", where="y.xlsx, row 9"):
    return coded(*span, clip=clip)._replace(where=where)


def test_the_range_of_another_copy_is_taken_where_only_that_is_on_disk(look):
    copies = [copied(4, 6, 12), copied(4, 6, 10, clip=" A"), copied(2, 5, 9, clip="b")]
    found = look(coded(6, 8, 14), copies=copies)
    row = row_of(found)
    assert (row.onset, row.apex, row.offset) == (4, 6, 10)
    assert [entry[3:6] for entry in found.corrections] == [
        *(("onset", "6", "4"), ("apex", "8", "6"), ("offset", "14", "10")),
    ]
    assert {entry.reason for entry in found.corrections} == {
        "the coded frames do not fit those on disk (1 to 10), but those of y.xlsx, row 9 do"
    }
    assert not found.gaps


def test_a_cell_that_is_empty_is_not_filled_from_another_copy(look):
    found = look(coded(offset=None), copies=[copied(3, 5, 9)])
    assert reason_of(found) == "offset is missing"


def test_the_coded_range_is_taken_where_both_are_on_disk(look):
    found = look(coded(3, 11, 8), copies=[copied(2, 5, 9)])  # and a wrong apex is no reason
    assert (row_of(found).onset, row_of(found).offset) == (3, 8)
    assert [entry.field for entry in found.corrections] == ["apex"]


def test_a_clip_of_which_no_copy_fits_is_unusable(look):
    found = look(coded(6, 8, 14), copies=[copied(0, 4, 9), copied(8, 9, 4)])
    assert "frames 6 to 14 are coded, but " in reason_of(found)
    assert not found.corrections
