"""The training loop, against one in the plainest words."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from originet.system.device import pick_device, set_seed
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.model import OrigiNet
from originet.training.predict import predict, to_input
from originet.training.protocol import split_clips
from originet.training.train import fit

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 16
QUICK = Config(
    epochs=6, batch_size=8, learning_rate=0.01, rotations=(0,), equalize=False, image_size=SIZE
)


def tiny(num_classes: int = 2) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(4 * 3 * 3, num_classes),
    )


def bars(count: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of a bright upper (class 0) or lower (class 1) half."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.integers(0, 120, (count, SIZE, SIZE))
    for image, label in zip(images, labels, strict=True):
        image[label * SIZE // 2 : (label + 1) * SIZE // 2] += 100
    return images.astype(np.uint8), labels


def train_tiny(config: Config = QUICK, seed: int = 0) -> tuple[nn.Module, list]:
    images, labels = bars()
    set_seed(seed)
    model = tiny()
    history = fit(model, images, labels, config, seed=seed, device="cpu")
    return model, history.epochs


def test_training_learns_and_predicts() -> None:
    images, _ = bars()
    model, epochs = train_tiny()
    assert [record["epoch"] for record in epochs] == list(range(1, 7))
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    probabilities = predict(model, images, device="cpu")
    assert probabilities.shape == (24, 2)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    unseen, truth = bars(seed=1)
    assert (predict(model, unseen, device="cpu").argmax(axis=1) == truth).mean() > 0.9


def test_same_seed_gives_the_same_weights() -> None:
    (first, epochs), (second, epochs_again) = train_tiny(), train_tiny()
    other, _ = train_tiny(seed=1)
    assert epochs == epochs_again
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first[0].weight, other[0].weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_training_is_adam_on_cross_entropy_of_shuffled_copies(weighted: bool) -> None:
    # The whole of it once more, in the plainest words; weights must agree to the bit.
    images, labels = bars()
    labels[:8] = 0  # 16 clips of class 0, 8 of class 1
    kind = "balanced" if weighted else "none"
    values = QUICK.to_dict() | {"rotations": (0, 90), "select": "last", "class_weights": kind}
    config = Config.from_dict(values)
    set_seed(3)
    model = tiny()
    start = copy.deepcopy(model)
    history = fit(model, images, labels, config, seed=3, device="cpu")

    training, _ = split_clips(labels, 0.2, seed=3)
    turned = np.stack([images[training], np.rot90(images[training], axes=(1, 2))], axis=1)
    x = torch.from_numpy(turned.reshape(-1, SIZE, SIZE))
    y = torch.from_numpy(labels[training].repeat(2))
    weight = torch.tensor(len(y) / (2 * np.bincount(y))).float() if weighted else None
    set_seed(3)
    start.to(memory_format=torch.channels_last)
    steps = -(-len(x) // 8)
    adam = torch.optim.Adam(start.parameters(), lr=0.01, weight_decay=1e-4, fused=True)
    order = torch.Generator().manual_seed(3)
    falling = [0.01 * ((1 + math.cos(math.pi * t / (6 * steps))) / 2) for t in range(6 * steps)]
    rates = iter(torch.tensor(falling))
    for _ in range(6):
        for batch in torch.randperm(len(x), generator=order).tensor_split(steps):
            adam.zero_grad()
            nn.functional.cross_entropy(start(to_input(x[batch])), y[batch], weight).backward()
            adam.param_groups[0]["lr"] = float(next(rates))
            adam.step()
    np.testing.assert_array_equal(history.training, training)
    for ours, plain in zip(model.state_dict().values(), start.state_dict().values(), strict=True):
        assert torch.equal(ours, plain)


def test_validation_keeps_the_best_epoch() -> None:
    images, labels = bars()
    set_seed(0)
    model = tiny()
    history = fit(model, images, labels, QUICK, device="cpu")
    assert len(history.validation) == 5  # a fifth of 24 clips, rounded
    scores = [(r["validation_accuracy"], -r["validation_loss"]) for r in history.epochs]
    assert history.selected_epoch == 1 + scores.index(max(scores))
    kept = predict(model, images[history.validation], device="cpu")
    right = kept.argmax(axis=1) == labels[history.validation]
    assert right.mean() == max(scores)[0]
    true = kept[np.arange(len(kept)), labels[history.validation]]
    assert -np.log(true).mean() == pytest.approx(-max(scores)[1], rel=1e-5)


def test_fixed_budget_keeps_the_last_epoch_and_may_use_all_clips() -> None:
    images, labels = bars()
    config = Config(**{**QUICK.to_dict(), "select": "last", "validation_fraction": 0.0})
    history = fit(tiny(), images, labels, config, device="cpu")
    assert history.selected_epoch == config.epochs
    assert len(history.training) == len(images)
    assert history.epochs[-1]["validation_loss"] is None


@pytest.mark.parametrize("count", [2, 3, 9, 17])
def test_no_batch_has_a_single_image(count: int) -> None:
    images, labels = bars(count)
    sizes: list[int] = []

    def watch(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if module.training:
            sizes.append(len(inputs[0]))

    model = OrigiNet(2, image_size=SIZE)  # its last stage is 1 x 1: one image could not train
    model.register_forward_pre_hook(watch)
    values = QUICK.to_dict() | {"epochs": 1, "select": "last", "validation_fraction": 0.0}
    fit(model, images, labels, Config.from_dict(values), device="cpu")
    assert sum(sizes) == count
    assert min(sizes) >= 2
    assert max(sizes) <= QUICK.batch_size


def test_progress_is_called_every_epoch() -> None:
    images, labels = bars()
    calls: list[tuple[int, int]] = []
    fit(tiny(), images, labels, QUICK, device="cpu", progress=lambda *call: calls.append(call))
    assert calls == [(epoch, 6) for epoch in range(1, 7)]


def test_loss_that_is_no_number_is_named() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(float("inf")))

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * x.flatten(1)[:, :2]

    images, labels = bars()
    with pytest.raises(InputError, match=r"training loss became nan in epoch 1.*learning_rate"):
        fit(Broken(), images, labels, QUICK, device="cpu")


def test_bad_arguments_are_named() -> None:
    images, labels = bars()
    with pytest.raises(InputError, match=r"images must be \[N, S, S\] uint8"):
        fit(tiny(), images.astype(np.float32), labels, QUICK, device="cpu")
    with pytest.raises(InputError, match=r"images must be .* N at least 1"):
        predict(tiny(), images[:0], device="cpu")
    with pytest.raises(InputError, match=r"labels must have shape \[24\], got \[23\]"):
        fit(tiny(), images, labels[1:], QUICK, device="cpu")
    with pytest.raises(InputError, match="at least 2 training images are needed, got 1"):
        fit(tiny(), images[:1], labels[:1], QUICK, device="cpu")
    with pytest.raises(InputError, match="device 'nowhere' cannot be used"):
        pick_device("nowhere")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device 'cuda' cannot be used"):
            pick_device("cuda")


@pytest.mark.needs_cuda
def test_training_works_on_the_gpu() -> None:
    images, labels = bars()
    set_seed(0)
    model = OrigiNet(2, image_size=SIZE)
    fit(model, images, labels, QUICK, device="cuda")
    on_gpu = predict(model, images, device="cuda")
    np.testing.assert_allclose(on_gpu, predict(model, images, device="cpu"), atol=1e-3)
    assert (on_gpu.argmax(axis=1) == labels).mean() > 0.9
