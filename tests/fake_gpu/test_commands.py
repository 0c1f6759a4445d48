"""`originet doctor` and the benchmarks, as far as no time is measured."""

import dataclasses

import pytest
import torch

from originet import bench


def test_doctor_finds_the_device(run):
    code, out, err = run("doctor")
    assert code == 0, out + err
    assert "a test kernel ran on fake GPU" in " ".join(out.split())


@pytest.mark.parametrize("subject", ["rrelu", "active-image"])
def test_benchmarks_run_on_the_device(subject):
    # The smallest case, once; others have megabytes, which take minutes here.
    job = bench.jobs(subject, torch.device("cuda"), quick=True)[0]
    rows = bench.run_jobs([dataclasses.replace(job, budget=0)])
    assert {row.provider for row in rows} >= {"fused"}
    assert all(row.median_us > 0 for row in rows)
