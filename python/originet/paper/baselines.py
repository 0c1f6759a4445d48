"""The networks of Tables III to V beside the paper's numbers, without pretrained weights.

Each takes the same images as OrigiNet, [B, 3, S, S], and has one output per class. The paper's
numbers are listed with each: accuracy by data set, and the columns of Table V. Networks of
`originet.training.networks.table` that the paper does not have are compared without such numbers.

References:
1. Verma et al., arXiv:2005.07991, Tables III, IV and V.
2. Keras Applications. Its sizes in MB (4 bytes per parameter) of ResNet-50, MobileNet and
   MobileNetV2 are those of Table V.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd.graph import Node

from originet.evaluation.fold import ModelFactory
from originet.training.config import OWN, Config
from originet.training.model import layer_count, parameter_count
from originet.training.networks import table
from originet.training.networks.entry import Network
from originet.training.networks.packages import timm_package
from originet.training.networks.table import network_named, network_of

_AGREES = ("layers", "parameters", "memory")
BYTES = (4, 8)
"""Possible meanings of Table V's memory, in bytes per parameter: a weight alone, or with one
optimiser slot."""
PUBLISHED_SIZE = 128
"""Image size in pixels for which OrigiNet has Table V's number of parameters."""


class TableV(NamedTuple):
    """A network's row of Table V.

    Attributes:
        layers: As the table counts them.
        parameters: In millions.
        memory: In megabytes, as the table calls them.
    """

    layers: int
    parameters: float
    memory: float


class Complexity(NamedTuple):
    """The size of a network.

    Attributes:
        layers: Convolutions and fully connected layers.
        depth: Such layers on the longest path from the image to the logits.
        parameters: Learnable scalars.
    """

    layers: int
    depth: int
    parameters: int

    def mib(self, bytes_each: int) -> float:
        """Returns the memory in MiB for a number of bytes per parameter."""
        return self.parameters * bytes_each / 2**20

    def agrees(self, paper: TableV) -> dict[str, Any]:
        """Returns which numbers agree with the paper's, rounded or truncated (within a unit).

        Args:
            paper: The row of Table V.

        Returns:
            layers: "layers" or "depth", whichever agrees with the paper, or None; parameters:
            whether they agree; memory: the bytes per parameter for which it agrees, or None.
        """
        layers = [name for name in ("layers", "depth") if getattr(self, name) == paper.layers]
        sizes = [each for each in BYTES if _close(self.mib(each), paper.memory)]
        return {
            "layers": layers[0] if layers else None,
            "parameters": _close(self.parameters / 1e6, paper.parameters),
            "memory": sizes[0] if sizes else None,
        }


@dataclass(frozen=True, eq=False)  # compared by identity, and hashable
class Compared:
    """A network of the comparison and the paper's numbers for it, if it has any."""

    network: Network
    """The network."""
    table_v: TableV | None = None
    """The network's row of Table V; None if it has none."""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    """Accuracies of Tables III and IV, 0..1, by data set."""

    @property
    def name(self) -> str:
        """As in Table V, or in the table of networks."""
        return self.network.name

    def published(self) -> tuple[Complexity | None, dict[str, Any]]:
        """Returns the size of the published configuration, and how it agrees with Table V.

        Returns:
            The size, None of a network that is not the package's or timm's; and
            `Complexity.agrees` with this network's row of the table, None for each if it has none.
        """
        known = self.network.published
        if known is None:
            return None, dict.fromkeys(_AGREES)
        size = _complexity(self.network, known.in_channels, known.classes, known.image_size)
        if self.table_v is None:
            return size, dict.fromkeys(_AGREES)
        return size, size.agrees(self.table_v)

    def complexity(self, config: Config, classes: int) -> Complexity:
        """Counts layers and parameters without allocating them.

        Args:
            config: Settings; the image size and OrigiNet's variant are used.
            classes: Number of classes.

        Returns:
            The counts.

        Raises:
            InputError: If the images are too small for the network, or its package is missing.
        """
        return _complexity(self._of(config), config.in_channels, classes, config.image_size)

    def model(self, config: Config) -> ModelFactory:
        """Returns what makes the network for a number of classes.

        Args:
            config: As for `complexity`.
        """
        return self._of(config).factory(config.in_channels, config.image_size)

    def _of(self, config: Config) -> Network:
        """The network, OrigiNet in the variant that settings name."""
        if self.name != OWN:
            return self.network
        return network_of(dataclasses.replace(config, network=OWN, pretrained=False))


def check_installed(networks: Sequence[Compared]) -> None:
    """Checks that the packages that some networks need can be imported.

    Args:
        networks: The networks.

    Raises:
        InputError: If not; the message says how to install them.
    """
    if any(each.network.extra for each in networks):
        timm_package()


def depth(model: nn.Module, image_size: int, in_channels: int = 3) -> int:
    """Counts the convolutions and fully connected layers on the longest path through a network.

    This is the depth in names such as ResNet-50, where parallel branches count once.

    Args:
        model: A network on the device "meta"; left in evaluation mode.
        image_size: Height and width of its input in pixels.
        in_channels: Channels of its input.

    Returns:
        The number of layers.
    """
    # The autograd graph of one forward pass shows the order of layers for any network.
    logits = model.eval()(torch.zeros(1, in_channels, image_size, image_size, device="meta"))

    @cache
    def longest(node: Node) -> int:
        before = max((longest(n) for n, _ in node.next_functions if n is not None), default=0)
        return before + (node.name() in ("ConvolutionBackward0", "AddmmBackward0"))

    return longest(logits.grad_fn)


@cache
def _complexity(network: Network, in_channels: int, classes: int, image_size: int) -> Complexity:
    with torch.device("meta"):
        model = network.factory(in_channels, image_size)(classes)
    deep = depth(model, image_size, in_channels)
    return Complexity(layer_count(model), deep, parameter_count(model))


def _close(ours: float, paper: float) -> bool:
    """Returns whether a number is within one unit of the paper's last digit."""
    return abs(ours - paper) < (1 if float(paper).is_integer() else 0.1)


def _row(name: str, paper: TableV, accuracy: Mapping[str, float] | None = None) -> Compared:
    return Compared(network_named(name), paper, accuracy or {})


NETWORKS = (
    _row("AlexNet", TableV(8, 61, 227)),
    _row("VGG-16", TableV(16, 138, 515)),
    _row(
        "VGG-19",
        TableV(19, 144, 535),
        {"casme": 0.6226, "casme2": 0.5330, "cas_me2": 0.5410, "samm": 0.3009},
    ),
    _row("GoogLeNet", TableV(22, 7, 27)),
    _row("ResNet-50", TableV(50, 25, 98)),
    _row(
        "MobileNet",
        TableV(20, 4, 16),
        {"casme": 0.6568, "casme2": 0.5772, "cas_me2": 0.5320, "samm": 0.3184},
    ),
    _row("MobileNetV2", TableV(53, 3.5, 14), {"casme2": 0.6076}),
    _row(
        OWN,
        TableV(10, 1.8, 14.3),
        {"casme": 0.6630, "casme2": 0.6209, "cas_me2": 0.5456, "samm": 0.3489},
    ),
)
"""The paper's, in the order of Table V."""
OTHERS = tuple(
    Compared(network)
    for network in table.NETWORKS
    if network.name not in {each.name for each in NETWORKS}
)
"""Those that the paper does not have."""


class Quoted(NamedTuple):
    """A row that the paper quotes from another publication, with other folds and other clips.

    Attributes:
        name: As in the table.
        task: The classes, by their initials in the paper (P positive, N negative, S surprise, O
            others, H happy, D disgust, R repression, T tense); empty if the table gives none.
        accuracy: 0..1 by data set; None where the table marks it as missing.
    """

    name: str
    task: str
    accuracy: Mapping[str, float | None]


QUOTED = (
    Quoted("STLBP-IP", "(H, S, D, R, O)", {"casme": None, "casme2": 0.5991}),
    Quoted("TICS", "(P, N, S, O)", {"casme": 0.6186, "casme2": 0.6111}),
    Quoted("FHOFO", "(P, N, S, O)", {"casme": 0.6599, "casme2": 0.5586}),
    Quoted("CNN-LSTM", "(H, S, D, R, O)", {"casme": 0.6098, "casme2": None}),
    Quoted("3D-Flow", "(H, S, D, R, T)", {"casme": 0.5544, "casme2": 0.5911}),
    Quoted("LBP-TOP-SVM", "", {"cas_me2": 0.4095, "samm": None}),
)


def table_v() -> list[dict[str, Any]]:
    """Counts layers and parameters of the networks of Table V, as published; needs no data.

    Returns:
        One record per network: network, classes, layers, depth, parameters, mib_at_4_bytes and
        mib_at_8_bytes; the paper's paper_layers, paper_parameters_millions and paper_memory_mb;
        and which of our numbers agree with them: layers_agree ("layers", "depth" or None),
        parameters_agree, memory_agrees (bytes per parameter, or None).

    Raises:
        InputError: If torchvision or timm cannot be imported.
    """
    records = []
    for each in NETWORKS:
        known, paper, (size, agrees) = each.network.published, each.table_v, each.published()
        assert known is not None and paper is not None and size is not None
        records.append(
            {
                "network": each.name,
                "classes": known.classes,
                **size._asdict(),
                "mib_at_4_bytes": size.mib(4),
                "mib_at_8_bytes": size.mib(8),
                "paper_layers": paper.layers,
                "paper_parameters_millions": paper.parameters,
                "paper_memory_mb": paper.memory,
                "layers_agree": agrees["layers"],
                "parameters_agree": agrees["parameters"],
                "memory_agrees": agrees["memory"],
            }
        )
    return records
