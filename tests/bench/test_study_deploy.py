"""bench/study_export.py and bench/study_inference.py: committed results, and the tables of them."""

import importlib.util
import sys
from pathlib import Path

import pytest

from originet.bench.summary import replace_block

ROOT = Path(__file__).parents[2]
BLOCKS = {"study_export": "int8", "study_inference": "inference"}


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
    text = export.DOCS.read_text()
    assert replace_block(text, export.table_of(export.read(export.RESULTS)), "int8") == text
    rows = inference.read_csv(inference.RESULTS)
    assert replace_block(text, inference.table_of(rows), "inference") == text


def test_eight_bits_cost_at_most_half_a_point(export):
    runs = export.read(export.RESULTS)
    seeds = {run.seed for run in runs}
    assert seeds == set(range(export.SEEDS))
    assert {(run.runtime, run.seed) for run in runs} == {
        (runtime, seed) for runtime in ("onnx", "openvino") for seed in seeds
    }
    for runtime in ("onnx", "openvino"):
        lost = [run.uar_float32 - run.uar_int8 for run in runs if run.runtime == runtime]
        assert sum(lost) / len(lost) <= 0.005
    assert all(0.5 < run.uar_float32 < 1 for run in runs)  # where a loss would show


def test_copies_are_faster_than_their_networks(inference):
    rows = {(row.case, row.provider): row for row in inference.read_csv(inference.RESULTS)}
    cases = {case for case, _ in rows}
    assert len(cases) >= len(inference.VARIANTS) * len(inference.BATCHES)
    for case in cases:
        assert rows[case, "folded"].median_us < rows[case, "network"].median_us


def test_a_table_marks_what_is_unreliable(inference):
    rows = inference.read_csv(inference.RESULTS)
    restless = [inference.Row(**{**vars(row), "q80_us": 3 * row.median_us}) for row in rows]
    assert " ? |" in inference.table_of(restless)
    assert "ms ?" not in inference.table_of(
        [inference.Row(**{**vars(r), "q20_us": r.median_us, "q80_us": r.median_us}) for r in rows]
    )


def test_runs_survive_their_table(export, tmp_path):
    runs = export.read(export.RESULTS)
    export.write(tmp_path / "a.csv", runs)
    assert export.read(tmp_path / "a.csv") == runs
    assert export.read(tmp_path / "none.csv") == []
