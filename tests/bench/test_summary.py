"""The tables made of results, and the parts of README and docs."""

import itertools
from pathlib import Path

import pytest
from benches import CPU, disturbed, make_row, make_rows, timed

from originet import bench
from originet.bench import summary
from originet.bench.figures import duration, size_text, times
from originet.system import timings
from originet.system.errors import InputError

ROOT = Path(__file__).parents[2]


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


def test_series_mark_single_figures():
    rows = [
        make_row(benchmark="active_image_telescoped", shape=f"{count}x32x32", dtype="uint8")
        for count in (10, 100)
    ]
    block = summary.docs_block([rows[0], disturbed(rows[1])], "folder")
    assert "| telescoped | fused | 2 µs | 2 µs ? |" in block


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


def test_the_readme_shows_each_main_result_once():
    block = summary.readme_block(bench.read_results(ROOT / "bench" / "results"), "results")
    lines = [line for line in block.splitlines() if line.startswith("| ")][2:]
    assert len({line.split("|")[1] for line in lines}) == len(lines) == 8
    assert all("x |" in line for line in lines) and block.count("![") == 1


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


@pytest.mark.usefixtures("small_caches")
def test_tables_tell_a_cold_case_and_the_share_of_equal_lengths():
    rows = timed(
        bench.active_image_case((64, 8, 8), mode="cold"),
        bench.ragged_case(2, size=4),
    )
    images, batches = summary.tables(rows)
    assert images.lines[0][0] == "absolute cold"
    place = batches.header.index("of equal")
    medians = {row.provider: row.median_us for row in rows if row.subject == "ragged"}
    assert batches.lines[0][place] == f"{medians['equal'] / medians['fused']:.0%}"
    assert "over equal" not in batches.header


def test_table_of_streams_tells_frames_a_second_and_memory():
    case = bench.stream_case((64, 8, 8))
    rows = timed(case)
    (table,) = summary.tables(rows)
    median = next(row.median_us for row in rows if row.provider == "fused")
    assert table.header[4] == "frames/s" and table.lines[0][4] == f"{64 / median * 1e6:,.0f}"
    assert table.header[-1] == "kept" and table.lines[0][-1] == size_text(case.saved["fused"])


@pytest.mark.slow
def test_windows_have_a_table_and_a_picture_by_their_length(monkeypatch, tmp_path):
    monkeypatch.setattr(summary, "_SHORT_VIDEO", "40x8x8")
    cases = [
        bench.windows_case(frames, window, size=8, method=method)
        for frames, window, method in itertools.product((40, 50), (20, 10), ("rank", "absolute"))
    ]
    rows = timed(*cases)
    lines = [line.strip("| ").split(" | ") for line in summary.docs_block(rows, "x").splitlines()]
    assert ["case", "provider", "10", "20"] in lines
    medians = {
        (row.variant, row.provider, row.shape, summary.window(row)): duration(row.median_us)
        for row in rows
    }
    for method, provider in itertools.product(("rank", "absolute"), ("fused", "each", "eager")):
        kind = (method, provider)
        ten, twenty = (medians[(*kind, "40x8x8", window)] for window in (10, 20))
        assert [*kind, ten, twenty] in lines
    assert not any(line[1:2] in (["clone"], ["read"]) for line in lines)
    others = [line[2] for line in lines if "uint8" in line]
    assert others == [f"50x8x8 window {window} stride 5" for window in (20, 20, 10, 10)]
    (path,) = bench.draw_results(tmp_path, rows)
    assert path.name.startswith("windows_") and path.stat().st_size > 10_000
    link = f"](x/{path.name})"
    assert any(link in line for (line, *_) in lines)
    pairs = [(summary.window(row), row) for row in summary.drawn(rows) if row.variant == "rank"]
    (axes,) = times({"rank": pairs}, "a machine", "frames a window").axes
    assert {text.get_text() for text in axes.texts} == {"fused", "each", "eager", "read", "clone"}
    assert all(list(line.get_xdata()) == [10, 20] for line in axes.lines)


@pytest.mark.slow
@pytest.mark.usefixtures("small_caches")
def test_readme_takes_cold_cases_where_there_are_and_telescoped_by_length():
    shape = (64, 340, 280, 3)

    def fused(method, mode="forward"):
        providers = bench.active_image_providers(method, CPU, ["fused"])
        return bench.active_image_case(shape, method=method, mode=mode, providers=providers)

    rows = timed(
        *(bench.active_image_case((n, 32, 32), method="telescoped") for n in (1000, 8)),
        *(fused("telescoped"), fused("rectified"), fused("rectified", "cold")),
        bench.ragged_case(2, size=4),
    )
    lines = [line.strip("| ").split(" | ") for line in summary.docs_block(rows, "x").splitlines()]
    cases = [line[:3] for line in lines if "uint8" in line]
    assert cases == [
        ["telescoped", "uint8", "64x340x280x3"],
        ["rectified cold", "uint8", "64x340x280x3"],
        ["absolute", "uint8", f"{rows[-1].shape} packed"],
    ]
    assert ["case", "provider", "8", "1,000"] in lines
    long, short = [duration(row.median_us) for row in rows if row.provider == "fused"][:2]
    assert ["telescoped", "fused", short, long] in lines
