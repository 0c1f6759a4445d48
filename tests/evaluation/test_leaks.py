"""Planted leaks: what a network must not know, it does not know."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from originet.evaluation.fold import FoldJob, FoldOutcome, run_folds
from originet.evaluation.loso import run_loso
from originet.evaluation.result import LosoResult
from originet.evaluation.splits import subject_splits
from originet.training.augment import augmented_views
from originet.training.config import PROTOCOLS, Config
from originet.training.predict import predict

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 16
CLASSES = ("left", "right")
QUICK = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "rotations": (0,), "image_size": SIZE}
VARIED = {"label_smoothing": 0.1, "mixup_alpha": 0.4, "translation": 0.1}
BALANCES: tuple[dict, ...] = ({}, {"class_weights": "balanced"}, {"sampling": "balanced"})


def clip_table(subjects: int, clips: int) -> pd.DataFrame:
    """Clips of both classes, one more of the first for every subject."""
    return pd.DataFrame(
        {"dataset": "folder", "subject": f"s{s}", "clip": f"c{c}", "label": CLASSES[c % 2]}
        for s in range(subjects)
        for c in range(clips)
    )


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE), dtype=np.uint8)


def linear(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(768), nn.Linear(768, num_classes))


def networks(
    table: pd.DataFrame, images: np.ndarray, config: Config
) -> tuple[LosoResult, list[nn.Module]]:
    """Runs LOSO and keeps the trained network of every fold."""
    made: list[nn.Module] = []

    def factory(num_classes: int) -> nn.Module:
        made.append(linear(num_classes))
        return made[-1]

    result = run_loso(table, factory, config, images=images, device="cpu")
    return result, made[-len(result.folds) :]  # before those, run_loso looks at a specimen


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Whether all parameters and running statistics are equal, bit for bit."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def blacken(table: pd.DataFrame, images: np.ndarray, rows: np.ndarray) -> None:
    images[rows] = 0


def replace_by_noise(table: pd.DataFrame, images: np.ndarray, rows: np.ndarray) -> None:
    images[rows] = noise(rows.sum(), seed=9)


def flip_labels(table: pd.DataFrame, images: np.ndarray, rows: np.ndarray) -> None:
    table.loc[rows, "label"] = "left"


def swap_labels(table: pd.DataFrame, images: np.ndarray, rows: np.ndarray) -> None:
    table.loc[rows, "label"] = table.loc[rows, "label"].map({"left": "right", "right": "left"})


@pytest.mark.parametrize(
    "balance", [*BALANCES, VARIED], ids=["plain", "weights", "sampling", "varied"]
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("poison", [blacken, replace_by_noise, flip_labels])
def test_a_poisoned_test_subject_changes_no_weight_of_its_fold(
    poison: Callable[[pd.DataFrame, np.ndarray, np.ndarray], None], protocol: str, balance: dict
) -> None:
    config = Config(**QUICK, protocol=protocol, **balance)
    table, images = clip_table(4, 5), noise(20)
    poisoned_table, poisoned_images = table.copy(), images.copy()
    poison(poisoned_table, poisoned_images, (table["subject"] == "s2").to_numpy())
    before, clean = networks(table, images, config)
    after, poisoned = networks(poisoned_table, poisoned_images, config)
    alike = [same_weights(*pair) for pair in zip(clean, poisoned, strict=True)]
    assert alike == [False, False, True, False]
    assert after.folds[2]["history"] == before.folds[2]["history"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("poison", [blacken, replace_by_noise, swap_labels])
def test_a_poisoned_data_set_changes_no_weight_of_the_fold_that_leaves_it_out(
    poison: Callable[[pd.DataFrame, np.ndarray, np.ndarray], None], protocol: str
) -> None:
    # Both sets have a subject s0, and clips of the same names: they are two people's all the same.
    config = Config(**QUICK, protocol=protocol, leave_out="dataset")
    table, images = clip_table(4, 5), noise(20)
    table["dataset"] = np.where(table["subject"] < "s2", "casme", "casme2")
    table["subject"] = table["subject"].replace({"s2": "s0", "s3": "s1"})
    poisoned_table, poisoned_images = table.copy(), images.copy()
    poison(poisoned_table, poisoned_images, (table["dataset"] == "casme2").to_numpy())
    before, clean = networks(table, images, config)
    after, poisoned = networks(poisoned_table, poisoned_images, config)
    assert [fold["subject"] for fold in before.folds] == ["casme", "casme2"]
    assert [same_weights(*pair) for pair in zip(clean, poisoned, strict=True)] == [False, True]
    assert after.folds[1]["history"] == before.folds[1]["history"]
    for fold, network in zip(before.folds, clean, strict=True):
        own = images[(table["dataset"] == fold["subject"]).to_numpy()]
        assert predict(network, own, device="cpu").tolist() == fold["probabilities"]
        assert sum(fold["training_counts"].values()) <= 10


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_fold_does_not_know_how_many_clips_its_test_subject_has(protocol: str) -> None:
    table, images = clip_table(4, 5), noise(20)
    keep = ~((table["subject"] == "s2") & (table["clip"] > "c0")).to_numpy()
    config = Config(**QUICK, protocol=protocol)
    _, all_clips = networks(table, images, config)
    _, one_clip = networks(table[keep].reset_index(drop=True), images[keep], config)
    assert same_weights(all_clips[2], one_clip[2])
    assert not same_weights(all_clips[1], one_clip[1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_test_clips_are_predicted_as_they_are(protocol: str) -> None:
    table, images = clip_table(4, 5), noise(20)
    result, trained = networks(table, images, Config(**QUICK, protocol=protocol))
    for fold, network in zip(result.folds, trained, strict=True):
        own = images[(table["subject"] == fold["subject"]).to_numpy()]
        assert predict(network, own, device="cpu").tolist() == fold["probabilities"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_the_networks_are_shown(protocol: str) -> None:
    # Each clip has a bright pixel of its own, by which a network's input tells its clip.
    table, images = clip_table(4, 6), np.full((24, SIZE * SIZE), 40, np.uint8)
    np.fill_diagonal(images, 200)
    shown: list[tuple[list[int], list[int]]] = []

    def spy(num_classes: int) -> nn.Module:
        training: list[int] = []
        evaluation: list[int] = []
        shown.append((training, evaluation))

        def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
            clips = inputs[0][:, 0].flatten(1).argmax(dim=1).tolist()
            (training if module.training else evaluation).extend(clips)

        network = linear(num_classes)
        network.register_forward_pre_hook(note)
        return network

    config = Config(**QUICK, protocol=protocol)
    result = run_loso(table, spy, config, images=images.reshape(24, SIZE, SIZE), device="cpu")
    for fold, (training, evaluation) in zip(result.folds, shown[-4:], strict=True):
        own = set(np.flatnonzero(table["subject"] == fold["subject"]))
        trained, validated = set(training), set(evaluation) - own
        assert trained.isdisjoint(own)
        assert sorted(evaluation[-6:]) == sorted(own)
        assert own.isdisjoint(evaluation[:-6])  # the test subject is touched once, at the end
        assert trained | validated == set(range(24)) - own
        assert fold["shared_clips"] == len(trained & validated)
        assert (fold["shared_clips"] > 0) == fold["leaky"] == (protocol == "paper")
        assert sum(fold["training_counts"].values()) == len(trained)
        assert sum(fold["validation_counts"].values()) == len(validated)


@pytest.mark.parametrize("balance", BALANCES, ids=["plain", "weights", "sampling"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_where_the_label_is_the_subject_nothing_is_right(protocol: str, balance: dict) -> None:
    # A test subject's class is in no other clip: only a network that saw it could ever answer it.
    subjects = np.repeat(np.arange(5), 6)
    # What all faces share tells a network that there is no such class.
    common, own, change = noise(1, seed=1) // 2, noise(5)[subjects] // 4, noise(30, seed=2) // 32
    images = common + own + change
    config = Config(**QUICK | {"epochs": 15}, protocol=protocol, **balance)
    for train, test in subject_splits(subjects.astype(str)):
        job = FoldJob(
            lambda n: nn.Sequential(nn.Flatten(), nn.Linear(768, n)),
            *("abcde", subjects, train, test, config, int(test[0]), torch.device("cpu")),
        )
        (outcome,) = run_folds([job], augmented_views(images, config.rotations, config.equalize))
        assert isinstance(outcome, FoldOutcome)
        fold = outcome.record
        assert fold["history"][-1]["accuracy"] == 1  # the others' faces are learned by heart
        assert fold["accuracy"] == 0


@pytest.mark.slow
def test_shuffled_labels_show_which_protocol_validates_on_what_it_has_seen() -> None:
    # Nothing can be learned here but by heart. The test subject is at chance under both protocols;
    # the paper's validation images are recognised by their siblings.
    table, images = clip_table(6, 16), noise(96)
    table["label"] = np.random.default_rng(1).permutation(table["label"])
    validation, tested = {}, {}
    for protocol in PROTOCOLS:
        more = {"epochs": 10, "batch_size": 32, "rotations": (-2, 0, 2), "protocol": protocol}
        config = Config(**QUICK | more, select="last", validation_fraction=0.3)
        result = run_loso(table, linear, config, images=images, device="cpu")
        last = [fold["history"][-1]["validation_accuracy"] for fold in result.folds]
        validation[protocol] = np.mean(last)
        tested[protocol] = result.metrics["pooled_accuracy"]
    assert 0.35 < validation["strict"] < 0.65
    assert validation["paper"] > 0.95
    assert all(0.35 < accuracy < 0.65 for accuracy in tested.values())


def test_the_scale_of_a_flow_does_not_depend_on_the_test_subject() -> None:
    flow = np.random.default_rng(0).normal(0, 1, (24, 16, 16, 3)).astype(np.float32)
    table = clip_table(4, 6)
    config = Config(**QUICK | {"epochs": 1}, method="dis")
    scales = []
    for stretched in (1.0, 1000.0):
        images = flow.copy()
        images[(table["subject"] == table["subject"][0]).to_numpy()] *= stretched
        with tempfile.TemporaryDirectory() as out:
            run_loso(table, linear, config, images=images, device="cpu", out=out)
            weights = sorted(Path(out, "folds").glob("*.safetensors"))
            scales.append([load_file(path)["input_scale"] for path in weights])
    (left_out, *others), (still_left_out, *other) = scales
    np.testing.assert_array_equal(left_out, still_left_out)
    assert all((b > 10 * a).all() for a, b in zip(others, other, strict=True))
