"""The clip table as CSV: nothing is lost, and frames are found again below a moved root."""

import math
from pathlib import Path

import pandas as pd
import pytest

from originet.datasets import ClipRow, make_table
from originet.datasets.table_file import format_table, read_table, relative_frames
from originet.errors import InputError


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
        ('"clip"', '"name"', r"is no clip table: its header is not dataset,subject,"),
        ("46", "many", r"row 1: invalid literal for int\(\) .* 'many'"),
        ('"4+L10",', "", r"row 1: Expecting value"),
        ("[", "", r"row 1: .*Extra data"),
        ("\n", "", r"is no clip table: its header"),
        ('""\n', '"', r"is no clip table: .*EOF inside string"),
    ],
)
def test_a_damaged_file_is_told_with_its_row(tmp_path, old, new, reason):
    text = format_table(make_table([row("1")]), Path("/data")).decode()
    assert old in text
    (tmp_path / "clips.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"clips\.csv,? {reason}"):
        read_table(tmp_path / "clips.csv", Path("/data"))
