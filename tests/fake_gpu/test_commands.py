"""`originet doctor` and `originet bench`, as far as no time is measured."""

import dataclasses

import pytest

from originet import bench


def test_doctor_finds_the_device(run):
    code, out, err = run("doctor")
    assert code == 0, out + err
    assert "a test kernel ran on fake GPU" in " ".join(out.split())


@pytest.mark.parametrize("subject", ["rrelu", "active-image"])
def test_bench_runs_on_the_device(run, tmp_path, monkeypatch, subject):
    def smallest(*arguments, **options):
        # The first case, once; others have megabytes, which take minutes here.
        return [dataclasses.replace(all_jobs(*arguments, **options)[0], budget=0)]

    all_jobs = bench.jobs
    monkeypatch.setattr(bench, "jobs", smallest)
    code, out, err = run("bench", "--quick", "--subject", subject, "--out", tmp_path)
    assert code == 0, out + err
    rows = bench.read_results(tmp_path)
    assert {row.provider for row in rows} >= {"fused"}
    assert all(row.device == "cuda" and row.median_us > 0 for row in rows)
