"""The benchmark of batches whose clips differ in length."""

import itertools

import pytest
import torch
from benches import CPU

import originet_ext
from originet import bench
from originet.bench import ragged

ONE_PASS = ("cumulative", "authors", "absolute", "rank")


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


def test_ragged_jobs_cover_batches_and_threads():
    jobs = ragged.ragged_jobs(CPU, threads=[1, 2])
    kinds = {(*job.prepare.args, job.prepare.keywords["method"], job.threads) for job in jobs}
    assert kinds == set(itertools.product((1, 16, 256), ONE_PASS, (1, 2))) and len(jobs) == 24
