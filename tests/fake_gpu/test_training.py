"""Training on a GPU: by CUDA graphs and without, several at once, and what each part costs."""

import gc
import weakref

import numpy as np
import pytest
import torch
from counts import counted
from torch import Tensor, nn

from originet.system.device import set_seed
from originet.system.errors import InputError
from originet.training.augment import augmented_views
from originet.training.config import Config
from originet.training.model import OrigiNet
from originet.training.train import History, Training, fit, fit_together

SIZE = 16
# 7 training images: the steps of an epoch have 4 and 3. Graphs take over in the fourth epoch.
CLIPS = 9
CONFIG = Config(epochs=5, batch_size=4, rotations=(0,), equalize=False, image_size=SIZE)
LABELS = np.arange(CLIPS) % 2
IMAGES = np.random.default_rng(0).integers(0, 256, (CLIPS, SIZE, SIZE), dtype=np.uint8)
WAITS = ("synchronisations", "to_device", "to_host", "pageable", "allocations", "frees")


def network(seed: int = 0, **options: object) -> nn.Module:
    set_seed(seed)
    return OrigiNet(2, image_size=SIZE, **options)


def config(**changes: object) -> Config:
    return Config.from_dict(CONFIG.to_dict() | changes)


def train(seed: int = 0, settings: Config = CONFIG, **options: bool) -> tuple[nn.Module, History]:
    model = network(seed)
    history = fit(model, IMAGES, LABELS, settings, seed=seed, device="cuda", **options)
    return model, history


def make(seed: int = 0, settings: Config = CONFIG, **options: bool) -> Training:
    views = torch.from_numpy(augmented_views(IMAGES, settings.rotations, settings.equalize))
    return Training(
        network(seed), views.cuda(), np.arange(CLIPS), LABELS, settings, seed=seed, **options
    )


def assert_same(one: tuple[nn.Module, History], other: tuple[nn.Module, History]) -> None:
    assert one[1].epochs == other[1].epochs
    pairs = zip(one[0].state_dict().values(), other[0].state_dict().values(), strict=True)
    assert all(torch.equal(a.cpu(), b.cpu()) for a, b in pairs)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bfloat16"},
        {"class_weights": "balanced"},
        {"sampling": "balanced"},
        {"label_smoothing": 0.1, "mixup_alpha": 0.4, "translation": 0.1},
        {"select": "last"},
        {"protocol": "paper", "rotations": (0, 90)},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())) or "default",
)
def test_graphs_train_as_single_launches_do_to_the_bit(changes):
    settings = config(**changes)
    assert_same(train(0, settings), train(0, settings, cuda_graph=False))


def test_training_is_near_that_of_the_cpu():
    model = network()
    expected = fit(model, IMAGES, LABELS, CONFIG, device="cpu")
    _, found = train()
    losses = [[epoch["loss"] for epoch in history.epochs] for history in (expected, found)]
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.mark.parametrize("count", [1, 8, 33])
def test_folds_at_once_are_those_alone(count):
    settings = config(epochs=4)
    together = [make(seed, settings) for seed in range(count)]
    histories = fit_together(together)
    for seed in {0, count - 1}:
        assert_same((together[seed].model, histories[seed]), train(seed, settings))


def epochs(training: Training) -> list[dict[str, dict[str, int]]]:
    """Trains as `fit_together` does; returns what each part of each epoch made the runtime do."""
    found = []
    for _ in range(CONFIG.epochs):
        parts = {"start": counted(training.start_epoch)}
        steps = [counted(training.step) for _ in range(training.steps)]
        parts |= {"first step": steps[0], "last step": steps[-1]}
        parts |= {"validate": counted(training.validate), "end": counted(training.end_epoch)}
        found.append(parts)
    return found


def waits(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if name in WAITS}


@pytest.mark.parametrize("cuda_graph", [True, False])
def test_an_epoch_waits_once(cuda_graph):
    found = epochs(make(cuda_graph=cuda_graph))
    for parts in found[1:]:  # in the first one, torch asks for memory
        assert waits(parts["start"]) == {"to_device": 1}  # of the order, from pinned memory
        for part in ("first step", "last step", "validate"):
            if "captures" in parts[part]:  # torch itself may wait, up to 2.13, and ask for memory
                assert parts[part].pop("synchronisations", 1) == 1
                parts[part].pop("allocations", None)
            assert waits(parts[part]) == {}
        assert waits(parts["end"]) == {"to_host": 1, "pageable": 1, "synchronisations": 1}


def test_what_repeats_becomes_one_launch():
    found = epochs(make())
    last = found[-1]
    for part in ("first step", "last step", "validate"):
        assert last[part] == {"graph_launches": 1}
    every = [counts for parts in found for counts in parts.values()]
    assert sum(counts.get("captures", 0) for counts in every) == 3  # two sizes of step, validation


def test_a_training_leaves_no_memory_behind():
    def once() -> int:
        fit_together([make(), make(1)])
        return torch.cuda.memory_allocated()

    gc.collect()  # what other tests left
    first = once()
    assert once() == once() == first


def test_a_training_is_gone_with_its_last_name():
    gc.collect()
    gc.disable()
    try:
        training = make()
        fit_together([training])
        gone = weakref.ref(training)
        del training
        assert gone() is None
    finally:
        gc.enable()


class Curious(nn.Module):
    """Cannot be captured, as it looks at values on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * SIZE * SIZE, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1) * float(x.mean() > -1))


def test_a_capture_that_fails_names_its_first_cause_and_harms_nothing():
    with pytest.raises(InputError, match="not permitted when stream is capturing"):
        fit(Curious(), IMAGES, LABELS, CONFIG, device="cuda")
    fit(Curious(), IMAGES, LABELS, CONFIG, device="cuda", cuda_graph=False)
    assert_same(train(), train(cuda_graph=False))


def test_a_capture_that_fails_stops_only_its_own_training():
    together = [make(), make(1)]
    views = torch.from_numpy(augmented_views(IMAGES, CONFIG.rotations, CONFIG.equalize)).cuda()
    together.insert(1, Training(Curious(), views, np.arange(CLIPS), LABELS, CONFIG, seed=0))
    histories = fit_together(together)
    assert isinstance(histories[1], InputError)
    assert_same((together[0].model, histories[0]), train())
    assert_same((together[2].model, histories[2]), train(1))
