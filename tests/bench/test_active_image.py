"""The benchmark cases of active imaging, and the tables and pictures made of their rows."""

import dataclasses
import itertools
from functools import partial

import numpy as np
import pytest
import torch

import originet_ext
from originet import bench
from originet.bench import active_image, ragged, rivals, stream, summary, windows
from originet.bench.figures import bandwidth, duration, size_text, times
from originet.system import clock
from originet.system.errors import InputError
from originet_ext import reference

CPU = torch.device("cpu")
TIMED = ("cumulative", "telescoped", "authors", "absolute", "rank")
ONE_PASS = ("cumulative", "authors", "absolute", "rank")


@pytest.fixture(autouse=True)
def small_caches(monkeypatch):
    """Caches so small that a few small clips lie outside of them."""
    monkeypatch.setattr(active_image, "cache_sizes", lambda device: (1 << 10, 40 << 10))


def random_clip(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


# One clip


@pytest.mark.parametrize("method", originet_ext.METHODS)
def test_providers_agree(method):
    for shape in ((7, 12, 9), (5, 8, 6, 3), (2, 4, 4)):
        case = bench.active_image_case(shape, method=method)
        loops = {"loops"} if method == "authors" else set()
        assert set(case.calls) == {"fused", "eager", "opencv", "numpy", "read"} | loops


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cumulative", "telescoped", "absolute"])
def test_compiled_provider_agrees(method):
    providers = bench.active_image_providers(method, CPU, ["compile"])
    case = bench.active_image_case((6, 16, 16), method=method, providers=providers)
    clip = active_image.random_frames((6, 16, 16), CPU)
    expected = reference.active_image(clip, method=method)
    torch.testing.assert_close(case.calls["compile"](), expected, rtol=1e-5, atol=1e-2)


def test_loops_are_the_pairs_at_least_two_frames_apart():
    clip = random_clip(5, 2, 3)
    frames = clip.double()
    pairs = [(j, k) for j in range(5) for k in range(5) if k <= j - 2]
    expected = sum(frames[j] - frames[k] for j, k in pairs)
    assert torch.equal(rivals.loops_active_image(clip).double(), expected)
    assert torch.equal(rivals.loops_active_image(clip[:1]), torch.zeros(2, 3))


def test_reading_once_sums_all_whole_words():
    clip = random_clip(3, 3, 3)  # 27 bytes: three words and three bytes
    words = clip.flatten()[:24].numpy().view(np.int64)
    assert rivals.read_once(clip).item() == words.sum()


def wrong_method(frames):
    return originet_ext.active_image(frames, method="rectified")


def test_case_refuses_a_wrong_kernel():
    for mode in bench.ACTIVE_IMAGE_MODES:
        with pytest.raises(RuntimeError, match="active image 'absolute': provider 'bad'"):
            bench.active_image_case((4, 8, 8), mode=mode, providers={"bad": wrong_method})
    with pytest.raises(RuntimeError, match="shape"):
        bench.active_image_case(
            (4, 8, 8), providers={"bad": lambda frames: wrong_method(frames)[0]}
        )


def test_case_checks_the_first_and_last_rows_of_a_large_clip(monkeypatch):
    monkeypatch.setattr(active_image, "_CHECKED_WHOLE", 0)

    def wrong(row, frames):
        image = originet_ext.active_image(frames, method="absolute")
        image[row] += 1
        return image

    for row in (0, -1):
        with pytest.raises(RuntimeError, match="is wrong by 1"):
            bench.active_image_case((4, 40, 8), providers={"bad": partial(wrong, row)})
    bench.active_image_case((4, 40, 8), providers={"good": partial(wrong, 20)})


def test_case_of_a_long_clip_allows_for_the_rounding_of_float32_sums():
    def off(by, frames):
        return originet_ext.active_image(frames, method="authors") + by

    bench.active_image_case((1000, 4, 4), method="authors", providers={"a": partial(off, 100)})
    with pytest.raises(RuntimeError, match="is wrong by"):
        bench.active_image_case((1000, 4, 4), method="authors", providers={"a": partial(off, 1e4)})
    with pytest.raises(RuntimeError, match="is wrong by"):
        bench.active_image_case((8, 4, 4), method="authors", providers={"a": partial(off, 1)})


def test_case_counts_bytes_that_must_move():
    assert bench.active_image_case((9, 10, 10), method="absolute").bytes == 900 + 400
    assert bench.active_image_case((9, 10, 10), method="telescoped").bytes == 300 + 400


def test_cold_case_takes_clips_in_turn_that_no_cache_holds():
    seen = []
    providers = {
        name: lambda frames: seen.append(frames.data_ptr()) or wrong_method(frames)
        for name in ("a", "b")
    }
    shape = (16, 16, 16)  # 4 KiB
    case = bench.active_image_case(shape, method="rectified", mode="cold", providers=providers)
    assert list(case.calls) == ["a", "b", "clone"]
    seen.clear()
    for name in itertools.islice(itertools.cycle(("a", "b")), 31):
        case.calls[name]()
    assert len(set(seen)) == 31, "three times the cache and one clip more, whoever reads them"
    case.calls["a"]()
    assert seen[31] == seen[0]
    copy = case.calls["clone"]()
    assert copy.nbytes == case.bytes // 2, "a clone reads and writes"


def test_time_case_takes_the_clone_that_a_case_brings():
    called = []
    calls = {"a": lambda: None, "clone": lambda: called.append(1)}
    case = clock.Case("x", "cold", CPU, torch.uint8, (1,), "", 8, calls)
    rows = bench.time_case(case, budget=0)
    assert [row.provider for row in rows] == ["a", "clone"] and called


# Ragged batches


@pytest.mark.parametrize("method", originet_ext.METHODS)
@pytest.mark.parametrize("clips", [1, 3, 40])
def test_ragged_providers_agree(clips, method):
    case = bench.ragged_case(clips, method=method, size=6)
    names = {"fused", "list", "equal", "eager", "read"}
    assert set(case.calls) == (names if clips > 16 else names | {"padded"})
    assert case.shape[0] == clips and case.shape[2:] == (6, 6)
    frames = 3 * clips if method == "telescoped" else case.shape[1]
    assert case.bytes == 36 * (frames + 4 * clips)


def test_ragged_batch_has_the_same_clips_each_time_and_equal_ones_of_as_many_bytes():
    batch, again = bench.ragged_batch(30, CPU, 4), bench.ragged_batch(30, CPU, 4)
    assert torch.equal(batch.frames, again.frames) and torch.equal(batch.offsets, again.offsets)
    lengths, equal = batch.offsets.diff(), batch.equal.diff()
    assert lengths.min() >= 8 and lengths.max() <= 120 and len(set(lengths.tolist())) > 10
    assert equal.max() - equal.min() <= 1
    assert lengths.sum() == equal.sum() == len(batch.frames)
    assert [len(clip) for clip in batch.clips] == lengths.tolist()
    assert torch.equal(torch.cat(batch.clips), batch.frames)


@pytest.mark.parametrize("name", ["bad", "equal"])
def test_ragged_case_refuses_a_wrong_kernel(name):
    def ragged_for_equal(batch):
        offsets = batch.offsets if name == "equal" else batch.equal
        return originet_ext.active_image(batch.frames, offsets, "absolute")

    with pytest.raises(RuntimeError, match=f"ragged batch 'absolute': provider '{name}'"):
        bench.ragged_case(5, size=4, providers={name: ragged_for_equal})


# Windows and streams


@pytest.mark.parametrize("method", originet_ext.METHODS)
@pytest.mark.parametrize(("frames", "window", "stride"), [(40, 7, 5), (9, 9, 1), (12, 2, 3)])
def test_windows_providers_agree(frames, window, stride, method):
    case = bench.windows_case(frames, window, stride=stride, method=method, size=6)
    assert set(case.calls) == {"fused", "each", "eager", "read"}
    assert case.bytes == 36 * (frames + 4 * len(range(0, frames - window + 1, stride)))
    assert case.shape == (frames, 6, 6) and case.layout == f"window {window} stride {stride}"


def test_windows_of_a_long_video_repeat_a_short_one(monkeypatch):
    monkeypatch.setattr(windows, "_FRAMES", 20)
    seen = []
    provider = {"fused": lambda x: seen.append(x) or originet_ext.sliding_active_images(x, 4, 5)}
    bench.windows_case(50, 4, size=3, method="cumulative", providers=provider)
    assert torch.equal(seen[0][:20], seen[0][20:40]) and torch.equal(seen[0][:10], seen[0][40:])


@pytest.mark.parametrize("wrong", [0, 1, -1])
def test_windows_case_refuses_a_wrong_kernel(wrong):
    def bad(frames):
        images = originet_ext.sliding_active_images(frames, 4, 5, method="absolute")
        images[wrong] += 1
        return images

    with pytest.raises(RuntimeError, match="windows 'absolute': provider 'bad' is wrong by 1"):
        bench.windows_case(50, 4, size=3, providers={"bad": bad})
    with pytest.raises(RuntimeError, match="shape"):
        bench.windows_case(50, 4, size=3, providers={"bad": lambda frames: bad(frames)[1:]})


@pytest.mark.parametrize("method", originet_ext.METHODS)
def test_stream_providers_agree_and_their_memory_is_told(method):
    for shape in ((7, 12, 9), (2, 4, 4, 3)):
        case = bench.stream_case(shape, method=method)
        assert set(case.calls) == {"fused", "batch", "opencv", "read"}
    assert bench.stream_case((200, 16, 16), method=method).saved["fused"] < 50 * 16 * 16


def test_stream_case_refuses_a_wrong_kernel():
    with pytest.raises(RuntimeError, match="stream 'absolute': provider 'bad'"):
        bench.stream_case((4, 8, 8), providers={"bad": wrong_method})


# Arguments and jobs


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: bench.active_image_case((4, 8, 8), method="sum"), "method .* 'sum'"),
        (lambda: bench.active_image_case((1, 8, 8)), r"shape .* \[1, 8, 8\]"),
        (lambda: bench.active_image_case((4, 8, 8), mode="full"), "mode .* 'full'"),
        (lambda: bench.active_image_case((3, 8, 8), mode="cold"), "cold needs .* 3$"),
        (
            lambda: bench.active_image_case((8, 8, 8), method="telescoped", mode="cold"),
            "cold .* 'telescoped'",
        ),
        (lambda: bench.active_image_providers("rank", CPU, ["loops"]), "provider .* 'loops'"),
        (lambda: bench.active_image_providers("rank", "cuda", ["opencv"]), "provider .* 'opencv'"),
        (lambda: bench.ragged_case(0), "clips .* 0"),
        (lambda: bench.ragged_case(1, method="sum"), "method .* 'sum'"),
        (lambda: bench.windows_case(9, 10), "window .* 2 to 9 frames, got 10"),
        (lambda: bench.windows_case(9, 1), "window .* got 1"),
        (lambda: bench.windows_case(9, 3, stride=0), "stride .* 0"),
        (lambda: bench.windows_case(9, 3, method="sum"), "method .* 'sum'"),
        (lambda: bench.windows_providers(3, 1, "rank", ["conv"]), "provider .* 'conv'"),
        (lambda: bench.stream_case((1, 8, 8)), r"shape .* \[1, 8, 8\]"),
        (lambda: bench.stream_case((4, 8, 8), method="sum"), "method .* 'sum'"),
    ],
)
def test_bad_arguments_are_named(call, match):
    with pytest.raises(InputError, match=match):
        call()


def image_jobs(**options):
    """The arguments of the one-clip cases: names, shape, method, mode, threads."""
    return [
        (names, shape, job.prepare.keywords["method"], job.prepare.keywords["mode"], job.threads)
        for job in bench.active_image.active_image_jobs(CPU, **options)
        for names, shape in [job.prepare.args]
    ]


def test_jobs_cover_methods_lengths_colour_threads_and_memory():
    jobs = image_jobs(threads=[1, 2])
    assert len({str(job[1:]) for job in jobs}) == len(jobs), "none twice"
    for threads in (1, 2):
        middle = {(m, mode) for _, s, m, mode, t in jobs if s == (64, 340, 280, 3) and t == threads}
        every = set(originet_ext.METHODS)
        assert {m for m, mode in middle if mode == "forward"} == every
        assert {m for m, mode in middle if mode == "cold"} == every - {"telescoped"}
        shapes = {s for _, s, m, _, t in jobs if m == "rank" and t == threads}
        assert {s[1:3] for s in shapes} == {(128, 128), (340, 280), (1080, 1920)}
        assert {len(s) for s in shapes} == {3, 4}
        assert min(s[0] for s in shapes) == 8 and max(s[0] for s in shapes) == 1000
    flat = {s[0] for _, s, m, _, _ in jobs if m == "telescoped" and s[1:] == (32, 32)}
    assert flat == {8, 64, 1000, 10_000, 100_000}
    assert max(torch.Size(shape).numel() for _, shape, *_ in jobs) < 1.5e9


def test_slow_providers_join_where_they_end_in_good_time():
    for names, shape, method, _, threads in image_jobs(threads=[1, 2]):
        assert names[0] == "fused" and {"read", "opencv"} <= set(names)
        small = method == "telescoped" or torch.Size(shape).numel() <= 128 << 20
        assert ("eager" in names) == ("numpy" in names) == small
        if "loops" in names:
            assert (method, threads) == ("authors", 2) and shape[0] <= 64
        if "compile" in names:
            assert threads == 2 and shape[0] == 64 and method in TIMED
    compiled = [job for job in image_jobs(threads=[1, 2]) if "compile" in job[0]]
    assert {job[2] for job in compiled} == set(TIMED)
    assert any("loops" in job[0] for job in image_jobs(threads=[1, 2]))


def test_ragged_jobs_cover_batches_and_threads():
    jobs = ragged.ragged_jobs(CPU, threads=[1, 2])
    kinds = {(*job.prepare.args, job.prepare.keywords["method"], job.threads) for job in jobs}
    assert kinds == set(itertools.product((1, 16, 256), ONE_PASS, (1, 2))) and len(jobs) == 24


def test_windows_jobs_cover_lengths_and_a_long_video_where_memory_allows(monkeypatch):
    def listed():
        jobs = windows.windows_jobs(CPU, threads=[1, 2])
        return [(*job.prepare.args, job.prepare.keywords["method"], job.threads) for job in jobs]

    monkeypatch.setattr(windows, "free_memory", lambda device: 8 << 30)
    jobs = listed()
    short = set(itertools.product((10, 40, 160, 640), ONE_PASS, (1, 2)))
    assert {job[2:] for job in jobs if job[1] == 2000} == short
    assert [job[2:] for job in jobs if job[1] == 120_000] == [(40, m, 2) for m in ONE_PASS]
    assert all(("eager" in job[0]) == (job[1] == 2000 and job[2] <= 40) for job in jobs)
    monkeypatch.setattr(windows, "free_memory", lambda device: 5 << 30)
    with pytest.warns(UserWarning, match="need 8 GiB of memory, but only 5.0 GiB are"):
        assert listed() == [job for job in jobs if job[1] == 2000]
    monkeypatch.setattr(windows, "free_memory", lambda device: None)
    assert listed() == jobs, "unknown memory is no reason to leave it out"


def test_free_memory_is_what_linux_says(monkeypatch, tmp_path):
    free = windows.free_memory(CPU)
    assert free is None or 1 << 20 < free < 1 << 45
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:       100 kB\nMemAvailable:    64 kB\n")
    monkeypatch.setattr(windows, "_MEMORY", told)
    assert windows.free_memory(CPU) == 64 << 10
    told.write_text("MemTotal:       100 kB\n")
    assert windows.free_memory(CPU) is None
    monkeypatch.setattr(windows, "_MEMORY", tmp_path / "none")
    assert windows.free_memory(CPU) is None


def test_stream_jobs_cover_small_and_large_frames_and_are_left_out_on_a_gpu():
    jobs = stream.stream_jobs(threads=[1, 2])
    kinds = {(job.prepare.args[0][1:], job.prepare.keywords["method"]) for job in jobs}
    assert kinds == set(itertools.product(((128, 128), (1080, 1920)), TIMED))
    for device, there in ((CPU, True), (torch.device("cuda"), False)):
        every = bench.jobs("active-image", device, quick=True)
        assert any(job.prepare.func is bench.stream_case for job in every) == there


# Rows, tables and pictures


def timed(*cases):
    rows = [row for case in cases for row in bench.time_case(case, budget=0)]
    # What a busy machine gives is marked, and these tests are about the rest.
    return [dataclasses.replace(r, q20_us=r.median_us, q80_us=r.median_us) for r in rows]


def test_rows_are_filed_by_subject(tmp_path):
    rows = timed(
        bench.active_image_case((4, 8, 8), method="rank"),
        bench.ragged_case(2, size=4),
        bench.windows_case(20, 5, size=4, method="rank-simple"),
        bench.stream_case((4, 8, 8), method="telescoped"),
    )
    names = {
        *(("active_image", "rank"), ("ragged", "absolute")),
        *(("windows", "rank-simple"), ("stream", "telescoped")),
    }
    assert {(row.subject, row.variant) for row in rows} == names
    bench.write_results(tmp_path, rows)
    assert {path.stem for path in tmp_path.iterdir()} == {subject for subject, _ in names}
    assert sorted(bench.read_results(tmp_path), key=str) == sorted(rows, key=str)


@pytest.mark.slow
def test_compare_knows_the_new_cases():
    rows = timed(
        bench.active_image_case((64, 8, 8), mode="cold"),
        bench.ragged_case(2, size=4),
        bench.windows_case(20, 5, size=4),
        bench.stream_case((4, 8, 8)),
    )
    outcome = bench.compare(rows, rows)
    assert (outcome.cases, outcome.worse) == (4, [])
    assert outcome.ratios == 10, "of clone 4, eager 3, opencv 2, equal 1"


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


@pytest.mark.slow
def test_pictures_of_active_images_have_a_panel_for_each_method_and_mode(tmp_path):
    rows = timed(
        *(
            bench.active_image_case((n, 8, 8), method=method, mode=mode)
            for n, method, mode in itertools.product(
                (64, 128), ("authors", "rank"), ("forward", "cold")
            )
        ),
        bench.active_image_case((8, 8, 8), method="telescoped"),
    )
    drawn = summary.drawn(rows)
    assert {row.variant for row in drawn} == {"authors", "rank"}
    figure = bandwidth(drawn, "a machine", down="variant")
    assert [axes.get_title() for axes in figure.axes] == [
        *("authors forward", "authors cold", "rank forward", "rank cold")
    ]
    (path,) = bench.draw_results(tmp_path, rows)
    assert path.name.startswith("active_image_") and path.stat().st_size > 10_000
