"""Brings channels that are not grey levels, such as flows, to a size that a network can learn from.

A grey channel is standardised image by image. That would take from a flow how strong the motion is
and, if u and v were treated apart, its direction. So a flow is divided by its size over the
training clips: u and v by one number, which rotations do not change, and no motion stays 0. Other
channels get mean 0 and deviation 1 over the training clips. Validation and test clips have no part
in it.

The numbers are buffers of the network, so they are kept and loaded with its weights.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from originet.system.channels import GREY, Channel, U, V
from originet.training.predict import standardised

SHIFT, SCALE, GREYS = "input_shift", "input_scale", "input_greys"
"""Names of the buffers: [C] and [C] float32, and [C] bool, which channels are grey."""


def attach(network: nn.Module, count: int) -> None:
    """Has a network scale its input before it does anything else; until it is told how, by 1.

    Args:
        network: Maps [B, C, S, S] to logits. If it already scales its input, nothing changes.
        count: C.
    """
    if is_attached(network):
        return
    for name, values in buffers(count).items():
        network.register_buffer(name, values)
    network.register_forward_pre_hook(_scale_input)


def is_attached(network: nn.Module) -> bool:
    """Returns whether a network scales its input."""
    return _scale_input in network._forward_pre_hooks.values()


def buffers(count: int) -> dict[str, Tensor]:
    """Returns the buffers of a network that scales C channels by 1."""
    return {
        SHIFT: torch.zeros(count),
        SCALE: torch.ones(count),
        GREYS: torch.zeros(count, dtype=torch.bool),
    }


def calibrate(network: nn.Module, images: Tensor, channels: Sequence[Channel]) -> None:
    """Measures the training clips, and has the network scale its input by that.

    Args:
        network: One that `attach` was called with.
        images: The training clips, not augmented, [N, S, S, C] float32.
        channels: What the channels are [C].
    """
    shift, scale, greys = (network.get_buffer(name) for name in (SHIFT, SCALE, GREYS))
    exact = images.flatten(0, -2).double()  # [N * S * S, C]
    means = exact.mean(dim=0)
    squares = exact.square().mean(dim=0)
    for place, channel in enumerate(channels):
        greys[place] = channel.kind == GREY
        if channel.kind == GREY:
            continue
        if channel.kind in (U, V):
            first = place if channel.kind == U else place - 1
            shift[place], variance = 0.0, squares[first : first + 2].mean()
        else:
            shift[place], variance = means[place], squares[place] - means[place].square()
        # Of a channel that is the same everywhere, nothing is left.
        tiny = torch.finfo(torch.float32).tiny
        scale[place] = torch.where(variance > tiny, variance.clamp_min(tiny).sqrt(), 1.0)


def _scale_input(network: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *others = given
    shift, scale, greys = (
        network.get_buffer(name)[:, None, None] for name in (SHIFT, SCALE, GREYS)
    )
    return torch.where(greys, standardised(x), (x - shift) / scale), *others
