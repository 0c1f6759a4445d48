"""originet.deploy.folded: the copies of networks that answer on the CPU."""

import copy
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from originet import OrigiNet
from originet.datasets.prepare import Settings
from originet.deploy import folded
from originet.deploy.folded import Copies, Folded, can_fold
from originet.deploy.model import Model
from originet.training.predict import probabilities_of, to_input
from originet_ext import hybrid_conv

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def network(image_size: int = 16, **options) -> OrigiNet:
    """A network whose running statistics, and their scale, are not the initial ones."""
    made = OrigiNet(5, image_size=image_size, **options)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
        for _ in range(3):
            made.train()(2 * torch.randn(8, 3, image_size, image_size) + 1)
    return made.eval()


def images(count: int, side: int = 16) -> Tensor:
    return torch.randint(0, 256, (count, side, side), dtype=torch.uint8)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("size", [16, 37, 128])
@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_a_copy_gives_the_same_logits(variant, size, packed):
    original = network(size, variant=variant)
    copied = Folded(original, packed)
    with torch.inference_mode():
        for count in (1, 2, 31, 32) if size < 128 else (1, 9):
            x = to_input(images(count, size))
            torch.testing.assert_close(copied(x), original(x), **TOLERANCE)


@pytest.mark.parametrize(
    ("variant", "winograd", "packed", "expected"),
    [
        ("paper", True, True, [(16, 32), (32, 64), (64, 96)]),
        ("authors", True, True, [(16, 32), (32, 64)]),  # its last two read different features
        ("paper", False, True, []),
        ("paper", True, False, []),  # no exporter knows the op
    ],
)
def test_blocks_of_many_pixels_are_convolved_by_winograd(
    variant, winograd, packed, expected, monkeypatch
):
    used = []

    def watched(x, small, large, **moved):
        used.append((x.shape[1], small.shape[0]))
        return hybrid_conv(x, small, large, **moved)

    monkeypatch.setattr(folded, "hybrid_conv", watched)
    copied = Folded(network(64, variant=variant, winograd=winograd), packed)
    with torch.inference_mode():
        copied(to_input(images(32, 64)))
        assert used == expected
        used.clear()
        copied(to_input(images(1, 64)))
    assert used == expected[:1]  # few pixels would not pay for the transforms of the weights


@pytest.mark.parametrize("kernel_sizes", [(1, 3), (5, 7)])
@pytest.mark.parametrize("parallel_fc", [True, False])
@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_the_ablations_can_be_folded_too(variant, parallel_fc, kernel_sizes):
    original = network(variant=variant, parallel_fc=parallel_fc, kernel_sizes=kernel_sizes)
    assert can_fold(original)
    x = to_input(images(3))
    with torch.inference_mode():
        torch.testing.assert_close(Folded(original)(x), original(x), **TOLERANCE)


def test_trained_networks_answer_the_same(model, clips):
    (pixels,) = clips.images.values()
    views = torch.tensor(pixels)
    assert model.folded == (True, True)
    alone = [probabilities_of(each, views) for each in model.networks]
    expected = torch.stack(alone).mean(0).numpy()
    assert np.ptp(expected, axis=0).max() > 0.01  # they have learnt to tell images apart
    np.testing.assert_allclose(model.probabilities(pixels), expected, atol=1e-5)


def of(*networks: nn.Module) -> Model:
    settings = Settings(("cumulative",), 16)
    return Model(tuple("abcde"), settings, None, networks, {})


def train(net: OrigiNet) -> None:
    net.train()


def hook(net: OrigiNet) -> None:
    net.stage2.register_forward_hook(lambda *_: None)


def double(net: OrigiNet) -> None:
    net.double()


def another_activation(net: OrigiNet) -> None:
    net.stage3.act = nn.SiLU()


def another_norm(net: OrigiNet) -> None:
    net.stage3.norm = nn.InstanceNorm2d(64)


def without_statistics(net: OrigiNet) -> None:
    net.stage1.norm = nn.BatchNorm2d(16, track_running_stats=False).eval()


@pytest.mark.parametrize(
    "change", [train, hook, double, another_activation, another_norm, without_statistics]
)
def test_what_is_not_originet_in_evaluation_answers_itself(change):
    net = network()
    model = of(net)
    assert model.folded == (True,)
    change(net)
    assert model.folded == (False,) and not can_fold(net)


def test_a_network_that_is_no_originet_answers_itself():
    class Other(OrigiNet):
        def forward(self, x: Tensor) -> Tensor:
            return torch.arange(5.0).expand(len(x), 5)

    model = of(Other(5, image_size=16).eval(), nn.Sequential(nn.Flatten(), nn.Linear(768, 5)))
    assert model.folded == (False, False)
    expected = [probabilities_of(each, images(3)) for each in model.networks]
    assert model.probabilities(images(3)).shape == (3, 5) == tuple(expected[0].shape)


def in_place(net: OrigiNet) -> None:
    with torch.no_grad():
        net.fc1.weight.mul_(3)


def replaced(net: OrigiNet) -> None:
    net.classifier = nn.Linear(256, 5).eval()


def loaded(net: OrigiNet) -> None:
    net.load_state_dict(network().state_dict())


def statistics(net: OrigiNet) -> None:
    net.stage4.norm.running_mean += 1


def swapped(net: OrigiNet) -> None:
    net.stage1.conv_small.weight.data = torch.randn(16, 3, 3, 3)


@pytest.mark.parametrize("change", [in_place, replaced, loaded, statistics, swapped])
def test_changed_weights_give_no_stale_answers(change):
    net = network()
    model, views = of(net), images(4)
    before = model.probabilities(views)
    change(net)
    after = model.probabilities(views)
    assert model.folded == (True,)
    assert abs(after - before).max() > 1e-4
    np.testing.assert_allclose(after, probabilities_of(net, views).numpy(), atol=1e-5)


def test_a_copy_has_weights_of_its_own():
    net, x = network(), to_input(images(2))
    for packed in (True, False):
        folded = Folded(net, packed)
        with torch.inference_mode():
            before = folded(x)
        scaled = copy.deepcopy(net.state_dict())
        with torch.no_grad():
            for value in net.state_dict().values():
                value.mul_(2)
        with torch.inference_mode():
            assert torch.equal(folded(x), before)
        net.load_state_dict(scaled)


def test_the_copies_of_a_model_are_its_own():
    model = of(network())
    model.probabilities(images(1))
    moved = dataclasses.replace(model, networks=(network(),))
    np.testing.assert_allclose(
        moved.probabilities(views := images(3)),
        probabilities_of(moved.networks[0], views).numpy(),
        atol=1e-5,
    )


def test_threads_may_ask_at_the_same_time():
    model, views = of(network(), network(variant="authors")), images(40)
    expected = torch.stack([probabilities_of(net, views) for net in model.networks]).mean(0)
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(lambda view: model.probabilities(view[None])[0], views))
    np.testing.assert_allclose(np.stack(rows), expected.numpy(), atol=1e-5)


def test_a_copy_is_made_once():
    copies, net = Copies(), network()
    assert copies.of(net) is copies.of(net)
