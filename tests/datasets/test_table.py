"""The clip table as CSV: nothing is lost, and frames are found again below a moved root."""

import csv
import math
from pathlib import Path

import pandas as pd
import pytest

from originet.datasets import ClipRow, clip_list_hash, make_table
from originet.datasets.table import format_table, read_table, relative_frames
from originet.system.errors import InputError


def row(clip: str, **values: object) -> ClipRow:
    row = {
        "dataset": "casme2",
        "subject": "006",
        "clip": clip,
        "emotion": "disgust",
        "label": "negative",
        "onset": 46,
        "apex": 59,
        "offset": 86,
        "action_units": "4+L10",
        "fps": 200.0,
        "frames": ("/data/sub01/a/img46.jpg", "/data/sub01/a/img47.jpg"),
        "notes": "",
    }
    return ClipRow(**{**row, **values})


def read_back(tmp_path: Path, table: pd.DataFrame, root: str = "/data") -> pd.DataFrame:
    (tmp_path / "clips.csv").write_bytes(format_table(table, Path(root)))
    return read_table(tmp_path / "clips.csv", Path(root))


def test_a_table_is_read_back_as_it_was(tmp_path):
    table = make_table(
        [
            row("1", onset=0, apex=None, offset=0, fps=math.nan, action_units="", notes="0"),
            row("2", onset=None, apex=0, offset=None, fps=29.97002997002997, action_units="4"),
            row("a, \"b\"; 'c'\nd\re", notes="NA", action_units="nan", subject=" x "),
            row("表情", frames=("/data/表情/ö,\n[].avi",), notes="\\N"),
            row("long", frames=tuple(f"/data/sub01/{i}/img{i:06d}.jpg" for i in range(20_000))),
            row("raw", frames=("/data/\udcff/1.png", "/elsewhere/2.png")),  # a name of no text
        ]
    )
    back = read_back(tmp_path, table)
    pd.testing.assert_frame_equal(back, table, check_exact=True)
    assert back.dtypes.to_dict() == table.dtypes.to_dict()
    assert pd.isna(back["onset"][1]) and back["onset"][0] == 0


def test_paths_are_relative_to_the_root(tmp_path):
    table = make_table([row("1", frames=("/data/a b/1.png", "/database/2.png"))])
    assert relative_frames(table["frames"][0], Path("/data")) == ["a b/1.png", "/database/2.png"]
    (tmp_path / "clips.csv").write_bytes(format_table(table, Path("/data")))
    moved = read_table(tmp_path / "clips.csv", Path("/new"))
    assert moved["frames"][0] == ("/new/a b/1.png", "/database/2.png")


def test_relative_frames_of_a_relative_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert relative_frames(["data/a/1.png"], tmp_path / "data") == ["a/1.png"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"clip"', '"name"', r"is not a clip table: its header is not dataset,subject,"),
        ("46", "many", r"row 1: invalid literal for int\(\) .* 'many'"),
        ('"4+L10",', "", r"row 1: could not convert string to float: "),
        ("200.0,", "", r"row 1: could not convert string to float: "),
        ('"4+L10"', '"4","L10"', r"is not a clip table: .*Expected 12 fields in line 2, saw 13"),
        ("[", "", r"row 1: .*Extra data"),
        ("\n", "", r"is not a clip table: its header"),
        ('""\n', '"\n', r"is not a clip table: .*EOF inside string"),
        ('"subject"', '"clip"', r"is not a clip table: its header is not dataset,subject,"),
        ("negative", "nega\0tive", r"is not a clip table: it contains a NUL"),
        ("46", "9" * 5000, r"row 1: Exceeds the limit \(4300 digits\)"),
        ("46", str(2**63), r"row 1: onset must be in 0\.\.9223372036854775807, got 92"),
        ("46", "-1", r"row 1: onset must be in 0\.\..*, got -1"),
        ("46", "nan", r"row 1: invalid literal for int"),
        ("200.0", "inf", r"row 1: fps must be a number above 0, got 'inf'"),
        ("200.0", "1e999", r"row 1: fps must be a number above 0, got '1e999'"),
        ("200.0", "-1", r"row 1: fps must be a number above 0, got '-1'"),
        ("200.0", "x" * 10**6, r"row 1: could not convert string to float: 'xx"),
        ('"casme2"', '"cas\udcffme2"', r"row 1: not valid text: "),
        ('"006"', '"\udcff"', r": the name .* is not UTF-8"),
    ],
)
def test_a_damaged_file_is_told_with_its_row(tmp_path, old, new, reason):
    text = format_table(make_table([row("1")]), Path("/data")).decode()
    assert old in text
    damaged = text.replace(old, new, 1).encode("utf-8", "surrogateescape")
    (tmp_path / "clips.csv").write_bytes(damaged)
    with pytest.raises(InputError, match=rf"clips\.csv(,? |(?=: the)){reason}") as told:
        read_table(tmp_path / "clips.csv", Path("/data"))
    assert "\n" not in str(told.value) and len(str(told.value)) < 2000


@pytest.mark.parametrize(
    "cell",
    [
        *("[]", "{}", "null", '"a.png"', "[1]", '[""]', "[[]]", '["a", null]', "[NaN]", "", "x"),
        *("9" * 5000, "[" * 100_000, '["a\\u0000.png"]', '["\\ud800.png"]'),
    ],
)
def test_frames_that_are_no_names_are_refused(tmp_path, cell):
    text = format_table(make_table([row("1")]), Path("/data")).decode()
    start = text.index("[")
    end = text.index("]") + 1
    damaged = text[:start] + cell.replace('"', '""') + text[end:]
    (tmp_path / "clips.csv").write_text(damaged)
    with pytest.raises(InputError, match=r"clips\.csv, row 1: ") as told:
        read_table(tmp_path / "clips.csv", Path("/data"))
    assert "\n" not in str(told.value) and len(str(told.value)) < 2000


def test_frames_may_lie_beside_the_root(tmp_path):
    frames = ("/data/../videos/1.png", "/elsewhere/2.png")
    back = read_back(tmp_path, make_table([row("1", frames=frames)]))
    assert back["frames"][0] == frames


def test_a_row_that_ends_early_is_told(tmp_path):
    text = format_table(make_table([row("1"), row("2")]), Path("/data")).decode()
    (tmp_path / "clips.csv").write_text(text[: text.rindex(",")])  # before the notes
    with pytest.raises(InputError, match=r"clips\.csv is not a clip table: it ends within a row"):
        read_table(tmp_path / "clips.csv", Path("/data"))


def test_two_rows_of_one_clip_name_the_file(tmp_path):
    text = format_table(make_table([row("1")]), Path("/data")).decode()
    (tmp_path / "clips.csv").write_text(text + text[text.index("\n") + 1 :])
    with pytest.raises(InputError, match=r"clips\.csv: two clips named 1 of subject 006"):
        read_table(tmp_path / "clips.csv", Path("/data"))


HOSTILE = ["=1+1", "+4", "-", "@SUM(A1)", "\tx", "\rx", "'=x", "''-1", "'quoted'", "4+L10"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula(tmp_path, text):
    values = {name: text for name in ("subject", "emotion", "label", "action_units", "notes")}
    table = make_table([row(text, dataset=text, **values)])
    back = read_back(tmp_path, table)
    pd.testing.assert_frame_equal(back, table)
    assert clip_list_hash(back) == clip_list_hash(table)
    with (tmp_path / "clips.csv").open(newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]


def test_cells_that_an_earlier_version_did_not_guard_are_read(tmp_path):
    table = make_table([row("x", action_units="-", notes="+1")])
    text = format_table(table, Path("/data")).decode()
    assert "'-" in text
    (tmp_path / "clips.csv").write_text(text.replace("'-", "-").replace("'+", "+"))
    pd.testing.assert_frame_equal(read_table(tmp_path / "clips.csv", Path("/data")), table)


def test_clip_list_hash_ignores_order_and_sees_labels():
    table = pd.DataFrame(
        {"dataset": "d", "subject": ["1", "2"], "clip": ["a", "b"], "label": ["x", "y"]}
    )
    # printf 'd/1/a/x\nd/2/b/y\n' | sha256sum
    expected = "b7f103049847b41d45902a48f5f7344b7284ec00387f43254141abd239b8366a"
    assert clip_list_hash(table) == expected
    assert clip_list_hash(table.iloc[::-1]) == expected
    assert clip_list_hash(table.assign(label="x")) != expected
