"""Rows of timings: when they are reliable, and the CSV files that hold them."""

from dataclasses import asdict

import pytest
from benches import bench_row, make_row

from originet.bench import summary
from originet.system import timings
from originet.system.errors import InputError


def test_the_rule_is_the_spread_of_the_middle_rounds_over_the_median():
    assert make_row(median_us=2.0, q20_us=1.5, q80_us=2.5).reliable
    assert not make_row(median_us=2.0, q20_us=1.49, q80_us=2.5).reliable
    assert not make_row(median_us=0.0, q20_us=0.0, q80_us=0.0).reliable
    stream = make_row(benchmark="stream_rank", shape="64x8x8", q80_us=9.0)
    (table,) = summary.tables([stream])
    assert table.lines[0][3:5] == ["2 µs ?", "32,000,000 ?"]  # and its frames a second


def test_write_csv_replaces_rows_of_the_same_key_and_keeps_the_others(tmp_path):
    path = tmp_path / "results" / "rows.csv"
    first, other = make_row(), make_row(provider="eager", median_us=9.0)
    timings.write_csv(path, [first, other])
    assert timings.read_csv(path) == [first, other]
    newer = make_row(median_us=1.0, torch="2.14.0", commit="def", date="2026-02-02")
    elsewhere = make_row(device_name="another processor")
    timings.write_csv(path, [newer, elsewhere])
    assert timings.read_csv(path) == [newer, other, elsewhere]
    assert [p.name for p in path.parent.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", ""])
def test_write_csv_refuses_and_spares_a_file_that_is_no_bench_table(tmp_path, text):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other\.csv: not a bench table"):
        timings.write_csv(path, [make_row()])
    assert path.read_text() == text


def test_read_csv_names_the_line_that_cannot_be_read(tmp_path):
    path = tmp_path / "rows.csv"
    timings.write_csv(path, [make_row(), make_row(provider="eager")])
    path.write_text(path.read_text().replace("eager", "eager,extra", 1))
    with pytest.raises(InputError, match=r"rows\.csv: line 3"):
        timings.read_csv(path)


MANY = "1" * 5000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"2.0", b"nan", r"a\.csv: line 2: 'nan' is not a finite number"),
        (b"2.0", b"1e999", "is not a finite number"),
        (b",1,", b"," + MANY.encode() + b",", "line 2: Exceeds the limit"),
        (b",1,", b",1,1,", "line 2: 24 fields expected, got 25"),
        (b",1,", b",\xff,", "line 2: invalid literal for int"),
        (b"x,", b'"x"y,', "line 2: ',' expected after"),
        (b"benchmark", b"provider", "not a bench table, its columns are"),
        (b"benchmark", b"x" * 10000, "not a bench table, its columns are"),
        (b"benchmark", b"x" * 200000, "line 1: field larger than field limit"),
    ],
)
def test_a_hostile_table_of_timings_is_refused_in_one_line(tmp_path, old, new, message):
    path = tmp_path / "a.csv"
    timings.write_csv(path, [bench_row()])
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        timings.read_csv(path)
    assert len(str(caught.value)) < 1000


def test_timings_come_back_as_they_were(tmp_path):
    made = [bench_row(device_name="=cmd|' /C calc'!A0"), bench_row(device_name="'+1", threads=3)]
    timings.write_csv(tmp_path / "a.csv", made)
    assert b"'=cmd" in (tmp_path / "a.csv").read_bytes()
    assert [asdict(row) for row in timings.read_csv(tmp_path / "a.csv")] == list(map(asdict, made))


@pytest.mark.parametrize(
    ("name", "subject", "variant"),
    [
        ("rrelu", "rrelu", ""),
        ("active_image_rank-simple", "active_image", "rank-simple"),
        ("prepare_faces", "prepare", "faces"),
    ],
)
def test_a_row_knows_its_subject_and_its_variant(name, subject, variant):
    row = make_row(benchmark=name)
    assert (row.subject, row.variant) == (subject, variant)


def test_a_figure_is_marked_if_one_row_behind_it_spreads():
    steady, spread = make_row(), make_row(q80_us=9.0)
    assert timings.marked("2 µs", steady, steady) == "2 µs"
    assert timings.marked("2 µs", steady, spread) == "2 µs ?"
