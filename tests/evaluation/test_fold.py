"""One fold: what it computes, and why it may fail."""

import hashlib
from collections.abc import Callable

import pytest
import torch
from folds import HELP, OUT_OF_MEMORY, QUICK, contents, raising, run, small_set, tiny
from torch import nn

from originet.evaluation.executors import Processes
from originet.evaluation.fold import try_in_worker
from originet.system.device import set_seed
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.predict import predict
from originet.training.train import fit

pytestmark = pytest.mark.usefixtures("one_thread")

ENDS = (
    (OUT_OF_MEMORY, f"CUDA out of memory. Tried to allocate 2 GiB.{HELP}"),
    (MemoryError(), f"out of memory{HELP}"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), f"can't allocate memory{HELP}"),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "shapes cannot be multiplied"),
    (OSError("weights cannot be fetched"), "weights cannot be fetched"),
)


def test_a_fold_is_training_and_prediction_and_nothing_else() -> None:
    table, images = small_set()
    result = run(table, images)
    for fold in result.folds:
        test = (table["subject"] == fold["subject"]).to_numpy()
        digest = hashlib.sha256(f"0/{fold['subject']}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        set_seed(seed)
        network = tiny(2)
        train = images[~test], result.y_true[~test]
        history = fit(network, *train, QUICK, seed=seed, device="cpu")
        assert fold["history"] == history.epochs
        assert fold["probabilities"] == predict(network, images[test], device="cpu").tolist()


def failing_fold(act: Callable[[nn.Module], None], fold: int = 3) -> Callable[[int], nn.Module]:
    """A factory that does something to the network of a fold; the first two are only looked at."""
    calls = 0

    def model(num_classes: int) -> nn.Module:
        nonlocal calls
        calls += 1
        network = tiny(num_classes)
        if calls == 2 + fold:
            act(network)
        return network

    return model


def to_nan(network: nn.Module) -> None:
    nn.init.constant_(network[0].weight, torch.nan)


@pytest.mark.parametrize(("error", "text"), ENDS)
def test_a_fold_that_fails_is_named_and_the_others_stay(tmp_path, error, text):
    table, images = small_set(4)
    run(table, images, out=tmp_path / "whole")
    out = tmp_path / "out"
    with pytest.raises(InputError) as told:
        run(table, images, model=failing_fold(raising(error)), out=out)
    assert str(told.value).startswith("seed 0, subject s02: ") and str(told.value).endswith(text)
    assert "\n" not in str(told.value)
    assert "in end" in str(told.value.__cause__)  # the traceback, for who wrote the network
    finished = sorted(path.name for path in (out / "folds").glob("*.json"))
    assert finished == ["seed0_000_s00.json", "seed0_001_s01.json"]
    run(table, images, out=out)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_loss_that_is_no_number_is_told_with_its_fold(tmp_path):
    with pytest.raises(InputError, match=r"^seed 0, subject s01: the training loss became nan in"):
        run(*small_set(), model=failing_fold(to_nan, fold=2), out=tmp_path)
    assert len(list((tmp_path / "folds").glob("*.json"))) == 1


def test_outputs_that_are_no_numbers_are_told_though_the_loss_was(tmp_path):
    class Late(nn.Module):  # in evaluation alone, where nothing is validated
        def forward(self, x):
            return x if self.training else x * torch.nan

    config = Config.from_dict(
        QUICK.to_dict() | {"select": "last", "validation_fraction": 0.0, "epochs": 1}
    )
    with pytest.raises(InputError, match=r"^seed 0, subject s00: the trained network's outputs"):
        run(*small_set(), model=lambda n: nn.Sequential(tiny(n), Late()), config=config)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda n: tiny(n + 1), r"\[7, 3\]"),  # its answers might even be classes
        (lambda n: tiny(n - 1), r"\[7, 1\]"),
        (lambda n: nn.Sequential(tiny(1), nn.Flatten(0)), r"\[7\]"),
        (lambda n: nn.Conv2d(3, n, 16, padding=1), r"\[7, 2, 3, 3\]"),
    ],
)
def test_a_network_of_other_outputs_is_told_at_its_first_step(tmp_path, model, shape):
    message = rf"^seed 0, subject s00: the network must return logits \[7, 2\] here, got {shape}$"
    with pytest.raises(InputError, match=message):
        run(*small_set(), model=model, out=tmp_path)
    assert not list((tmp_path / "folds").iterdir())


def test_a_class_that_the_papers_split_leaves_without_images_is_told(tmp_path):
    # With either subject left out, one clip shows the class: two copies, both drawn nearly surely.
    table, images = small_set(subjects=2, clips=6)
    table["label"] = ["right", *["left"] * 5] * 2
    values = {"protocol": "paper", "equalize": True, "validation_fraction": 0.75}
    config = Config.from_dict(QUICK.to_dict() | values)
    with pytest.raises(InputError, match=r"^seed 0, subject s0\d: class index 1 has no training"):
        run(table, images, config=config, out=tmp_path)


@pytest.mark.slow
def test_a_failing_fold_in_another_process_is_told_alike(tmp_path):
    def model(num_classes: int) -> nn.Module:
        network = tiny(num_classes)
        raising(OUT_OF_MEMORY)(network)
        return network

    with pytest.raises(InputError, match=r"^seed 0, subject s0\d: CUDA out of memory") as told:
        run(*small_set(), model=model, executor=Processes(workers=2, threads=1))
    assert "\n" not in str(told.value) and "in end" in str(told.value.__cause__)


@pytest.mark.parametrize("cuda_graph", [True, False])
def test_workers_capture_graphs_or_not_as_asked(monkeypatch, cuda_graph):
    asked = []

    def try_folds(jobs, views, threads, *, cuda_graph):
        asked.append((threads, cuda_graph))
        return [None]

    monkeypatch.setattr("originet.evaluation.fold.try_folds", try_folds)
    try_in_worker(None, None, 2, cuda_graph)
    assert asked == [(2, cuda_graph)]
