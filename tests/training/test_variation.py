"""What varies from epoch to epoch: shifts and mixtures, by hand and in whole trainings."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from folds import QUICK, run, small_set, tiny, without_time
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from originet.evaluation.executors import Processes
from originet.system.device import set_seed
from originet.training import variation
from originet.training.augment import augmented_views
from originet.training.config import Config
from originet.training.predict import to_input
from originet.training.train import History, Training, fit, fit_together

pytestmark = pytest.mark.usefixtures("one_thread")

VARIED = dataclasses.replace(
    QUICK, epochs=2, label_smoothing=0.1, mixup_alpha=0.4, translation=0.1, sampling="balanced"
)


@pytest.mark.parametrize(
    ("translation", "side", "pixels"),
    [(0.0, 128, 0), (0.04, 128, 5), (0.04, 48, 2), (0.001, 16, 1), (0.5, 16, 8)],
)
def test_a_shift_is_a_share_of_the_side_and_at_least_a_pixel(translation, side, pixels):
    assert variation.largest_shift(translation, side) == pixels


@pytest.mark.parametrize("channels", [(), (2,)])
def test_shifted_images_repeat_their_edges(channels):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 8, 8, *channels), dtype=np.uint8)
    rows, shifts = np.array([4, 0, 0]), np.array([[2, -3], [0, 0], [-8, 8]])
    found = variation.shifted(*map(torch.from_numpy, (pixels, rows, shifts))).numpy()
    padding = [(8, 8), (8, 8), *[(0, 0)] * len(channels)]
    for image, row, (down, right) in zip(found, rows, shifts, strict=True):
        padded = np.pad(pixels[row], padding, mode="edge")
        assert (image == padded[8 - down : 16 - down, 8 - right : 16 - right]).all()


def test_shifts_are_all_equally_likely():
    generator = torch.Generator().manual_seed(0)
    shifts = variation.draw_shifts(9000, 1, generator)
    pairs, counts = np.unique(shifts.numpy(), axis=0, return_counts=True)
    assert len(pairs) == 9 and counts.min() > 850 and counts.max() < 1150
    assert shifts.min() == -1 and shifts.max() == 1


@pytest.mark.parametrize("alpha", [1e-300, 0.2, 1.0, 100.0])
def test_shares_are_the_larger_parts_of_a_beta_distribution(alpha):
    shares = variation.draw_shares(20_000, alpha, np.random.default_rng(0))
    assert shares.dtype == torch.float32 and shares.min() >= 0.5 and shares.max() <= 1
    # The mean deviation of Beta(a, a) from 1/2 is 1 / (4^a a B(a, a)).
    log_beta = 2 * math.lgamma(alpha) - math.lgamma(2 * alpha)
    deviation = math.exp(-(alpha * math.log(4) + math.log(alpha) + log_beta))
    assert shares.mean().item() == pytest.approx(0.5 + deviation, abs=0.003)


def test_mixtures_are_means_and_keep_the_memory_that_channels_share():
    grey = torch.randint(0, 256, (4, 6, 6), dtype=torch.uint8)
    x, other, shares = to_input(grey), to_input(grey.flip(0)), torch.tensor([0.5, 0.75, 1, 0.9])
    found = variation.mixed(x, other, shares)
    by = shares[:, None, None, None]
    assert found.stride(1) == 0 and found.shape == (4, 3, 6, 6)
    torch.testing.assert_close(found, by * x + (1 - by) * other)
    assert torch.equal(found[2], x[2])
    several, others = torch.rand(2, 4, 2, 6, 6)
    mixture = by * several + (1 - by) * others
    torch.testing.assert_close(variation.mixed(several, others, shares), mixture)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_mixtures_is_that_of_mixed_labels(smoothing):
    logits, labels, other = torch.randn(6, 3), torch.arange(6) % 3, torch.arange(6) // 2
    shares = torch.linspace(0.5, 1, 6)
    found = variation.mixed_loss(logits, labels, other, shares, None, smoothing)
    soft = shares[:, None] * F.one_hot(labels, 3) + (1 - shares[:, None]) * F.one_hot(other, 3)
    torch.testing.assert_close(found, F.cross_entropy(logits, soft, label_smoothing=smoothing))
    weights, all_of_it = torch.tensor([0.5, 2, 1]), torch.ones(6)
    torch.testing.assert_close(
        variation.mixed_loss(logits, labels, other, all_of_it, weights, smoothing),
        F.cross_entropy(logits, labels, weights, label_smoothing=smoothing),
    )
    torch.testing.assert_close(  # half of each: the mean of both, by their weights
        variation.mixed_loss(logits[:1], labels[:1], labels[1:2], shares[:1], weights, 0.0),
        -(logits[0].log_softmax(0)[:2] * weights[:2]).sum() / weights[:2].sum(),
    )


def trained(config: Config, seed: int = 0) -> tuple[list[Tensor], History]:
    table, images = small_set()
    labels = (table["label"] == "right").to_numpy().astype(np.int64)
    set_seed(seed)
    model = tiny(2)
    history = fit(model, images, labels, config, seed=seed, device="cpu")
    return list(model.state_dict().values()), history


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_each_part_changes_the_weights_and_the_same_seed_repeats_them():
    parts = ("label_smoothing", "mixup_alpha", "translation")
    plain = dataclasses.replace(QUICK, epochs=2)
    settings = [plain, VARIED]
    settings += [dataclasses.replace(plain, **{part: 0.3}) for part in parts]
    found = [trained(config) for config in settings]
    for place, (config, (weights, history)) in enumerate(zip(settings, found, strict=True)):
        again, told = trained(config)
        assert same(weights, again) and told.epochs == history.epochs
        assert not any(same(weights, other) for other, _ in found[:place])
        assert all(0 <= epoch["accuracy"] <= 1 for epoch in history.epochs)


def test_a_network_learns_with_all_parts():
    table, images = small_set()
    config = dataclasses.replace(VARIED, epochs=20)
    result = run(table, images, config=config)
    assert result.metrics["pooled_accuracy"] > 0.9


class Spy(nn.Module):
    """Keeps what it is shown in training."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 16 * 16, 2)
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.shown.append(x.detach().clone())
        return self.linear(x.flatten(1))


def test_validation_images_are_neither_shifted_nor_mixed_with_others():
    # Every image is its own grey on one half: a mixture or a shift would show in the other half.
    images = np.full((12, 16, 16), 10, np.uint8)
    images[:, :, 8:] = 200
    labels = np.arange(12) % 2
    model = Spy()
    seen: list[Tensor] = []
    hook = model.register_forward_pre_hook(
        lambda module, inputs: None if module.training else seen.append(inputs[0].clone())
    )
    fit(model, images, labels, dataclasses.replace(VARIED, validation_fraction=0.3), device="cpu")
    hook.remove()
    original = to_input(torch.from_numpy(images[:1]))[0]
    assert seen and all(torch.equal(x, original) for batch in seen for x in batch)
    assert not all(torch.equal(x, original) for batch in model.shown for x in batch)


def test_networks_trained_in_turn_are_those_trained_alone():
    table, images = small_set()
    labels = (table["label"] == "right").to_numpy().astype(np.int64)
    views = torch.from_numpy(augmented_views(images, VARIED.rotations, VARIED.equalize))
    together = []
    for seed in (0, 1):
        set_seed(seed)
        together.append(Training(tiny(2), views, np.arange(len(labels)), labels, VARIED, seed=seed))
    histories = fit_together(together)
    for seed, (training, history) in enumerate(zip(together, histories, strict=True)):
        weights, alone = trained(VARIED, seed)
        assert isinstance(history, History) and history.epochs == alone.epochs
        assert same(list(training.model.state_dict().values()), weights)


class Waits(TorchDispatchMode):
    """Notes the ops whose result a host would have to wait for, if tensors were on a device."""

    TAGS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)

    def __init__(self) -> None:
        super().__init__()
        self.ops = 0
        self.waiting: list[str] = []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        self.ops += 1
        # An index by numbers has a known shape, one by a mask has not.
        numbers = op.name() == "aten::index.Tensor" and all(
            index is None or index.dtype == torch.int64 for index in args[1]
        )
        if any(tag in op.tags for tag in self.TAGS) and not numbers:
            self.waiting.append(op.name())
        return op(*args, **(kwargs or {}))


def test_a_step_waits_for_nothing_that_varies():
    # So it can be captured as a CUDA graph; tests/fake_gpu does so.
    found = []
    for config in (dataclasses.replace(QUICK, epochs=2), VARIED):
        _, images = small_set()
        views = torch.from_numpy(augmented_views(images, config.rotations, config.equalize))
        clips = np.arange(len(images))
        training = Training(tiny(2), views, clips, clips % 2, config, seed=0)
        training.start_epoch()
        with Waits() as noted:
            training.step()
        found.append(noted)
    plain, varied = found
    assert varied.ops > plain.ops and varied.waiting == plain.waiting
    with Waits() as noted:
        torch.ones(2)[torch.ones(2) > 0]
        torch.ones(()).item()
    assert len(noted.waiting) == 2


@pytest.mark.slow
def test_other_processes_compute_the_same():
    table, images = small_set()
    here = run(table, images, config=VARIED)
    there = run(table, images, config=VARIED, executor=Processes(2, threads=1))
    assert without_time(there) == without_time(here)
