"""Class weights and balanced draws."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from originet.training.balance import balanced_weights, epoch_order
from originet.training.config import Config
from originet.training.predict import predict
from originet.training.train import fit

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = np.repeat([0, 2, 3], [60, 30, 10])  # no image of class 1


def test_weights_are_those_of_scikit_learn() -> None:
    weights = balanced_weights(torch.from_numpy(LABELS))
    present = np.unique(LABELS)
    expected = compute_class_weight("balanced", classes=present, y=LABELS)
    np.testing.assert_allclose(weights[present], expected, rtol=1e-6)
    assert weights.dtype == torch.float32
    assert weights[1] == 0
    assert float(weights[LABELS].double().mean()) == pytest.approx(1)


def test_shuffled_epochs_show_every_image_once() -> None:
    generator, labels = torch.Generator().manual_seed(0), torch.from_numpy(LABELS)
    first, second = (epoch_order(labels, "shuffled", generator) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(100))
    assert not torch.equal(first, second)


def test_balanced_epochs_show_classes_equally_often() -> None:
    generator, labels = torch.Generator().manual_seed(0), torch.from_numpy(LABELS)
    draws = [epoch_order(labels, "balanced", generator) for _ in range(300)]
    assert {len(draw) for draw in draws} == {100}
    shown = np.bincount(LABELS[torch.cat(draws)], minlength=4)
    np.testing.assert_allclose(shown / 30000, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.015)  # 5 sigma
    images = np.bincount(torch.cat(draws))  # 10,000 shows shared by 60, by 30 and by 10 images
    np.testing.assert_allclose(images[:60].mean(), 10000 / 60, rtol=0.03)
    assert images[:60].max() < images[60:90].min() < images[60:90].max() < images[90:].min()


def test_both_lift_a_rare_class_that_nothing_tells_apart() -> None:
    # Blank images show no class, so a network can only answer how often each one counts.
    labels = np.repeat([0, 1], [40, 10])
    images = np.zeros((50, 16, 16), np.uint8)
    rare = {}
    plain = {"epochs": 40, "batch_size": 25, "learning_rate": 0.05, "rotations": (0,)}
    plain |= {"image_size": 16, "weight_decay": 0.0, "equalize": False, "select": "last"}
    for name, more in (
        ("plain", {}),
        ("weights", {"class_weights": "balanced"}),
        ("sampling", {"sampling": "balanced"}),
    ):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
        fit(model, images, labels, Config.from_dict(plain | more), device="cpu")
        rare[name] = predict(model, images[:1], device="cpu")[0, 1]
    assert abs(rare["plain"] - 0.2) < 0.05
    assert abs(rare["weights"] - 0.5) < 0.05
    assert abs(rare["sampling"] - 0.5) < 0.12  # draws differ from epoch to epoch


def test_weights_leave_out_classes_that_only_the_network_knows() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 6))
    images = np.random.default_rng(0).integers(0, 256, (100, 16, 16), dtype=np.uint8)
    balance = {"equalize": False, "class_weights": "balanced"}
    config = Config(epochs=50, image_size=16, rotations=(0,), **balance)
    before = predict(model, images, device="cpu")[:, [1, 4, 5]].sum(axis=1).mean()
    fit(model, images, LABELS, config, device="cpu")
    after = predict(model, images, device="cpu")[:, [1, 4, 5]].sum(axis=1).mean()
    assert after < before / 3
