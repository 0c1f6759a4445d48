"""The system learns from the semi-synthetic clips what is in them, and nothing else."""

import dataclasses

import numpy as np
import pytest

from originet.datasets import load_dataset, prepare, synth
from originet.evaluation.loso import run_loso
from originet.training.config import Config


@pytest.mark.slow
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


@pytest.mark.slow
def test_clips_that_end_neutral_are_seen_by_cumulative_and_not_by_telescoped(tmp_path, one_thread):
    methods = ("cumulative", "telescoped")
    config = Config(
        epochs=6,
        batch_size=16,
        image_size=48,
        rotations=(-15, 0, 15),
        equalize=False,
        validation_fraction=0,
        select="last",
    )
    accuracy = {}
    for residual in (synth.RESIDUAL, (0.4, 0.85)):
        clips = synth.generate(
            tmp_path / str(residual), subjects=8, clips_per_class=2, residual=residual
        )
        table = load_dataset("synthetic", clips)
        images = prepare.images_by_method(table, prepare.Settings(methods, 48))
        for method in methods:
            settings = dataclasses.replace(config, method=method)
            result = run_loso(table, config=settings, images=images[method], device="cpu")
            accuracy[residual, method] = result.metrics["pooled_accuracy"]
    assert accuracy[synth.RESIDUAL, "cumulative"] > 0.7
    assert accuracy[synth.RESIDUAL, "telescoped"] < 0.5
    assert accuracy[(0.4, 0.85), "cumulative"] > 0.6
    assert accuracy[(0.4, 0.85), "telescoped"] > 0.6
