"""The networks of Tables III to V, from torchvision and timm, without pretrained weights.

Each takes the same images as OrigiNet, [B, 3, S, S], and has one output per class. The paper's
numbers are listed with each: accuracy by data set, and the columns of Table V.

References:
1. Verma et al., arXiv:2005.07991, Tables III, IV and V.
2. Keras Applications. Its sizes in MB (4 bytes per parameter) of ResNet-50, MobileNet and
   MobileNetV2 are those of Table V.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd.graph import Node

from originet.evaluation.fold import ModelFactory
from originet.system.errors import InputError, one_line
from originet.training.config import Config
from originet.training.model import OrigiNet, layer_count, parameter_count

OWN = "OrigiNet"
"""The paper's network, with which the others are compared."""
EXTRA = "pip install 'originet[baselines]'"
BYTES = (4, 8)
"""Possible meanings of Table V's memory, in bytes per parameter: a weight alone, or with one
optimiser slot."""
PUBLISHED_SIZE = 128
"""Image size in pixels for which OrigiNet has Table V's number of parameters; that of the other
networks does not depend on it."""

# torchvision's Python part cannot be imported without these schemas.
_DETECTION = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


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
class Network:
    """A network of the comparison and the paper's numbers for it."""

    name: str
    """As in Table V."""
    make: Callable[[int, Config], nn.Module]
    """Called with the number of classes and the settings; returns a new network."""
    table_v: TableV
    """The network's row of Table V."""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    """Accuracies of Tables III and IV, 0..1, by data set."""
    smallest: int = 16
    """Smallest image size in pixels; a smaller image has no pixels left at the last pooling."""
    published_classes: int = 1000
    """Number of classes for which the network has Table V's number of parameters; 1000 is
    ImageNet's."""
    extra: bool = True
    """Whether it needs the packages of the extra `baselines`."""

    def model(self, config: Config) -> ModelFactory:
        """Returns the factory of the network.

        Args:
            config: Settings; the image size and OrigiNet's variant are used.

        Returns:
            Called with the number of classes; raises InputError if the images are too small for
            the network, or its package cannot be imported.
        """

        def factory(classes: int) -> nn.Module:
            if config.image_size < self.smallest:
                raise InputError(
                    f"{self.name} needs images of at least {self.smallest} pixels a side, got "
                    f"image_size {config.image_size}"
                )
            return self.make(classes, config)

        return factory

    def published(self) -> tuple[Complexity, dict[str, Any]]:
        """Returns the size with Table V's number of outputs, and how it agrees with the table.

        Returns:
            The size, and `Complexity.agrees` with this network's row of the table.
        """
        size = self.complexity(Config(image_size=PUBLISHED_SIZE), self.published_classes)
        return size, size.agrees(self.table_v)

    def complexity(self, config: Config, classes: int) -> Complexity:
        """Counts layers and parameters without allocating them.

        Args:
            config: As for `model`.
            classes: Number of classes.

        Returns:
            The counts.

        Raises:
            InputError: As the factory.
        """
        return _complexity(self, config, classes)


def torchvision_models() -> ModuleType:
    """Imports `torchvision.models`, even with a CPU-only torch.

    torchvision's wheels are CUDA builds, whose compiled library a CPU-only torch cannot load. The
    import then fails only because the schemas of two detection ops are missing, whose shapes it
    describes to the compiler. The classification networks use none of torchvision's ops. So if the
    import fails for exactly this reason, the schemas are defined here, without kernels; torchvision
    itself still reports that its ops are missing.

    Returns:
        The module.

    Raises:
        InputError: If it cannot be imported; the message says how to install it.
    """
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        ops = torch.ops.torchvision
        missing = [schema for schema in _DETECTION if not hasattr(ops, schema.partition("(")[0])]
        if not missing or "operator torchvision::" not in str(error):
            raise _not_usable("torchvision", error) from error
        for schema in missing:
            _detection_ops().define(schema)
    except (ImportError, OSError) as error:
        raise _not_usable("torchvision", error) from error
    try:
        return importlib.import_module("torchvision.models")
    except (ImportError, OSError, RuntimeError) as error:
        raise _not_usable("torchvision", error) from error


def timm_package() -> ModuleType:
    """Imports timm, which imports torchvision.

    Returns:
        The module.

    Raises:
        InputError: If it cannot be imported; the message says how to install it.
    """
    torchvision_models()
    try:
        return importlib.import_module("timm")
    except (ImportError, OSError, RuntimeError) as error:
        raise _not_usable("timm", error) from error


def check_installed(networks: Sequence[Network]) -> None:
    """Checks that the packages that some networks need can be imported.

    Args:
        networks: The networks.

    Raises:
        InputError: If not; the message says how to install them.
    """
    if any(network.extra for network in networks):
        timm_package()


def depth(model: nn.Module, image_size: int) -> int:
    """Counts the convolutions and fully connected layers on the longest path through a network.

    This is the depth in names such as ResNet-50, where parallel branches count once.

    Args:
        model: A network on the device "meta"; left in evaluation mode.
        image_size: Height and width of its input in pixels.

    Returns:
        The number of layers.
    """
    # The autograd graph of one forward pass shows the order of layers for any network.
    logits = model.eval()(torch.zeros(1, 3, image_size, image_size, device="meta"))

    @cache
    def longest(node: Node) -> int:
        before = max((longest(n) for n, _ in node.next_functions if n is not None), default=0)
        return before + (node.name() in ("ConvolutionBackward0", "AddmmBackward0"))

    return longest(logits.grad_fn)


@cache
def _complexity(network: Network, config: Config, classes: int) -> Complexity:
    with torch.device("meta"):
        model = network.model(config)(classes)
    layers, deep = layer_count(model), depth(model, config.image_size)
    return Complexity(layers, deep, parameter_count(model))


def _torchvision(name: str, **arguments: Any) -> Callable[[int, Config], nn.Module]:
    def make(classes: int, config: Config) -> nn.Module:
        network: nn.Module = getattr(torchvision_models(), name)(num_classes=classes, **arguments)
        return network

    return make


def _timm(name: str) -> Callable[[int, Config], nn.Module]:
    def make(classes: int, config: Config) -> nn.Module:
        network: nn.Module = timm_package().create_model(name, num_classes=classes)
        return network

    return make


def _originet(classes: int, config: Config) -> nn.Module:
    return OrigiNet(classes, image_size=config.image_size, variant=config.variant)


@cache
def _detection_ops() -> torch.library.Library:
    """Returns the library object; its definitions last as long as the object."""
    return torch.library.Library("torchvision", "FRAGMENT")


def _not_usable(package: str, error: Exception) -> InputError:
    return InputError(
        f"the networks of the paper's tables need torchvision and timm ({EXTRA}), but {package} "
        f"cannot be imported: {one_line(error)}"
    )


def _close(ours: float, paper: float) -> bool:
    """Returns whether a number is within one unit of the paper's last digit."""
    return abs(ours - paper) < (1 if float(paper).is_integer() else 0.1)


NETWORKS = (
    # AlexNet and VGG pool adaptively before the FC layers, so 128 pixels work like 224.
    Network("AlexNet", _torchvision("alexnet"), TableV(8, 61, 227), smallest=63),
    Network("VGG-16", _torchvision("vgg16"), TableV(16, 138, 515), smallest=32),
    Network(
        "VGG-19",
        _torchvision("vgg19"),
        TableV(19, 144, 535),
        {"casme": 0.6226, "casme2": 0.5330, "cas_me2": 0.5410, "samm": 0.3009},
        smallest=32,
    ),
    # Without the auxiliary heads: their losses would need a training procedure of their own, and
    # batch normalisation, which the published network did not have, serves their purpose.
    Network(
        "GoogLeNet",
        _torchvision("googlenet", aux_logits=False, init_weights=True),
        TableV(22, 7, 27),
    ),
    Network("ResNet-50", _torchvision("resnet50"), TableV(50, 25, 98)),
    Network(
        "MobileNet",
        _timm("mobilenetv1_100"),
        TableV(20, 4, 16),
        {"casme": 0.6568, "casme2": 0.5772, "cas_me2": 0.5320, "samm": 0.3184},
    ),
    Network(
        "MobileNetV2",
        _torchvision("mobilenet_v2"),
        TableV(53, 3.5, 14),
        {"casme2": 0.6076},
    ),
    Network(
        OWN,
        _originet,
        TableV(10, 1.8, 14.3),
        {"casme": 0.6630, "casme2": 0.6209, "cas_me2": 0.5456, "samm": 0.3489},
        published_classes=4,
        extra=False,
    ),
)


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
    for network in NETWORKS:
        paper, (size, agrees) = network.table_v, network.published()
        records.append(
            {
                "network": network.name,
                "classes": network.published_classes,
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
