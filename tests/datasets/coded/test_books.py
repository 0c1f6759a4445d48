"""Which workbook and which frames a survey takes, where there are several under one root."""

import shutil

import openpyxl
import pytest
from trees_cas_me2 import write_cas_me2
from trees_casme import CLIPS as CASME_CLIPS
from trees_casme import HEADER as CASME_HEADER
from trees_casme import write_casme
from trees_casme2 import CLIPS, HEADER, Coded, write_casme2
from trees_samm import HEADER as SAMM_HEADER
from trees_samm import ROWS, cells, write_samm
from workbooks import write_workbook

from originet.datasets import survey
from originet.datasets.coded.assemble import CodedClip
from originet.datasets.coded.books import Book, choose_book
from originet.datasets.coded.frame_tree import FrameTree
from originet.system.errors import InputError

OF_2019 = (*HEADER, "Objective Classes")  # of CASME II
SPELLED_AS_SAMMS = [name and name.replace("Frame", " Frame") for name in OF_2019]
SETS = {"casme": len(CASME_CLIPS), "casme2": len(CLIPS), "cas_me2": 6, "samm": len(ROWS)}


def read(path, sheets):
    """Makes a book of a workbook whose sheet is "ours" and whose cells are names of clips."""
    if sheets[0].name != "ours":
        return []
    clips = [CodedClip("", 0, "s", row[0], 1, 2, 3, "", "fear") for row in sheets[0].rows]
    return [Book(path, "ours", clips, [], "read")]


def choose(root, annotations=None, on_disk=()):
    tree = FrameTree(root, False, {"s": [root / "frames"]})
    for name in on_disk:
        (root / "frames" / name).mkdir(parents=True, exist_ok=True)
    if not on_disk:
        tree.subjects.clear()
    names = ("Best.xlsx", "second.xls")
    return choose_book(
        "casme2",
        root,
        annotations,
        None,
        names,
        read,
        lambda _: (tree, ["frames"]),
        looks_for="clips",
    )


def write(path, *clips, sheet="ours"):
    """Writes a workbook; its suffix may be in capitals."""
    lower = write_workbook(path.with_suffix(path.suffix.lower()), {sheet: [[c] for c in clips]})
    return lower.rename(path)


def test_usual_names_are_taken_in_their_order_before_others(tmp_path):
    for name in ("a.xlsx", "second.xls", "x/best.XLSX", "x/y/best.xlsx"):
        write(tmp_path / name, name)
    choice = choose(tmp_path)
    assert choice.book.path == tmp_path / "x" / "best.XLSX"
    assert choice.book.clips == [("s", "x/best.XLSX")]
    left = ("x/y/best.xlsx", "second.xls", "a.xlsx")
    assert choice.remarks == [
        "read",
        *(
            f"workbook not used (choose with --annotations): {tmp_path / name} "
            "(0 of 1 coded clips on disk)"
            for name in left
        ),
        "frames",
    ]
    for name in (*left, "x/best.XLSX"):
        (tmp_path / name).rename(tmp_path / name.replace("best", "b").replace("second", "s"))
    assert choose(tmp_path).book.path == tmp_path / "a.xlsx"
    named = choose(tmp_path, tmp_path / "s.xls")
    assert named.book.path == tmp_path / "s.xls" and named.remarks == ["read", "frames"]


def test_clips_on_disk_decide_over_the_name(tmp_path):
    write(tmp_path / "Best.xlsx", "a", "b", "x", "y")
    write(tmp_path / "own.xls", "a", "b", "c")
    choice = choose(tmp_path, on_disk=("a", "b", "c"))
    assert choice.book.path == tmp_path / "own.xls"
    left = f"{tmp_path / 'Best.xlsx'} (2 of 4 coded clips on disk)"
    assert f"workbook not used (choose with --annotations): {left}" in choice.remarks
    named = choose(tmp_path, tmp_path / "Best.xlsx", on_disk=("a", "b", "c"))
    assert named.book.path == tmp_path / "Best.xlsx"
    (tmp_path / "frames" / "c").rmdir()
    assert choose(tmp_path, on_disk=("a", "b")).book.path == tmp_path / "Best.xlsx"


def test_workbooks_that_are_not_recognised_are_described(tmp_path):
    with pytest.raises(InputError, match=r"no workbook in .*: looked for Best\.xlsx, second\.xls"):
        choose(tmp_path)
    write_workbook(tmp_path / "a.xls", {"s": [[], [None, "x", 2]], "t": []})
    write_workbook(tmp_path / "b.xlsx", {"samm": [SAMM_HEADER]})
    (tmp_path / "c.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError) as caught:
        choose(tmp_path)
    message = str(caught.value)
    assert f"no workbook of casme2 in {tmp_path}: " in message
    assert "a.xls has sheet s (x | 2), sheet t (empty)" in message
    assert "b.xlsx is the workbook of samm" in message
    assert "damaged or truncated workbook" in message
    assert "\n" not in message
    for number in range(5):
        write_workbook(tmp_path / f"d{number}.xls", {"s": [["x"]]})
    with pytest.raises(InputError, match=r"and 2 more; looked for"):
        choose(tmp_path)
    write(tmp_path / "ours.xls", "a")  # is no substitute for the one that is named
    with pytest.raises(InputError, match=r"^no workbook of casme2: no such file: .*nowhere"):
        choose(tmp_path, tmp_path / "nowhere.xls")


@pytest.mark.parametrize("header", [HEADER, OF_2019, SPELLED_AS_SAMMS, (*OF_2019, "Notes")])
def test_no_single_heading_gives_a_workbook_of_casme2_to_another_set(tmp_path, header):
    path = write_casme2(tmp_path, header=header, workbook="codes.xlsx", layout="updated")
    found = survey("casme2", tmp_path)
    assert found.annotations == path and len(found.table) == len(CLIPS)
    with pytest.raises(InputError):
        survey("samm", tmp_path)


@pytest.mark.parametrize(
    "lost", [(), ("Inducement Code",), ("Inducement Code", "Duration", "Micro")]
)
def test_a_workbook_of_samm_is_samms_whatever_headings_it_lacks(tmp_path, lost):
    root = write_samm(tmp_path, subject=int)
    kept = [place for place, name in enumerate(SAMM_HEADER) if name not in (*lost, "Notes")]
    rows = [SAMM_HEADER, *(cells(row, int) for row in ROWS)]
    (root / "SAMM_Micro_FACS_Codes_v2.xlsx").unlink()
    path = write_workbook(root / "codes.xlsx", {"A": [[row[i] for i in kept] for row in rows]})
    found = survey("samm", root)
    assert found.annotations == path and len(found.table) == len(ROWS)
    with pytest.raises(InputError):
        survey("casme2", root)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["raw", "cropped", "updated"])
@pytest.mark.parametrize("cropped", [True, False])
@pytest.mark.parametrize("header", [HEADER, SPELLED_AS_SAMMS])
def test_each_set_finds_its_own_under_one_root(tmp_path, layout, cropped, header):
    # All workbooks side by side, as they were mailed, under names that tell nothing.
    write_casme(tmp_path, workbook="a.xls", cropped=cropped)
    write_casme2(tmp_path, workbook="d.xlsx", header=header, layout=layout)
    write_cas_me2(tmp_path, workbook="c.xlsx", trees=("cropped", "selectedpic", "rawpic"))
    write_samm(tmp_path, workbook="b.xlsx", trees=("SAMM", "SAMM_CROP"), subject=int)
    taken = {name: survey(name, tmp_path) for name in SETS}
    assert {name: found.annotations.name for name, found in taken.items()} == {
        "casme": "a.xls",
        "casme2": "d.xlsx",
        "cas_me2": "c.xlsx",
        "samm": "b.xlsx",
    }
    assert {name: len(found.table) for name, found in taken.items()} == SETS
    assert not any(found.unusable or found.gaps for found in taken.values())
    assert len({found.frames for found in taken.values()}) == len(SETS)
    alone = survey("casme2", tmp_path, annotations=tmp_path / "d.xlsx")
    assert alone.frames == taken["casme2"].frames
    with pytest.raises(InputError, match=r"b\.xlsx is the workbook of samm"):
        survey("casme2", tmp_path, annotations=tmp_path / "b.xlsx")


def test_frames_are_those_of_the_set_though_another_has_clips_of_the_same_names(tmp_path):
    # CASME and CASME II both name clips EP01_5; only CASME's are cropped here.
    rows = [Coded(c.subject, c.clip, 5, 6, 8, 4, "happiness", range(5, 9)) for c in CASME_CLIPS[:3]]
    write_casme(tmp_path / "1", workbook="casme.xlsx")
    write_casme2(tmp_path / "2", rows=[*CLIPS, *rows], layout="raw")
    found = survey("casme2", tmp_path)
    assert found.frames == tmp_path / "2/CASME2_RAW_selected/CASME2_RAW_selected"
    assert len(found.table) == len(CLIPS) + 3 and not found.unusable
    found = survey("casme", tmp_path)
    assert found.frames == tmp_path / "1/frames" and len(found.table) == len(CASME_CLIPS)


def test_casme_with_the_headings_of_casme2_is_told_by_its_frames(tmp_path):
    names = {"OnsetF": "OnsetFrame", "ApexF1": "ApexFrame", "OffsetF": "OffsetFrame"}
    header = [names.get(name, name) for name in CASME_HEADER]
    header = [None if name == "ApexF2" or "(ms)" in (name or "") else name for name in header]
    write_casme(tmp_path / "1", workbook="x.xlsx", header=header)
    write_casme2(tmp_path / "2", rows=CLIPS[:2], workbook="y.xlsx")
    assert survey("casme", tmp_path).annotations == tmp_path / "1" / "x.xlsx"
    assert survey("casme2", tmp_path).annotations == tmp_path / "2" / "y.xlsx"


def test_renamed_frames_are_found_where_they_are_the_only_ones(tmp_path):
    write_casme2(tmp_path, layout="cropped")
    for path in list(tmp_path.rglob("reg_img*.jpg")):
        path.rename(path.with_name(path.name.removeprefix("reg_img")))
    assert len(survey("casme2", tmp_path).table) == len(CLIPS)


def test_a_workbook_of_half_the_clips_is_not_taken_before_the_whole_one(tmp_path):
    write_casme2(tmp_path, rows=CLIPS[:3])
    shutil.rmtree(tmp_path / "Cropped")
    whole = write_casme2(tmp_path, workbook="all.xlsx")
    assert survey("casme2", tmp_path).annotations == whole


def with_second_sheet(path, name, rows):
    """Adds a sheet to a workbook."""
    book = openpyxl.load_workbook(path)
    sheet = book.create_sheet(name)
    for row in rows:
        sheet.append(row)
    book.save(path)


@pytest.mark.parametrize("named", [False, True])
def test_a_second_sheet_of_coding_is_asked_for(tmp_path, named):
    path = write_casme2(tmp_path)
    rows = [[c.subject, c.clip, None, *c[2:5], None, *c[5:7]] for c in CLIPS[:2]]
    with_second_sheet(path, "second coder", [HEADER, *rows])
    with_second_sheet(path, "notes", [["blinks", "none"]])
    with_second_sheet(path, "empty", [HEADER])
    annotations = path if named else None
    with pytest.raises(InputError) as caught:
        survey("casme2", tmp_path, annotations=annotations)
    assert str(caught.value) == (
        f"{path} has coded clips on several sheets, Sheet1 (7), second coder (2): "
        "choose one (--sheet)"
    )
    found = survey("casme2", tmp_path, annotations=annotations, sheet=" Second coder")
    assert len(found.table) == 2
    assert found.remarks[0] == "sheet second coder: 2 rows; not read: sheet notes, empty"
    assert len(survey("casme2", tmp_path, annotations=annotations, sheet="Sheet1").table) == 7
    with pytest.raises(InputError, match=r"is called 'x': found Sheet1 of .*, second coder of "):
        survey("casme2", tmp_path, annotations=annotations, sheet="x")


def test_a_second_sheet_of_clips_of_cas_me2_is_asked_for(tmp_path):
    root = write_cas_me2(tmp_path)
    path = root / "CAS(ME)^2code_final.xlsx"
    with_second_sheet(path, "CASMEcode_final", [[1, "anger1_1", 8, 10, 12, 4, "negative"]])
    with pytest.raises(InputError, match=r"sheets, CASFEcode_final \(6\), CASMEcode_final \(1\)"):
        survey("cas_me2", root)
    found = survey("cas_me2", root, sheet="CASMEcode_final")
    assert found.table["clip"].tolist() == ["anger1_1"]
    with pytest.raises(InputError, match="the data set folder takes no sheet, got x"):
        survey("folder", root, sheet="x")


def test_two_sheets_of_a_workbook_that_is_not_taken_stop_nothing(tmp_path):
    write_casme2(tmp_path)
    path = write_workbook(tmp_path / "own.xlsx", {"a": [HEADER, [1, "x"]], "b": [HEADER, [1, "y"]]})
    found = survey("casme2", tmp_path)
    assert len(found.table) == len(CLIPS)
    assert sum(str(path) in remark for remark in found.remarks) == 2
