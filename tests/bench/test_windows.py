"""The benchmark of sliding windows: its cases, its jobs and the memory that they need."""

import itertools

import pytest
import torch
from benches import CPU

import originet_ext
from originet import bench
from originet.bench import windows

ONE_PASS = ("cumulative", "authors", "absolute", "rank")


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
