"""The benchmark of active images: its cases, its jobs, and the arguments of its relatives."""

import itertools
from functools import partial

import pytest
import torch
from benches import CPU, wrong_method

import originet_ext
from originet import bench
from originet.bench import active_image
from originet.system.errors import InputError
from originet_ext import reference

pytestmark = pytest.mark.usefixtures("small_caches")

TIMED = ("cumulative", "telescoped", "authors", "absolute", "rank")


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
