"""CSV files with a header: the header, rows that cannot be read, and the bounds."""

import hashlib
import json
import os

import pytest
from folders import names, rows, write_clip, write_csv

from originet.datasets import bounds, load_dataset, survey
from originet.datasets.csv_rows import read_rows
from originet.system.errors import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column path, subject, emotion: its header has nothing"),
        ("path;subject;emotion\n", "has no column"),
        ("path,subject\na,1\n", "has no column emotion: its header has path, subject"),
        ("path,subject,emotion\n", "has only a header"),
        ("path,subject,emotion\n,,\n\n", "has only a header"),
        ("path,subject,emotion,AU,action units\na,1,x,4,4\n", "has 2 columns for au"),
        ('path,subject,"emotion"x\na,1,y\n', "is not a CSV file in UTF-8: "),
    ],
)
def test_a_csv_with_a_wrong_header_is_refused(tmp_path, text, message):
    write_clip(tmp_path / "a")
    with pytest.raises(InputError, match=message):
        survey("folder", write_csv(tmp_path, text))


def test_a_quote_that_is_not_closed_names_all_lines_that_it_takes(tmp_path):
    write_clip(tmp_path / "a")
    text = 'path,subject,emotion\na,1,happy\n"a,2,sad\na,3,sad\na,4,sad\n'
    found = survey("folder", write_csv(tmp_path, text))
    assert names(found.table) == [("1", "a", "happiness")]
    (omission,) = found.unusable
    assert omission.where == f"{tmp_path / 'clips.csv'}, lines 3 to 5"
    assert (omission.subject, omission.clip, omission.emotion) == ("?", "?", "?")


def test_file_that_is_no_text_is_refused_as_csv(tmp_path):
    (tmp_path / "clips.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(InputError, match=r"clips\.csv is not a CSV file in UTF-8"):
        load_dataset("folder", tmp_path / "clips.csv")
    with pytest.raises(InputError, match=r"no such file: .*other\.csv"):
        load_dataset("folder", tmp_path, annotations=tmp_path / "other.csv")


@pytest.fixture
def standard_input():
    """Gives a function that makes a pipe with some content the standard input."""
    before = os.dup(0)

    def feed(content):
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
        os.dup2(reader, 0)
        os.close(reader)

    yield feed
    os.dup2(before, 0)
    os.close(before)


@pytest.mark.usefixtures("at_once")
def test_a_list_may_come_through_a_pipe(run, root, tmp_path, standard_input):
    (tmp_path / "list.csv").write_bytes(content := b"subject,clip\ns2,a\n")
    wanted = survey("folder", root, clips=tmp_path / "list.csv")
    standard_input(content)
    code, _, err = run(
        "check", "folder", root, "--clips", "/dev/stdin", "--json", tmp_path / "report.json"
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["clips"] == 1 == len(wanted.table), (code, err)
    assert report["clips_file_sha256"] == wanted.clips_file_sha256
    standard_input(content)  # its paths start from its folder, and it has none
    with pytest.raises(InputError, match="/dev/stdin is a pipe, not a file"):
        survey("folder", root, annotations="/dev/stdin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows(header="path,subject,emotion,Subject"), "has 2 columns for subject"),
        (rows("a,1,x", header="path,subject,emotion" + ",x" * 998), "has 1,001 columns; at most"),
        (rows("a,1,x", "a" * 2**20), r"clips\.csv, line 3: more than 1,048,576 characters"),
        (rows("a,\udcff,x"), "is not a CSV file in UTF-8: line 2: invalid start byte"),
    ],
)
def test_a_csv_beyond_the_bounds_is_refused(root, text, message):
    path = root / "clips.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=message):
        survey("folder", path)


def test_the_rows_and_bytes_of_a_csv_are_counted(root, monkeypatch):
    path = root / "clips.csv"
    path.write_text(rows("happy/s1/a,1,x,,,,", "", "happy/s1/a,2,x,,,,"))
    assert len(survey("folder", path).table) == 2
    monkeypatch.setattr(bounds, "ROWS", 1)
    with pytest.raises(InputError, match=r"clips\.csv, line 4: more than 1 rows"):
        survey("folder", path)
    monkeypatch.setattr(bounds, "BYTES", 20)
    with pytest.raises(InputError, match=r"clips\.csv is too large: .* bytes, the limit is 20"):
        survey("folder", path)


def read(folder, text, **optional):
    return read_rows(write_csv(folder, text), ("path", "subject"), optional)


def test_rows_have_a_cell_for_every_column_that_was_asked_for(tmp_path):
    text = "Subject, PATH ,Au Codes,coder\n 1 ,a,'=4,me\n,,,\n2,b,/,\n"
    found = read(tmp_path, text, action_units=["aucodes"], fps=[])
    path = tmp_path / "clips.csv"
    assert found.good == [
        (f"{path}, line 2", {"path": "a", "subject": "1", "action_units": "=4", "fps": ""}),
        (f"{path}, line 4", {"path": "b", "subject": "2", "action_units": "", "fps": ""}),
    ]
    assert found.bad == [] and found.read == {"path", "subject", "action_units"}
    assert found.unread == ["coder"]
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_bad_rows_keep_what_could_be_read_of_them(tmp_path):
    found = read(tmp_path, "path,subject\na,1\nb\n,2\nc,3,more\nd,4,,\n")
    assert [cells["path"] for _, cells in found.good] == ["a", "d"]
    assert [(bad.cells["path"], bad.cells["subject"], bad.reason) for bad in found.bad] == [
        ("b", "", "expected 2 fields, as in the header, got 1"),
        ("", "2", "path is empty"),
        ("c", "3", "expected 2 fields, as in the header, got 3"),
    ]
