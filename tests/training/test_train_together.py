"""Several networks trained in turn, in other precisions, and as CUDA graphs."""

import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from originet.system.device import set_seed
from originet.system.errors import InputError
from originet.training.augment import augmented_views
from originet.training.config import Config
from originet.training.model import OrigiNet
from originet.training.train import History, Training, fit, fit_together

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 16
CONFIG = Config(epochs=3, batch_size=8, rotations=(0, 90), equalize=False, image_size=SIZE)
LABELS = np.arange(24) % 2
CLIPS = (np.arange(24), np.arange(3, 24), np.arange(15))  # so that epochs differ in length


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE), dtype=np.uint8)


def network(seed: int) -> nn.Module:
    set_seed(seed)
    return OrigiNet(2, image_size=SIZE)


def trainings(device: str = "cpu", config: Config = CONFIG, **options: bool) -> list[Training]:
    views = torch.from_numpy(augmented_views(images(), config.rotations, config.equalize))
    views = views.to(device)
    return [
        Training(network(seed), views, clips, LABELS[clips], config, seed=seed, **options)
        for seed, clips in enumerate(CLIPS)
    ]


def alone(
    seed: int, device: str = "cpu", config: Config = CONFIG, **options: bool
) -> tuple[nn.Module, History]:
    model, clips = network(seed), CLIPS[seed]
    history = fit(
        model, images()[clips], LABELS[clips], config, seed=seed, device=device, **options
    )
    return model, history


def weights(model: nn.Module) -> list[Tensor]:
    return [value.cpu() for value in model.state_dict().values()]


@pytest.mark.slow
def test_networks_trained_in_turn_are_those_trained_alone_to_the_bit(device: str) -> None:
    calls: list[tuple[int, int]] = []
    together = trainings(device)
    histories = fit_together(together, lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    for seed, (training, history) in enumerate(zip(together, histories, strict=True)):
        model, expected = alone(seed, device)
        assert isinstance(history, History)
        assert history.epochs == expected.epochs
        assert history.selected_epoch == expected.selected_epoch
        for ours, theirs in zip(weights(training.model), weights(model), strict=True):
            assert torch.equal(ours, theirs)
        assert not training.model.training


@pytest.mark.slow
def test_a_training_that_fails_does_not_stop_the_others() -> None:
    together = trainings()
    with torch.no_grad():
        together[1].model.classifier.weight.fill_(float("inf"))
    histories = fit_together(together)
    assert isinstance(histories[1], InputError)
    assert "training loss became nan in epoch 1" in str(histories[1])
    for seed in (0, 2):
        history = histories[seed]
        assert isinstance(history, History)
        assert history.epochs == alone(seed)[1].epochs


def test_a_training_is_gone_with_its_last_name() -> None:
    # No cycle of references, in which large networks would wait for the garbage collector.
    (training, *_) = trainings()
    fit_together([training])
    gone = weakref.ref(training)
    del training, _
    assert gone() is None


def test_bfloat16_trains_and_is_another_arithmetic() -> None:
    config = Config.from_dict(CONFIG.to_dict() | {"precision": "bfloat16"})
    (model, history), (_, exact) = alone(0, config=config), alone(0)
    assert history.epochs != exact.epochs
    losses = [[float(r["loss"] or 0) for r in h.epochs] for h in (history, exact)]
    np.testing.assert_allclose(*losses, rtol=0.05)
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_tf32_is_refused_where_there_is_none() -> None:
    config = Config.from_dict(CONFIG.to_dict() | {"precision": "tf32"})
    with pytest.raises(InputError, match="precision 'tf32' needs a CUDA device, the device is cpu"):
        alone(0, config=config)


@pytest.mark.needs_cuda
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_graphs_train_as_single_launches_do(precision: str) -> None:
    config = Config.from_dict(CONFIG.to_dict() | {"precision": precision})
    for seed in range(len(CLIPS)):
        graphed = alone(seed, "cuda", config, cuda_graph=True)
        launched = alone(seed, "cuda", config, cuda_graph=False)
        for ours, theirs in zip(weights(graphed[0]), weights(launched[0]), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.needs_cuda
def test_a_network_that_reads_values_back_needs_its_graphs_turned_off() -> None:
    class Curious(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3 * SIZE * SIZE, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.flatten(1) * float(x.mean() > -1))

    with pytest.raises(InputError, match="cannot be captured as a CUDA graph"):
        fit(Curious(), images(), LABELS, CONFIG, device="cuda")
    fit(Curious(), images(), LABELS, CONFIG, device="cuda", cuda_graph=False)
