"""The table of networks, to which `timm:NAME` and the user's own `module:function` add theirs.

References:
1. Verma et al., arXiv:2005.07991, Tables III to V: the networks up to OrigiNet.
2. The others' are in their modules.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from originet.system.errors import InputError
from originet.training.config import OWN, Config, is_own_code
from originet.training.model import OrigiNet
from originet.training.networks import dual_inception, off_apexnet, ststnet
from originet.training.networks.entry import Network, Published
from originet.training.networks.learnet import LEARNet
from originet.training.networks.of_timm import timm_network
from originet.training.networks.own import own_network
from originet.training.networks.packages import timm_package, torchvision_models
from originet.training.networks.rcn import RCNA

_FLOW = (2, 3)  # u and v; or u, v and strain, as stores of optical flow hold them


def network_named(name: str, *, pretrained: bool = False) -> Network:
    """Finds a network.

    Args:
        name: A name of the table, `timm:NAME`, or `module:function`, which is imported.
        pretrained: Start from pretrained weights; for `timm:NAME` only.

    Returns:
        Its entry.

    Raises:
        InputError: If there is no such network, or no such weights.
    """
    if is_own_code(name):
        return own_network(name)
    if name.startswith("timm:"):
        return timm_network(name, pretrained)
    for network in NETWORKS:
        if network.name == name:
            return network
    raise InputError(f"network must be one of {', '.join(n.name for n in NETWORKS)}, got {name!r}")


def network_of(config: Config) -> Network:
    """Finds the network that settings name, OrigiNet in their variant.

    Raises:
        InputError: As `network_named`.
    """
    network = network_named(config.network, pretrained=config.pretrained)
    if network.name == OWN:
        return dataclasses.replace(network, make=partial(_originet, variant=config.variant))
    return network


def factory_of(config: Config) -> Callable[[int], nn.Module]:
    """Returns what makes the network that settings name, for a number of classes.

    Args:
        config: Settings; network, pretrained, variant, method and image_size are used.

    Returns:
        See `Network.factory`.

    Raises:
        InputError: As `network_named`.
    """
    return network_of(config).factory(config.in_channels, config.image_size)


def _originet(in_channels: int, classes: int, image_size: int, variant: str = "paper") -> nn.Module:
    return OrigiNet(classes, in_channels=in_channels, image_size=image_size, variant=variant)


def _torchvision(name: str, **more: Any) -> Callable[..., nn.Module]:
    def make(in_channels: int, classes: int, image_size: int) -> nn.Module:
        network: nn.Module = getattr(torchvision_models(), name)(num_classes=classes, **more)
        return network

    return make


def _mobilenet(in_channels: int, classes: int, image_size: int) -> nn.Module:
    network: nn.Module = timm_package().create_model(
        "mobilenetv1_100", num_classes=classes, in_chans=in_channels
    )
    return network


def _of_torchvision(
    name: str, function: str, parameters: int, smallest: int = 16, **more: Any
) -> Network:
    return Network(
        name,
        _torchvision(function, **more),
        "torchvision",
        channels=(3,),
        smallest=smallest,
        published=Published(3, 1000, 224, parameters),
        extra=True,
    )


NETWORKS = (
    # AlexNet and VGG pool adaptively before the FC layers, so 128 pixels work like 224.
    _of_torchvision("AlexNet", "alexnet", 61_100_840, smallest=63),
    _of_torchvision("VGG-16", "vgg16", 138_357_544, smallest=32),
    _of_torchvision("VGG-19", "vgg19", 143_667_240, smallest=32),
    # Without the auxiliary heads: their losses would need a training procedure of their own, and
    # batch normalisation, which the published network did not have, serves their purpose.
    _of_torchvision("GoogLeNet", "googlenet", 6_624_904, aux_logits=False, init_weights=True),
    _of_torchvision("ResNet-50", "resnet50", 25_557_032),
    Network(
        "MobileNet", _mobilenet, "timm", published=Published(3, 1000, 224, 4_231_976), extra=True
    ),
    _of_torchvision("MobileNetV2", "mobilenet_v2", 3_504_872),
    Network(OWN, _originet, "arXiv:2005.07991", published=Published(3, 4, 128, 1_872_548)),
    Network("LEARNet", LEARNet, "arXiv:1904.09410", published=Published(3, 8, 112, 1_866_824)),
    Network(
        "STSTNet",
        lambda in_channels, classes, image_size: ststnet.STSTNet(in_channels, classes),
        "arXiv:1902.03634",
        channels=(3,),
        image_size=ststnet.SIZE,
        published=Published(3, 3, ststnet.SIZE, 1_683),
    ),
    Network(
        "OFF-ApexNet",
        lambda in_channels, classes, image_size: off_apexnet.OffApexNet(classes),
        "arXiv:1805.08699",
        channels=_FLOW,
        image_size=off_apexnet.SIZE,
        published=Published(2, 3, off_apexnet.SIZE, 807_909),
    ),
    Network(
        "Dual-Inception",
        lambda in_channels, classes, image_size: dual_inception.DualInception(classes),
        "Zhou et al., FG 2019",
        channels=_FLOW,
        image_size=dual_inception.SIZE,
        published=Published(2, 3, dual_inception.SIZE, 6_449_867),
    ),
    Network(
        "RCN-A",
        lambda in_channels, classes, image_size: RCNA(in_channels, classes),
        "arXiv:2006.09674",
        published=Published(3, 3, 28, 55_747),  # the same for any size
    ),
)
