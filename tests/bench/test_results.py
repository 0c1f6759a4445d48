"""What is made of benchmark results: CSV files, comparisons, tables, pictures, the command."""

import dataclasses
import functools
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from originet import bench
from originet.bench import summary
from originet.bench.figures import _spread, bandwidth, kernel_speedup, times
from originet.bench.section import bench_section
from originet.drawing.page import Page
from originet.system import clock, timings
from originet.system.errors import InputError

ROOT = Path(__file__).parents[2]


def make_row(**changes):
    row = timings.Row(
        benchmark="rrelu",
        provider="fused",
        mode="forward",
        device="cpu",
        device_name="a processor",
        dtype="float32",
        shape="1024",
        layout="contiguous",
        threads=2,
        median_us=2.0,
        q20_us=1.5,
        q80_us=2.5,
        bytes=8192,
        gbps=4.096,
        copy_ratio=0.5,
        saved_bytes=0,
        peak_bytes=0,
        l2_bytes=1 << 20,
        l3_bytes=1 << 25,
        torch="2.13.0",
        cuda="",
        originet="0.1.0",
        commit="abc",
        date="2026-01-01",
    )
    return dataclasses.replace(row, **changes)


def make_rows(fused=2.0, noise=1.05, **changes):
    """A case in which a clone takes 1, SiLU 2 and eager 8 microseconds."""
    times = {"fused": fused, "eager": 8.0, "silu": 2.0, "clone": 1.0}
    return [
        make_row(
            provider=name,
            median_us=time,
            q20_us=time / noise,
            q80_us=time * noise,
            copy_ratio=1 / time,
            **changes,
        )
        for name, time in times.items()
    ]


# Comparing


def test_compare_reports_what_got_worse_by_more_than_ten_per_cent():
    committed = make_rows() + make_rows(mode="full")
    outcome = bench.compare(make_rows(fused=2.6) + make_rows(2.15, mode="full"), committed)
    assert (outcome.cases, outcome.ratios) == (2, 6)
    assert [(change.row.mode, change.rival) for change in outcome.worse] == [
        ("forward", rival) for rival in ("clone", "eager", "silu")
    ]
    assert outcome.worse[0].committed == 2.0 and outcome.worse[0].measured == 2.6
    assert outcome.devices == [("a processor", "a processor")]


def test_compare_passes_what_is_equal_better_or_slower_as_a_whole():
    committed = make_rows()
    slower = [
        dataclasses.replace(
            row, median_us=3 * row.median_us, q20_us=3 * row.q20_us, q80_us=3 * row.q80_us
        )
        for row in committed
    ]
    for rows in (committed, make_rows(fused=1.0), slower):
        assert bench.compare(rows, committed).worse == []


def test_compare_does_not_report_what_the_spread_explains():
    assert bench.compare(make_rows(fused=2.6), make_rows()).worse
    assert bench.compare(make_rows(fused=2.6, noise=1.3), make_rows(noise=1.3)).worse == []


def test_compare_reports_the_worst_first():
    measured = make_rows(fused=3.0) + make_rows(fused=9.0, mode="full")
    outcome = bench.compare(measured, make_rows() + make_rows(mode="full"))
    assert [change.row.mode for change in outcome.worse] == ["full"] * 3 + ["forward"] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "full"},
        {"dtype": "float64"},
        {"shape": "2048"},
        {"layout": "channels_last"},
        {"threads": 1},
        {"device": "cuda"},
        {"benchmark": "model"},
    ],
)
def test_compare_needs_cases_in_common(changes):
    with pytest.raises(InputError, match="have no case in common"):
        bench.compare(make_rows(**changes), make_rows())


def test_compare_needs_a_rival_in_common():
    fused, eager, silu, _ = make_rows()
    with pytest.raises(InputError, match="have no case in common"):
        bench.compare([fused, eager], [fused, silu])
    with pytest.raises(InputError, match="have no case in common"):
        bench.compare(make_rows(), [eager, silu])


def test_compare_prefers_the_same_device_and_takes_no_sides_between_others():
    other = make_rows(fused=4.0, device_name="another")
    assert bench.compare(make_rows(fused=4.0), make_rows() + other).worse
    outcome = bench.compare(make_rows(fused=4.0), other)
    assert outcome.worse == [] and outcome.devices == [("a processor", "another")]
    third = make_rows(device_name="a third")
    with pytest.raises(InputError, match="for another, a third, not for a processor"):
        bench.compare(make_rows(), other + third)


# Tables, the README and pictures


def test_tables_hold_shares_of_the_clone_and_times_faster():
    rows = make_rows() + make_rows(fused=0.5, mode="full", threads=1)
    one, two = sorted(summary.tables(rows), key=lambda table: table.title)
    assert one.title == "Psi on a processor, 1 thread"
    assert two.title == "Psi on a processor, 2 threads"
    assert two.header == [
        *("case", "dtype", "input", "median", "of clone", "over eager", "over silu")
    ]
    assert two.lines == [["forward", "float32", "4 KiB", "2 µs", "50%", "4.00x", "1.00x"]]
    assert one.lines[0][3:] == ["0.5 µs", "200%", "16.00x", "4.00x"]


def disturbed(row, low=0.1, high=40.0):
    return dataclasses.replace(row, q20_us=low * row.median_us, q80_us=high * row.median_us)


def test_what_a_busy_machine_gave_is_marked_wherever_it_is_a_part():
    fused, eager, silu, clone = make_rows(fused=1000.0)
    (quiet,) = summary.tables([fused, eager, silu, clone])
    assert quiet.lines[0][3:] == ["1 ms", "0%", "0.01x", "0.00x"] and quiet.note == ""
    (table,) = summary.tables([disturbed(fused), eager, silu, clone])
    assert table.lines[0][3:] == ["1 ms ?", "0% ?", "0.01x ?", "0.00x ?"]
    assert table.note == timings.MARK_NOTE and "unreliable" in table.note
    (table,) = summary.tables([fused, disturbed(eager), silu, clone])
    assert table.lines[0][3:] == ["1 ms", "0%", "0.01x ?", "0.00x"]
    (table,) = summary.tables([fused, eager, silu, disturbed(clone)])
    assert table.lines[0][3:] == ["1 ms", "0% ?", "0.01x", "0.00x"]
    block = summary.docs_block([disturbed(fused), eager, silu, clone], "folder")
    assert block.endswith(f"| 0.00x ? |\n\n{timings.MARK_NOTE}")


def test_the_rule_is_the_spread_of_the_middle_rounds_over_the_median():
    assert make_row(median_us=2.0, q20_us=1.5, q80_us=2.5).reliable
    assert not make_row(median_us=2.0, q20_us=1.49, q80_us=2.5).reliable
    assert not make_row(median_us=0.0, q20_us=0.0, q80_us=0.0).reliable
    stream = make_row(benchmark="stream_rank", shape="64x8x8", q80_us=9.0)
    (table,) = summary.tables([stream])
    assert table.lines[0][3:5] == ["2 µs ?", "32,000,000 ?"]  # and its frames a second


def test_series_mark_single_figures():
    rows = [
        make_row(benchmark="active_image_telescoped", shape=f"{count}x32x32", dtype="uint8")
        for count in (10, 100)
    ]
    block = summary.docs_block([rows[0], disturbed(rows[1])], "folder")
    assert "| telescoped | fused | 2 µs | 2 µs ? |" in block


def test_the_report_and_its_picture_mark_what_is_unreliable(tmp_path):
    rows = make_rows(fused=0.2)
    quiet, busy = Page("quiet"), Page("busy")
    bench_section(quiet, rows)
    bench_section(busy, [*rows[:3], disturbed(rows[3])])
    pages = []
    for report in (quiet, busy):
        report.write(tmp_path / "page.html")
        pages.append((tmp_path / "page.html").read_text())
    assert timings.MARK_NOTE not in pages[0] and "5.00 ?" not in pages[0]
    assert timings.MARK_NOTE in pages[1] and "5.00 ?" in pages[1]

    def words(rows, unreliable=()):
        return [text.get_text() for text in kernel_speedup(rows, unreliable).axes[0].texts]

    assert words(rows) == [" 40.0x  (8 µs to 0.2 µs)"]
    assert words(rows, {rows[0].case}) == [" 40.0x ?  (8 µs to 0.2 µs)"]


@pytest.mark.parametrize(
    ("provider", "marked"), [("fused", True), ("eager", True), ("silu", False)]
)
def test_the_reports_picture_marks_what_it_draws_alone(monkeypatch, provider, marked):
    rows = [disturbed(row) if row.provider == provider else row for row in make_rows()]
    given = []
    monkeypatch.setattr(
        "originet.bench.section.kernel_speedup", lambda *arguments: given.append(arguments)
    )
    monkeypatch.setattr(Page, "figure", lambda *arguments: None)
    bench_section(Page("page"), rows)
    ((drawn, unreliable),) = given
    assert {row.provider for row in drawn} == {"fused", "eager"}
    assert unreliable == ({rows[0].case} if marked else set())


def test_tables_of_other_subjects_name_the_method_and_the_memory():
    image = make_row(benchmark="active_image_rank", shape="64x8x8", dtype="uint8")
    saved = {"fused": 3 << 20, "eager": 6 << 20}
    model = [
        make_row(
            benchmark="model",
            provider=name,
            mode="train",
            shape="8x3x4x4",
            layout="channels_last",
            saved_bytes=size,
            bytes=0,
            copy_ratio=0.0,
        )
        for name, size in saved.items()
    ]
    alone = make_row(benchmark="rrelu", provider="silu")
    first, second = summary.tables([image, *model, alone])
    assert first.lines == [["rank", "uint8", "64x8x8", "2 µs"]]
    assert "of clone" not in second.header and second.header[-1] == "kept / by eager"
    assert second.lines[0][2:] == ["8x3x4x4 channels_last", "2 µs", "1.00x", "3 MiB / 6 MiB"]


def test_docs_block_takes_the_cases_that_stand_for_all():
    rows = [
        row
        for dtype, size in (("float32", 4), ("float64", 8))
        for count in (1 << 10, 1 << 14, 1 << 20)
        for row in make_rows(dtype=dtype, shape=str(count // size))
    ]
    rows += make_rows(shape="64", threads=1) + make_rows(shape="32x3x128x128", benchmark="model")
    block = summary.docs_block(rows, "some/folder")
    assert "**a processor, 2 threads** (torch 2.13.0, commit abc, date 2026-01-01)" in block
    assert "](some/folder/rrelu_a-processor-2-threads.png)" in block
    lines = [line.split(" | ") for line in block.splitlines() if line.startswith("| forward")]
    assert [(line[1], line[2]) for line in lines] == [
        ("float32", "1 KiB"),
        ("float32", "1 MiB"),
        ("float64", "1 MiB"),
        ("float32", "32x3x128x128"),
    ]


@pytest.mark.parametrize("arguments", [(), ("study",)])
def test_replace_block_needs_both_markers(arguments):
    name = arguments[0] if arguments else "bench"
    begin, end = (f"<!-- {name}:{which} -->" for which in ("begin", "end"))
    text = f"a\n{begin}\nold\n{end}\nb\n"
    new = summary.replace_block(text, "new", *arguments)
    assert new == f"a\n{begin}\n\nnew\n\n{end}\nb\n"
    assert summary.replace_block(new, "new", *arguments) == new
    for bad in ("nothing", text + end, f"{end} {begin}"):
        with pytest.raises(InputError, match=f"{name}:begin"):
            summary.replace_block(bad, "new", *arguments)


@pytest.fixture
def plot():
    """The program bench/plot.py, loaded as a module."""
    spec = importlib.util.spec_from_file_location("plot", ROOT / "bench" / "plot.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_readme_and_docs_are_what_the_committed_results_give(plot):
    rows = bench.read_results(ROOT / "bench" / "results")
    text = (ROOT / "README.md").read_text()
    assert summary.replace_block(text, summary.readme_block(rows, "bench/results")) == text
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert summary.replace_block(text, summary.docs_block(rows, "../bench/results")) == text
    plot.main(check=True)


def test_the_readme_shows_each_main_result_once():
    block = summary.readme_block(bench.read_results(ROOT / "bench" / "results"), "results")
    lines = [line for line in block.splitlines() if line.startswith("| ")][2:]
    assert len({line.split("|")[1] for line in lines}) == len(lines) == 8
    assert all("x |" in line for line in lines) and block.count("![") == 1


def test_every_committed_row_says_where_it_was_measured():
    for row in bench.read_results(ROOT / "bench" / "results"):
        assert row.device_name and row.torch and row.commit and row.date
        known = {*bench.PROVIDERS, *bench.ACTIVE_IMAGE_PROVIDERS, "clone"}
        known |= {"list", "equal", "padded", "each", "batch", "serial", "alone", "bfloat16"}
        known |= {"formula", "reference", "unfused"}
        assert row.provider in known


def test_plot_writes_what_it_checks(plot, tmp_path, monkeypatch):
    timings.write_csv(tmp_path / "rrelu.csv", make_rows() + make_rows(shape="65536"))
    readme, docs = tmp_path / "README.md", tmp_path / "benchmarks.md"
    for path in (readme, docs):
        path.write_text("<!-- bench:begin -->\n<!-- bench:end -->\n")
    monkeypatch.setattr(plot, "RESULTS", tmp_path)
    monkeypatch.setattr(plot, "README", readme)
    monkeypatch.setattr(plot, "DOCS", docs)
    with pytest.raises(typer.Exit):
        plot.main(check=True)
    assert "processor" not in docs.read_text() and not list(tmp_path.glob("*.png"))
    plot.main()
    assert "| forward | float32 | 256 KiB |" in docs.read_text()
    assert "processor" not in readme.read_text()  # which shows cases of other sizes alone
    assert len(list(tmp_path.glob("*.png"))) == 1
    plot.main(check=True)


def test_plot_draws_beside_the_given_results(plot, tmp_path):
    timings.write_csv(tmp_path / "mine.csv", make_rows() + make_rows(shape="65536", bytes=524288))
    plot.main([tmp_path / "mine.csv"])
    picture = cv2.imread(str(tmp_path / "rrelu_a-processor-2-threads.png"))
    assert picture is not None and picture.std() > 0


def test_drawn_leaves_out_launches_and_inputs_of_several_dimensions():
    rows = [
        *make_rows(),
        make_row(mode="launch"),
        make_row(shape="2x2x2x2", layout="channels_last"),
    ]
    images = [
        make_row(benchmark=f"active_image_{method}", shape="8x4x4")
        for method in ("telescoped", "authors", "rank", "learnet", "cumulative")
    ]
    assert summary.drawn(rows + images) == [*make_rows(), images[1], images[2], images[4]]


@pytest.mark.slow
def test_bandwidth_has_a_panel_for_each_dtype_and_mode_and_marks_the_caches():
    rows = [
        row
        for dtype in ("float32", "bfloat16")
        for mode in ("forward", "backward")
        for size in (1 << 20, 1 << 10)
        for row in make_rows(dtype=dtype, mode=mode, shape=str(size), bytes=8 * size)
    ]
    figure = bandwidth(rows, "a machine")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        *("float32 forward", "float32 backward", "bfloat16 forward", "bfloat16 backward")
    ]
    for axes in figure.axes:
        curves = axes.lines[:4]
        assert all(list(line.get_xdata()) == [8 << 10, 8 << 20] for line in curves)
        assert {line.get_xdata()[0] for line in axes.lines[4:]} == {1 << 20}, "L3 is far off"
        words = [text.get_text().strip() for text in axes.texts]
        assert sorted(words) == sorted(["fused", "eager", "silu", "clone", "L2"])
        left, right = axes.get_xlim()
        assert all(left <= tick <= right for tick in axes.get_xticks())


@pytest.mark.parametrize("draw", [bandwidth, lambda rows, title: times({}, title, "")])
def test_pictures_need_something_to_draw(draw):
    with pytest.raises(InputError, match="nothing to draw"):
        draw([], "")


def test_labels_that_would_lie_on_each_other_are_spread():
    spread = _spread([0.5, 0.5, 0.51, 0.1], 0.1)
    assert np.diff(sorted(spread)).min() > 0.099
    assert spread[3] == 0.1 and np.mean(spread[:3]) == pytest.approx(np.mean([0.5, 0.5, 0.51]))


# CSV files


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


# The command


@pytest.fixture
def run(run):
    """Runs `originet bench ...`; returns (exit code, stdout, stderr)."""
    return functools.partial(run, "bench")


@pytest.fixture
def short(monkeypatch):
    """Times every case in as few rounds as there may be."""
    time_case = clock.time_case
    monkeypatch.setattr(clock, "time_case", lambda case, budget: time_case(case, budget=0))


@pytest.mark.slow
def test_bench_measures_writes_and_prints(run, short, tmp_path):
    folder = tmp_path / "out"
    options = ("--quick", "--threads", 1, "--device", "cpu", "--commit", "abc", "--out", folder)
    code, out, err = run(*options)
    assert code == 0, err
    for title in ("Psi on", "Active image on", "OrigiNet on"):
        assert title in out
    rows = bench.read_results(folder)
    subjects = {"rrelu", "join", "active_image", "ragged", "windows", "stream", "model", "prepare"}
    subjects.add("loso")
    assert {row.subject for row in rows} == subjects
    assert {row.threads for row in rows} == {1} and all(row.commit for row in rows)
    names = {path.name for path in folder.iterdir()}
    assert names > {f"{subject}.csv" for subject in subjects}
    pictures = sorted(folder.glob("*.png"))
    assert [path.name.rpartition("_")[0] for path in pictures] == [
        *("active_image", "rrelu", "windows")
    ]
    assert all(cv2.imread(str(path)) is not None for path in pictures)
    code, out, _ = run("--results", folder, "--compare", "--baseline", folder)
    assert code == 0 and "cases 24, ratios 57; worse by more than 10%: 0" in out


def test_bench_prints_what_is_unreliable_with_its_mark(run, tmp_path):
    fused, *others = make_rows(fused=1000.0)
    bench.write_results(tmp_path, [fused, *others])
    code, out, _ = run("--results", tmp_path)
    assert code == 0 and "unreliable" not in out and "0.00x ?" not in out
    bench.write_results(tmp_path, [disturbed(fused), *others])
    code, out, _ = run("--results", tmp_path)
    words = " ".join(out.split())
    assert code == 0 and timings.MARK_NOTE in words and " 0.00x ?" in words


@pytest.mark.slow
def test_bench_takes_one_subject_and_the_dtypes_asked_for(run, short, tmp_path):
    options = ("--quick", "--threads", 1, "--subject", "rrelu", "--dtype", "float64")
    code, _, err = run(*options, "--device", "cpu", "--out", tmp_path)
    assert code == 0, err
    assert {(row.subject, row.dtype) for row in bench.read_results(tmp_path)} == {
        ("rrelu", "float64")
    }


def test_bench_compare_ends_with_an_error_code_if_a_ratio_got_worse(run, tmp_path):
    bench.write_results(tmp_path / "then", make_rows())
    bench.write_results(tmp_path / "now", make_rows(fused=3.0))
    options = ("--results", tmp_path / "now", "--compare", "--baseline", tmp_path / "then")
    code, out, _ = run(*options)
    assert code == 1
    assert "cases 1, ratios 3; worse by more than 10%: 3" in out
    assert "2.00" in out and "3.00" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--compare"], "bench/results: no benchmark results"),
        (["--compare", "--baseline", "none"], "none: no benchmark results"),
        (["--results", "none"], "none: no benchmark results"),
        (["--subject", "psi"], "subject must be one of rrelu"),
        (["--dtype", "int8"], "dtype must be one of float32"),
        (["--threads", "0"], "threads must be at least 1"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
    ],
)
def test_bench_refuses_bad_options(run, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)  # outside of a checkout
    code, _, err = run(*options)
    assert code == 2 and err.count("\n") == 1 and message in err
    assert list(tmp_path.iterdir()) == []
