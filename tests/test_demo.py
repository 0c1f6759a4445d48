"""The demonstration, and that the system learns from the semi-synthetic clips what is in them."""

import dataclasses

import numpy as np

from originet import bench, demo, prepare, synth
from originet.config import Config
from originet.datasets import load_dataset
from originet.loso import run_loso


def test_semi_synthetic_loso_is_far_above_chance_and_at_chance_for_shuffled_labels(
    tmp_path, one_thread
):
    clips = synth.generate(tmp_path / "clips", subjects=4, clips_per_class=3)
    table = load_dataset("synthetic", clips)
    config = Config(
        epochs=12,
        batch_size=16,
        image_size=48,
        rotations=(0,),
        validation_fraction=0,
        select="last",
    )
    images = prepare.active_images(table, image_size=48)
    result = run_loso(table, config=config, images=images)
    assert result.majority_accuracy == 0.25
    assert result.metrics["pooled_accuracy"] > 0.6
    assert result.semi_synthetic

    labels = np.random.default_rng(0).permutation(table["label"].to_numpy())
    shuffled = run_loso(table.assign(label=labels), config=config, images=images)
    # 48 clips: three standard deviations above 0.25
    assert shuffled.metrics["pooled_accuracy"] < 0.44


def test_demo_writes_a_report_with_all_three_parts(tmp_path, monkeypatch, one_thread):
    def few_clips(out, **arguments):
        return generate(out, subjects=2, clips_per_class=1, **arguments)

    def idle_kernels(jobs, progress):
        """Has the rows of all benchmarks and providers, without their work."""
        rows = []
        for job in jobs:
            case = job.prepare()
            idle = dict.fromkeys(case.calls, lambda: None)
            rows += bench.time_case(dataclasses.replace(case, bytes=0, calls=idle), budget=0)
        return rows

    generate = synth.generate
    monkeypatch.setattr(synth, "generate", few_clips)
    monkeypatch.setattr(bench, "run_jobs", idle_kernels)
    monkeypatch.setattr(
        demo, "CONFIG", Config(epochs=1, image_size=16, rotations=(0,), select="last")
    )
    stages = []
    result = demo.run_demo(
        tmp_path / "out", device="cpu", progress=lambda stage, done, total: stages.append(stage)
    )
    assert list(dict.fromkeys(stages)) == list(demo.STAGES[:3])
    page = result.report.read_text()
    for part in ("Active images of a real face video", "semi-synthetic", "Kernel speed"):
        assert part in page
    # Some are timed beside eager, which makes a picture, and others are not.
    assert "active_image_absolute: medians, eager over fused" in page
    assert "stream_absolute: time a call" in page and "stream_absolute: medians" not in page
    assert (tmp_path / "out" / "active_images.png").exists()
    assert (tmp_path / "out" / "kernels.csv").exists()
    # Started again, it keeps what is finished and ends with the same numbers.
    again = demo.run_demo(tmp_path / "out", device="cpu")
    np.testing.assert_array_equal(again.loso.y_pred, result.loso.y_pred)


def test_carphone_pictures_are_the_face_by_every_method():
    pictures = demo.carphone_images()
    assert len(pictures) == 3 + 7
    for picture in pictures.values():
        assert picture.shape == (demo.SIDE, demo.SIDE) and picture.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)
