"""bench/study_export.py and bench/study_inference.py: committed results, and the tables of them."""

import importlib.util
import sys
import time
from pathlib import Path

import pytest
from study_rows import read_rows

ROOT = Path(__file__).parents[2]


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look up the types of fields
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def export():
    yield load("study_export")
    del sys.modules["study_export"]


@pytest.fixture(scope="module")
def inference():
    yield load("study_inference")
    del sys.modules["study_inference"]


def test_the_docs_are_what_the_committed_results_give(export, inference):
    export.main(check=True)
    inference.main(check=True)


def test_eight_bits_cost_at_most_half_a_point(export):
    runs = read_rows(export.RESULTS, export.Run)
    seeds = {run.seed for run in runs}
    assert seeds == set(range(export.SEEDS))
    assert {(run.runtime, run.seed) for run in runs} == {
        (runtime, seed) for runtime in ("onnx", "openvino") for seed in seeds
    }
    for runtime in ("onnx", "openvino"):
        lost = [run.uar_float32 - run.uar_int8 for run in runs if run.runtime == runtime]
        assert sum(lost) / len(lost) <= 0.005
    assert all(0.5 < run.uar_float32 < 1 for run in runs)  # where a loss would show


def test_copies_save_a_quarter_for_one_image_and_cost_nothing_for_many(inference):
    rows = read_rows(inference.RESULTS, inference.Row)
    times = {(row.variant, row.images, row.provider): row.median_ms for row in rows}
    for variant in inference.VARIANTS:
        for images in inference.ROUNDS:
            network, folded = times[variant, images, "network"], times[variant, images, "folded"]
            assert folded < (0.75 if images == 1 else 1.05) * network


def test_processor_times_count_work_and_not_waiting(inference):
    def work() -> int:
        return sum(range(50_000))

    times = inference.processor_times({"wait": lambda: time.sleep(0.02), "work": work}, 3, 2)
    assert max(times["wait"]) < 0.01 and min(times["work"]) > 1e-5
    assert [len(each) for each in times.values()] == [3, 3]
