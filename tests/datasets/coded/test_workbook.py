import datetime
import io
import warnings
import zipfile

import openpyxl
import pytest
import xlrd
import xlwt
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from workbooks import write_workbook

from originet.datasets.coded.workbook import (
    Sheet,
    find_codings,
    find_header,
    find_workbooks,
    frame_cell,
    read_workbook,
    workbook_of,
)
from originet.system.errors import InputError

SUFFIXES = [".xls", ".xlsx"]
# Columns that the workbooks of CASME II and of SAMM share.
CODES = ["Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame"]
CODES += ["Action Units", "Estimated Emotion"]


@pytest.fixture(params=SUFFIXES)
def suffix(request):
    return request.param


def test_cells_are_read_as_the_text_that_is_shown(tmp_path, suffix):
    row = ["006", 6, 46.0, 46.5, None, " EP01_5\u00a0", "\\", -3, True, "46.0"]
    path = write_workbook(tmp_path / f"a{suffix}", {"Codes": [row, [], ["x"]], "empty": []})
    text = ["006", "6", "46", "46.5", "", "EP01_5", "\\", "-3", "True", "46.0"]
    codes, empty = read_workbook(path)
    assert codes == Sheet("Codes", [text, [], ["x"]])
    assert empty == Sheet("empty", [])


def test_a_date_is_no_number(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"s": [[datetime.date(2014, 5, 8)]]})
    assert read_workbook(path)[0].rows == [["2014-05-08 00:00:00"]]


def test_a_date_and_an_error_of_an_xls_are_text(tmp_path):
    book = xlwt.Workbook()
    sheet = book.add_sheet("s")
    sheet.write(0, 0, datetime.date(2014, 5, 8), xlwt.easyxf(num_format_str="YYYY-MM-DD"))
    sheet.row(0).set_cell_error(1, "#REF!")
    book.save(str(tmp_path / "a.xls"))
    assert read_workbook(tmp_path / "a.xls")[0].rows == [["2014-05-08 00:00:00", "#REF!"]]


@pytest.mark.parametrize(("written", "named"), [(".xls", ".xlsx"), (".xlsx", ".xls")])
def test_content_decides_over_the_suffix(tmp_path, written, named):
    path = write_workbook(tmp_path / f"a{written}", {"s": [["b"]]}).rename(tmp_path / f"a{named}")
    assert read_workbook(path) == [Sheet("s", [["b"]])]


def edit_sheet(path, old, new):
    """Replaces a part of the XML of an .xlsx file's first sheet."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    assert parts[sheet].count(old) == 1
    parts[sheet] = parts[sheet].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def test_what_spreadsheet_programs_write_is_read(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    bold = TextBlock(InlineFont(b=True), "bold")
    shown = {
        "A1": (datetime.datetime(2014, 5, 8, 3, 4, 5), None, "2014-05-08 03:04:05"),
        "B1": (0.25, "0.00%", "0.25"),
        "C1": (5, '[Red]0.0 "days"', "5"),
        "D1": (41767, "yyyy\\-mm", "2014-05-08 00:00:00"),
        "E1": (-1e300, "d", str(int(-1e300))),  # no date is that early
        "F1": (CellRichText("a ", bold, " c"), None, "a bold c"),
        "G1": ("a\nb", None, "a\nb"),
        "H1": ("006", None, "006"),
        "I1": (False, None, "False"),
        "J1": ("=1+1", None, ""),  # a formula that no program has computed
        "K1": (1e6, None, "1000000"),
    }
    for name, (value, code, _) in shown.items():
        sheet[name] = value
        sheet[name].number_format = code or sheet[name].number_format
    book.create_chartsheet("chart")
    book.create_sheet("second")["B2"] = "b"
    book.save(tmp_path / "a.xlsx")
    first, second = read_workbook(tmp_path / "a.xlsx")
    assert first == Sheet("Sheet", [[text for _, _, text in shown.values()]])
    assert second == Sheet("second", [[], ["", "b"]])


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b'<c r="A1" t="n"><v>1</v></c>', b"<c><v>2</v></c>", "2"),  # places by their order
        (b'<row r="1">', b'<row r="1.0">', "1"),
        (b"<v>1</v>", b"<v>4.6E1</v>", "46"),
        (b't="n"><v>1</v>', b't="str"><v>a_x000D__x005F_b</v>', "a\r_b"),
        (b't="n"><v>1</v>', b't="e"><v>#REF!</v>', "#REF!"),
        (
            b't="n"><v>1</v>',
            b't="inlineStr"><is><r><t>a</t></r><rPh><t>aloud</t></rPh><r><t>b</t></r></is>',
            "ab",
        ),
    ],
)
def test_what_other_programs_write_is_read(tmp_path, old, new, text):
    path = write_workbook(tmp_path / "a.xlsx", {"s": [[1]]})
    edit_sheet(path, old, new)
    assert read_workbook(path)[0].rows == [[text]]


def test_a_wrong_size_of_the_sheet_does_not_cut_it_off(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"s": [["a", "b"], ["c", "d"]]})
    edit_sheet(path, b'<dimension ref="A1:B2"', b'<dimension ref="A1"')
    assert read_workbook(path)[0].rows == [["a", "b"], ["c", "d"]]


def test_extensions_that_are_not_known_are_no_ones_concern(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"s": [["a"]]})
    edit_sheet(path, b"</worksheet>", b'<extLst><ext uri="{0}"/></extLst></worksheet>')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_workbook(path)[0].rows == [["a"]]


def test_file_that_is_no_workbook_is_named(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError, match=rf"no such file: .*a\{suffix}"):
        read_workbook(path)
    for content, message in (
        (b"", r"empty file \(0 bytes\): .*a\."),
        (b"Subject,Filename\n", r"a\.\w+ is not a workbook: .* but it is something else"),
        (b"<html><table>", r"a\.\w+ is not a workbook"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_workbook(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("picture.jpg", b"")
    with pytest.raises(InputError, match=r"a\.\w+ is not a workbook: .* but it is a \.zip file"):
        read_workbook(path)
    folder = tmp_path / "folder.xls"
    folder.mkdir()
    with pytest.raises(InputError, match=r"folder\.xls is a folder, not a file"):
        read_workbook(folder)


def test_truncated_workbook_is_refused_wherever_it_ends(tmp_path, suffix):
    rows = [[f"clip {n}", n, None, n + 0.5] for n in range(400)]
    path = write_workbook(tmp_path / f"a{suffix}", {"s": rows, "t": [["b"]]})
    whole = read_workbook(path)
    data = path.read_bytes()
    refused = 0
    for size in range(1, len(data), len(data) // 60):
        path.write_bytes(data[:size])
        try:
            assert read_workbook(path) == whole  # the end of an .xls may be padding
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 50


def test_complaints_about_an_xls_stay_off_stdout(tmp_path, monkeypatch):
    path = write_workbook(tmp_path / "a.xls", {"s": [["b"]]})
    path.write_bytes(path.read_bytes() + b"\0")  # an odd size, which is harmless
    # The reader took hold of stdout as it was imported, out of reach of pytest's captures.
    log, defaults = io.StringIO(), xlrd.open_workbook.__defaults__
    patched = tuple(log if hasattr(value, "write") else value for value in defaults)
    monkeypatch.setattr(xlrd.open_workbook, "__defaults__", patched)
    assert read_workbook(path)[0].rows == [["b"]]
    assert log.getvalue() == ""
    xlrd.open_workbook(path)
    assert "file size" in log.getvalue()


def test_protected_workbook_is_named(tmp_path):
    # What spreadsheet programs wrap an encrypted .xlsx in is the container of an .xls.
    path = write_workbook(tmp_path / "a.xls", {"s": [["b"]]})
    data = path.read_bytes()
    stream = "Workbook".encode("utf-16-le")
    assert stream in data
    path.write_bytes(data.replace(stream.ljust(32, b"\0"), "EncryptedPackage".encode("utf-16-le")))
    with pytest.raises(InputError, match=r"a\.xls is password-protected"):
        read_workbook(path)


def test_protected_xls_is_named(tmp_path):
    path = write_workbook(tmp_path / "a.xls", {"s": [["b"]]})
    data = path.read_bytes()
    # The record of the file's character set becomes that of its encryption.
    record = b"\x42\x00\x02\x00"
    assert data.count(record) == 1
    path.write_bytes(data.replace(record, b"\x2f\x00\x02\x00"))
    with pytest.raises(InputError, match=r"a\.xls is password-protected"):
        read_workbook(path)


def test_workbooks_are_found_at_any_depth(tmp_path):
    for name in ("b/c/x.XLSX", "a.xls", "z.csv", "~$a.xls", ".a.xls", "__MACOSX/a.xls", "._b.xlsx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "d.xls").mkdir()
    assert find_workbooks(tmp_path) == [tmp_path / "a.xls", tmp_path / "b" / "c" / "x.XLSX"]
    with pytest.raises(InputError, match=r"no such folder: .*a\.xls"):
        find_workbooks(tmp_path / "a.xls")


def test_linked_folders_are_searched(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.xls").touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "there")
    assert find_workbooks(tmp_path / "here") == [tmp_path / "here" / "link" / "a.xls"]


@pytest.mark.parametrize(
    ("owner", "name", "header"),
    [
        ("casme", "s", ["Subject", "Filename", "OnsetF", "ApexF1", "OffsetF"]),
        ("casme2", "s", ["Subject", "Filename", "OnsetFrame", "OffsetFrame", "Estimated Emotion"]),
        ("samm", "s", ["Subject", "Filename", "Inducement Code", "Onset Frame", "Offset Frame"]),
        (
            "samm",
            "s",
            [*CODES, "Inducement Code", "Duration", "Micro", "Objective Classes", "Notes"],
        ),
        ("casme2", "s", [*CODES, "Objective Classes"]),
        ("casme2", "s", [*CODES, "Objective Class", "Remarks"]),
        ("smic", "s", ["Subject", "Filename", "OnsetF", "OffsetF", "TotalMF1", "Emotion"]),
        ("casme3", "s", ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "emotion"]),
        ("dfme", "s", ["Subject", "Filename", "OnsetFrame", "OffsetFrame", "Emotion", "Fps"]),
        ("fourdme", "s", ["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs"]),
        ("casme3", "s", ["sub", "count", "onset", "offset", "au", "emotion"]),
        ("cas_me2", "naming rule1", [15, "s15", 1]),
        (None, "s", ["Subject", "Filename", "Objective Class"]),
        (None, "s", ["OnsetF", "OffsetF"]),
    ],
)
def test_workbooks_of_the_sets_are_told_apart(owner, name, header):
    assert workbook_of([Sheet("x", []), Sheet(name, [["text"], list(map(str, header))])]) == owner


def test_mmew_is_told_from_casme2_by_the_names_of_its_clips():
    rows = [[*CODES, "remarks"], ["1", "S01-01-001"]]
    assert workbook_of([Sheet("s", rows)]) == "mmew"
    assert workbook_of([Sheet("s", [*rows[:1], ["1", "EP01_01"]])]) == "casme2"


def test_header_is_the_first_row_with_all_columns():
    names = {"subject": ("Subject",), "onset": ("OnsetF", "Onset Frame"), "apex": ("Apex",)}
    rows = [
        ["Subject: text", "", "", ""],
        ["subject", "", "", ""],
        [" Sub ject", "", "ONSET_FRAME", "onsetf"],
        ["Subject", "Apex", "OnsetF", ""],
        ["1", "", "46", ""],
        ["", "", "", "only what is not asked for"],
        ["2", "", "", ""],
    ]
    assert find_header(Sheet("s", rows), names) == (3, {"subject": 0, "onset": 2, "apex": 1})
    found = find_header(Sheet("s", rows), names, optional=("apex",))
    assert found == (2, {"subject": 0, "onset": 2})  # the first of two columns
    assert find_header(Sheet("s", rows[:3]), names) is None
    empty = Sheet("u", [["Subject", "Apex", "OnsetF"]])
    (coding,) = find_codings([Sheet("t", []), empty, Sheet("s", rows)], names)
    assert coding.title("onset") == "OnsetF"
    assert [(index, cells["subject"]) for index, cells in coding.rows()] == [(4, "1"), (6, "2")]


def test_a_header_with_nothing_below_it_counts_only_where_there_is_no_other():
    names = {"subject": ("Subject",)}
    below = {"a": "", "b": "1", "c": "2"}
    sheets = [Sheet(name, [["Subject"], [""], [text]]) for name, text in below.items()]
    assert [coding.sheet.name for coding in find_codings(sheets, names)] == ["b", "c"]
    assert [coding.sheet.name for coding in find_codings(sheets[:1] * 2, names)] == ["a"]


@given(st.integers(0, 10**6), st.sampled_from(["{}", " {} ", "{}.0", "{}.", "00{}"]))
def test_whole_numbers_are_frames(number, form):
    assert frame_cell(form.format(number), "") == number


@pytest.mark.parametrize("text", ["", " ", "/", "\\", "-", "?", "nan", "NaN", "N/A"])
def test_missing_frames_are_none(text):
    assert frame_cell(text, "") is None


@pytest.mark.parametrize("text", ["46.5", "-1", "4 6", "46,0", "1e3", "x", "#REF!", "2014-05-08"])
def test_anything_else_is_no_frame(text):
    with pytest.raises(InputError) as caught:
        frame_cell(text, "a.xls, row 3, OnsetF")
    assert str(caught.value) == f"a.xls, row 3, OnsetF: {text!r} is not a frame number"
