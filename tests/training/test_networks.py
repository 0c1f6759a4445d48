"""The networks beside OrigiNet: published sizes, shapes, gradients, what their parts compute."""

import dataclasses
from pathlib import Path

import pytest
import torch
from cloudpickle import dumps, loads
from torch import nn

from originet.system.choices import NETWORKS as NAMES
from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.model import layer_count, parameter_count
from originet.training.networks.entry import Network, Published
from originet.training.networks.rcn import RCNA
from originet.training.networks.table import NETWORKS, factory_of, network_named
from originet.training.train import fit

OURS = ("LEARNet", "STSTNet", "OFF-ApexNet", "Dual-Inception", "RCN-A")
# As their publications or public programs count them; RCN-A's and Dual-Inception's own papers are
# not known to us.
SIZES = {
    "LEARNet": (1_866_824, 16),
    "STSTNet": (1_683, 4),
    "OFF-ApexNet": (807_909, 4),
    "Dual-Inception": (6_449_867, 26),
    "RCN-A": (55_747, 4),
}


def published(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A network in its published configuration, and three images for it."""
    known = network_named(name).published
    network = network_named(name).factory(known.in_channels, known.image_size)(known.classes)
    return network, torch.randn(3, known.in_channels, known.image_size, known.image_size)


@pytest.mark.parametrize("name", OURS)
def test_sizes_are_the_published_ones(name):
    network, _ = published(name)
    assert (parameter_count(network), layer_count(network)) == SIZES[name]


@pytest.mark.parametrize(
    "network",
    [
        # Importing torchvision takes seconds.
        pytest.param(network, id=network.name, marks=[pytest.mark.slow] if network.extra else [])
        for network in NETWORKS
    ],
)
def test_the_table_says_how_many_parameters_there_are(network):
    known = network.published
    with torch.device("meta"):
        made = network.factory(known.in_channels, known.image_size)(known.classes)
    assert parameter_count(made) == known.parameters


def test_the_table_has_the_names_of_the_help():
    assert tuple(network.name for network in NETWORKS) == NAMES
    assert len(set(NAMES)) == len(NAMES) and all(network.source for network in NETWORKS)


@pytest.mark.parametrize("name", OURS)
def test_gradients_reach_every_parameter(name):
    network, images = published(name)
    logits = network.train()(images)
    assert logits.shape == (3, network_named(name).published.classes)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias before a normalisation in training mode has no effect.
    assert all(part.endswith(".bias") for part in without), without
    assert {part.rpartition(".")[0] for part in without} <= {
        part for part, module in network.named_modules() if isinstance(module, nn.Conv2d)
    }


@pytest.mark.parametrize("name", OURS)
def test_an_image_is_answered_alone_as_among_others(name):
    network, images = published(name)
    network.train()(images)
    together = network.eval()(images)
    torch.testing.assert_close(network(images[1:2]), together[1:2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("size", [16, 45])
def test_only_some_take_any_size(name, size):
    network = network_named(name)
    if network.image_size is None:
        assert network.factory(3, size)(4).eval()(torch.zeros(1, 3, size, size)).shape == (1, 4)
        return
    with pytest.raises(InputError) as caught:
        network.factory(3, size)(4)
    assert str(caught.value) == f"{name} takes images of 28 pixels a side, got image_size {size}"


@pytest.mark.parametrize(
    ("name", "channels", "takes"),
    [
        ("STSTNet", 2, "3"),
        ("OFF-ApexNet", 1, "2 or 3"),
        ("Dual-Inception", 4, "2 or 3"),
        ("ResNet-50", 1, "3"),  # torchvision is not needed to say so
    ],
)
def test_other_channels_are_refused(name, channels, takes):
    with pytest.raises(InputError) as caught:
        network_named(name).factory(channels, 28)(3)
    assert str(caught.value) == f"{name} takes images of {takes} channels, got {channels}"


@pytest.mark.parametrize("name", ["OFF-ApexNet", "Dual-Inception"])
def test_flow_is_read_and_strain_is_not(name):
    network = network_named(name).factory(3, 28)(3).eval()
    images = torch.randn(2, 3, 28, 28)
    other = images.clone()
    other[:, 2] += 1
    assert torch.equal(network(other), network(images))
    assert torch.equal(network(images[:, :2]), network(images))
    for component in (0, 1):
        other = images.clone()
        other[:, component] += 1
        assert not torch.allclose(network(other), network(images))


def test_a_pair_of_learnet_accretes_the_plain_chain():
    """The second chain's features depend on both chains, the first one's on its own alone."""
    network = network_named("LEARNet").factory(3, 64)(4).eval()
    pair, x = network.pairs[0], torch.rand(1, 16, 32, 32)
    plain, accreted = pair(x).chunk(2, dim=1)
    with torch.no_grad():
        pair.accreting[0].weight.zero_()
        pair.accreting[0].bias.zero_()
    same, alone = pair(x).chunk(2, dim=1)
    assert torch.equal(same, plain) and not torch.allclose(alone, accreted)
    with torch.no_grad():
        pair.plain[0].weight.zero_()
        pair.plain[0].bias.zero_()
    _, nothing = pair(x).chunk(2, dim=1)
    assert not torch.allclose(nothing, alone)


def test_rcns_attention_is_the_mean_of_stretched_activation_maps():
    network = RCNA(3, 2)
    x = torch.rand(1, 64, 7, 7)
    weights = network.classifier.weight.reshape(2, 64, 7, 7)
    maps = (x * weights).mean(dim=1)  # [2, 7, 7]
    least, most = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    expected = ((maps - least) / (most - least)).mean(dim=0)
    torch.testing.assert_close(network._attention(x)[0, 0], expected, rtol=1e-4, atol=1e-5)
    assert not network._attention(torch.zeros(1, 64, 7, 7)).any()  # and finite


@pytest.mark.parametrize("name", ["STSTNet", "RCN-A"])
def test_a_network_learns(name, one_thread):
    size = network_named(name).image_size or 28
    config = Config(
        network=name, image_size=size, rotations=(0,), equalize=False, epochs=12, batch_size=8,
        learning_rate=0.01, select="last", validation_fraction=0.0,
    )  # fmt: skip
    labels = torch.arange(32) % 2
    images = torch.randint(0, 100, (32, size, size))
    images[labels == 1, :, size // 2 :] += 150
    torch.manual_seed(0)
    network = factory_of(config)(2)
    history = fit(network, images.to(torch.uint8), labels, config, device="cpu")
    first, last = history.epochs[0], history.epochs[-1]
    assert last["accuracy"] > 0.9 and last["loss"] < first["loss"] / 2


@pytest.mark.parametrize("name", OURS)
def test_factories_can_be_sent_to_other_processes(name):
    known = network_named(name).published
    factory = network_named(name).factory(known.in_channels, known.image_size)
    with torch.device("meta"):
        assert parameter_count(loads(dumps(factory))(known.classes)) == known.parameters


@pytest.mark.parametrize(("name", "size"), [("STSTNet", 28), ("MobileNetV2", 32)])
def test_weights_are_fresh_ones(name, size):
    factory = factory_of(Config(network=name, image_size=size))
    torch.manual_seed(0)
    first, second = factory(4), factory(4)
    torch.manual_seed(0)
    again = factory(4)
    for name, weight in first.named_parameters():
        assert torch.equal(weight, again.get_parameter(name))
        if weight.dim() > 1:
            assert not torch.equal(weight, second.get_parameter(name))


def test_originet_is_made_in_the_variant_of_the_settings():
    for variant in ("paper", "authors"):
        network = factory_of(Config(variant=variant, image_size=32))(3)
        assert type(network).__name__ == "OrigiNet" and network.variant == variant
    assert factory_of(Config(image_size=32, method="rank,apex,dis"))(3).in_channels == 5


def test_an_entry_needs_no_more_than_a_name_and_a_function():
    network = Network("x", lambda in_channels, classes, image_size: nn.Identity())
    assert isinstance(network.factory(7, 20)(3), nn.Identity)
    with pytest.raises(
        InputError, match="x needs images of at least 16 pixels a side, got image_s"
    ):
        network.factory(7, 15)(3)
    changed = dataclasses.replace(network, published=Published(1, 2, 16, 3))
    assert changed.published.parameters == 3 and network.published is None


def test_the_page_lists_the_table():
    def row(network):
        channels = " or ".join(map(str, network.channels)) or "any"
        size = network.image_size or f"from {network.smallest}"
        size_of = f"{network.published.classes:,}, {network.published.parameters:,}"
        return f"| `{network.name}` | {channels} | {size} | {size_of} | {network.source} |"

    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    assert lines == [row(network) for network in NETWORKS]
