"""The benchmark of streams: its cases and its jobs."""

import itertools

import pytest
import torch
from benches import CPU, wrong_method

import originet_ext
from originet import bench
from originet.bench import stream

TIMED = ("cumulative", "telescoped", "authors", "absolute", "rank")


@pytest.mark.parametrize("method", originet_ext.METHODS)
def test_stream_providers_agree_and_their_memory_is_told(method):
    for shape in ((7, 12, 9), (2, 4, 4, 3)):
        case = bench.stream_case(shape, method=method)
        assert set(case.calls) == {"fused", "batch", "opencv", "read"}
    assert bench.stream_case((200, 16, 16), method=method).saved["fused"] < 50 * 16 * 16


def test_stream_case_refuses_a_wrong_kernel():
    with pytest.raises(RuntimeError, match="stream 'absolute': provider 'bad'"):
        bench.stream_case((4, 8, 8), providers={"bad": wrong_method})


def test_stream_jobs_cover_small_and_large_frames_and_are_left_out_on_a_gpu():
    jobs = stream.stream_jobs(threads=[1, 2])
    kinds = {(job.prepare.args[0][1:], job.prepare.keywords["method"]) for job in jobs}
    assert kinds == set(itertools.product(((128, 128), (1080, 1920)), TIMED))
    for device, there in ((CPU, True), (torch.device("cuda"), False)):
        every = bench.jobs("active-image", device, quick=True)
        assert any(job.prepare.func is bench.stream_case for job in every) == there
