"""bench/study_export.py and bench/study_inference.py: committed results, and the tables of them."""

import time

import study_export as export
import study_inference as inference
from study_rows import read_rows


def test_the_docs_are_what_the_committed_results_give():
    export.main(check=True)
    inference.main(check=True)


def test_eight_bits_cost_at_most_half_a_point():
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


def test_copies_save_a_quarter_for_one_image_and_a_tenth_for_many():
    rows = read_rows(inference.RESULTS, inference.Row)
    times = {(row.variant, row.images, row.provider): row.median_ms for row in rows}
    for variant in inference.VARIANTS:
        for images in inference.ROUNDS:
            network, folded = times[variant, images, "network"], times[variant, images, "folded"]
            assert folded < (0.75 if images == 1 else 0.9) * network


def test_processor_times_count_work_and_not_waiting():
    def work() -> int:
        return sum(range(50_000))

    times = inference.processor_times({"wait": lambda: time.sleep(0.02), "work": work}, 3, 2)
    assert max(times["wait"]) < 0.01 and min(times["work"]) > 1e-5
    assert [len(each) for each in times.values()] == [3, 3]
