"""An entry of the table of networks: what a network takes, and how one is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from originet.system.errors import InputError, one_line
from originet.system.words import counted


class Published(NamedTuple):
    """The configuration whose size was published, or would be.

    Attributes:
        in_channels: Channels of its images.
        classes: Its outputs.
        image_size: Height and width of its images in pixels.
        parameters: Its learnable scalars, as we count them.
    """

    in_channels: int
    classes: int
    image_size: int
    parameters: int


@dataclass(frozen=True, eq=False)  # compared by identity, and hashable
class Network:
    """A kind of network."""

    name: str
    """Its name, as `network_named` takes it."""
    make: Callable[..., nn.Module]
    """Called as make(in_channels=3, classes=5, image_size=128); returns a new network that maps
    [N, in_channels, image_size, image_size] to logits [N, classes]."""
    source: str = ""
    """The publication or program that it follows."""
    channels: tuple[int, ...] = ()
    """Numbers of channels that it takes; empty for any."""
    image_size: int | None = None
    """The only image size that it takes, in pixels; None for any from `smallest`."""
    smallest: int = 16
    """Smallest image size in pixels; a smaller image has no pixels left at the last pooling."""
    published: Published | None = None
    """The published configuration; None if the table does not know it."""
    extra: bool = False
    """Whether it needs the packages of the extra `baselines`."""
    foreign: bool = False
    """Whether its code is not this package's: then one is tried before the first is returned."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else identifies its networks, such as a hash of the code or of pretrained weights."""

    def check(self, in_channels: int, image_size: int) -> None:
        """Checks that the network takes images of a kind.

        Raises:
            InputError: If not; names what it takes, and what it got.
        """
        if self.channels and in_channels not in self.channels:
            takes = " or ".join(map(str, self.channels))
            raise InputError(f"{self.name} takes images of {takes} channels, got {in_channels}")
        if self.image_size not in (None, image_size):
            raise InputError(
                f"{self.name} takes images of {self.image_size} pixels a side, got image_size "
                f"{image_size}"
            )
        if image_size < self.smallest:
            raise InputError(
                f"{self.name} needs images of at least {self.smallest} pixels a side, got "
                f"image_size {image_size}"
            )

    def factory(self, in_channels: int, image_size: int) -> Callable[[int], nn.Module]:
        """Returns what makes networks for images of a kind.

        Args:
            in_channels: Channels of the images.
            image_size: Their height and width in pixels.

        Returns:
            Called with the number of classes. Raises InputError if the network does not take such
            images, its package cannot be imported, or its foreign code is not what it should be.
        """

        def make(classes: int) -> nn.Module:
            self.check(in_channels, image_size)
            if self.foreign:
                _try(self, in_channels, classes, image_size)
            return self.make(in_channels=in_channels, classes=classes, image_size=image_size)

        return make


@cache
def _try(network: Network, in_channels: int, classes: int, image_size: int) -> None:
    """Makes a foreign network and calls it, once for all networks of a kind.

    Raises:
        InputError: If it is no network, cannot be trained, or answers in another shape.
    """
    told = f"in_channels={in_channels}, classes={classes}, image_size={image_size}"
    # Nothing that it draws may change what is drawn after it.
    with torch.random.fork_rng(devices=[]):
        try:
            made: Any = network.make(
                in_channels=in_channels, classes=classes, image_size=image_size
            )
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{network.name}({told}) raised {_named(error)}") from error
        if not isinstance(made, nn.Module):
            kind = type(made).__name__
            raise InputError(f"{network.name} must return a torch.nn.Module, got {kind}")
        images = torch.zeros(2, in_channels, image_size, image_size)
        try:
            with torch.no_grad():
                logits: Any = made.eval()(images)
        except Exception as error:
            shape = list(images.shape)
            raise InputError(
                f"{network.name} cannot take images {shape}: {_named(error)}"
            ) from error
    if not any(each.requires_grad for each in made.parameters()):
        raise InputError(f"{network.name} has no parameters to train")
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        expected = f"[2, {classes}] for {counted(2, 'image')}"
        raise InputError(f"{network.name} must return logits {expected}, got {got}")


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
