"""The benchmark of a leave-one-subject-out run: its folds, its cases and its table."""

import dataclasses

import numpy as np
import pytest
import torch

from originet import bench
from originet.bench import loso, summary
from originet.training.config import Config

CPU = torch.device("cpu")
SMALL = Config(epochs=1, rotations=(0,), equalize=False, image_size=16)


@pytest.fixture
def small(monkeypatch, one_thread):
    monkeypatch.setattr(loso, "CLIPS", 40)
    monkeypatch.setattr(loso, "SUBJECTS", 4)


def small_providers():
    """Without processes, which take seconds to start."""
    functions = bench.loso_providers(CPU)
    return {"fused": functions["serial"], "eager": functions["eager"]}


def test_the_run_is_as_large_as_the_composite_of_megc_2019():
    tasks = loso.loso_tasks(Config(image_size=16), CPU)
    assert len(tasks) == 68
    job = tasks[0].job
    assert len(job.labels) == 442 and len(job.classes) == 3
    assert tasks[0].views.shape == (442, 15, 16, 16)
    assert all(task.views is tasks[0].views for task in tasks)
    tested = np.sort(np.concatenate([task.job.test for task in tasks]))
    np.testing.assert_array_equal(tested, np.arange(442))


@pytest.mark.slow
def test_all_providers_train_the_same(small):
    tasks = loso.loso_tasks(SMALL, CPU)[:2]
    losses = {name: function(tasks) for name, function in bench.loso_providers(CPU).items()}
    assert list(losses) == ["fused", "serial", "bfloat16", "eager"]
    for name in ("fused", "serial"):
        np.testing.assert_allclose(losses[name], losses["eager"], rtol=1e-3)
    np.testing.assert_allclose(losses["bfloat16"], losses["eager"], rtol=0.05)
    assert losses["bfloat16"] != losses["fused"]
    assert losses["fused"][0] != losses["fused"][1]


@pytest.mark.slow
def test_a_short_case_is_checked_and_timed_in_rounds(small):
    case = bench.loso_case(2, config=SMALL, providers=small_providers())
    assert (case.shape, case.layout, case.once) == ((48, 16, 16), "2 folds", False)
    timed = bench.time_case(case, budget=0)
    # What a busy machine gives is marked, and this test is about the rest.
    rows = [dataclasses.replace(r, q20_us=r.median_us, q80_us=r.median_us) for r in timed]
    assert [row.provider for row in rows] == ["fused", "eager"]
    (table,) = summary.tables(rows)
    assert table.title.startswith("Leave-one-subject-out on ")
    assert table.header == ["case", "dtype", "input", "median", "images/s", "over eager"]
    assert table.lines[0][:3] == ["train", "float32", "48x16x16 2 folds"]
    assert float(table.lines[0][4].replace(",", "")) == pytest.approx(
        48e6 / rows[0].median_us, rel=0.06
    )


def test_a_whole_run_is_timed_once(small):
    calls = []
    functions = {name: lambda tasks, name=name: calls.append(name) for name in ("fused", "eager")}
    case = bench.loso_case(4, config=SMALL, providers=functions)
    assert case.layout == "4 folds" and case.once
    bench.time_case(case, budget=10)
    assert sorted(calls) == ["eager", "fused"]


def test_a_provider_that_trains_something_else_is_refused(small):
    functions = {"fused": lambda tasks: [0.1, 0.1]}
    with pytest.raises(RuntimeError, match="loss of the first epoch: provider 'fused' is wrong"):
        bench.loso_case(2, config=SMALL, providers=functions)
