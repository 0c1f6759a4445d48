"""Prediction: turns images into the network's input, and its logits into probabilities."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from originet.system.channels import MOST_CHANNELS, Channel, U, V
from originet.system.device import arithmetic, pick_device
from originet.system.errors import InputError

PREDICTION_BATCH = 128


def predict(
    model: nn.Module,
    images: NDArray[Any] | Tensor,
    *,
    device: str | torch.device | None = None,
) -> NDArray[np.float32]:
    """Computes class probabilities: the softmax of the logits, Eq. (11).

    Args:
        model: Maps [B, 3, S, S] float to logits [B, classes], or [B, C, S, S] if images have C
            channels; moved to `device` and left there, in evaluation mode.
        images: [N, S, S] uint8, or [N, S, S, C] uint8 or float32, an array or a tensor on any
            device.
        device: Where to compute; None takes the GPU if there is one.

    Returns:
        Probabilities [N, classes] float32; each row adds up to 1.

    Raises:
        InputError: If `images` is empty, has another shape or dtype, or is not finite.
    """
    pixels = check_images(images)
    where = pick_device(device)
    model.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.eval()
    return probabilities_of(model, torch.tensor(pixels, device=where)).cpu().numpy()


@torch.inference_mode()
def probabilities_of(model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Computes class probabilities on the images' device; see `predict`.

    Args:
        model: Maps [B, 3, S, S] float to logits [B, classes]; in evaluation mode, on the images'
            device.
        images: [N, S, S] uint8, or [N, S, S, C] uint8 or float32, N at least 1.

    Returns:
        Probabilities [N, classes] float32, on the same device.
    """
    with arithmetic("float32", images.device):
        batches = images.split(PREDICTION_BATCH)
        return torch.cat([model(to_input(batch)).softmax(dim=1) for batch in batches])


def to_input(images: Tensor) -> Tensor:
    """Turns images into the network's input.

    Each uint8 image is standardised, channel by channel, and if it has no channels its grey is
    repeated to three. Floating-point images are taken as they are: the network scales them, see
    `originet.training.scaling`.

    Args:
        images: [B, S, S] uint8, or [B, S, S, C] uint8 or float32.

    Returns:
        [B, 3, S, S] or [B, C, S, S] float32. On the CPU the three channels share memory (stride 0),
        which `OrigiNet` exploits; do not write to them. Otherwise in channels_last.
    """
    if images.dim() == 4:
        planes = images.permute(0, 3, 1, 2)  # [B, C, S, S]
        # Contiguous, so that a channel's sums are those of the image alone.
        x = planes if planes.is_floating_point() else standardised(planes.contiguous())
        return x.contiguous(memory_format=torch.channels_last)
    three = standardised(images).unsqueeze(1).expand(-1, 3, -1, -1)  # [B, 3, S, S]
    return three if images.is_cpu else three.contiguous(memory_format=torch.channels_last)


def standardised(images: Tensor) -> Tensor:
    """Brings each image to mean 0 and deviation 1 by its own statistics; blank ones become zeros.

    Args:
        images: [..., S, S] grey levels, 0..255.

    Returns:
        [..., S, S] float32.
    """
    height, width = images.shape[-2:]
    x = images.to(torch.float32, copy=True)
    x -= x.mean(dim=(-2, -1), keepdim=True)
    deviation = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) / math.sqrt(height * width)
    x /= deviation.clamp_min(1)  # one grey level; keeps blank images finite
    return x


def check_images(images: NDArray[Any] | Tensor) -> NDArray[Any]:
    """Checks images and returns them as an array.

    Args:
        images: [N, S, S] uint8, or [N, S, S, C] uint8 or float32, with N at least 1, an array or a
            tensor.

    Returns:
        The images as an array.

    Raises:
        InputError: If they have another shape or dtype, or are not finite.
    """
    pixels = as_array(images)
    if pixels.ndim == 4 and pixels.dtype in (np.uint8, np.float32) and len(pixels) > 0:
        count = pixels.shape[-1]
        if not 1 <= count <= MOST_CHANNELS:
            shape = list(pixels.shape)
            raise InputError(
                f"images [N, S, S, C] must have 1 to {MOST_CHANNELS} channels, got {shape}"
            )
        if pixels.dtype == np.float32 and not np.isfinite(pixels).all():
            raise InputError("images must be finite, got NaN or infinity")
        return pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or len(pixels) == 0:
        floating = "; round 0..255 to uint8 first" if pixels.dtype.kind == "f" else ""
        raise InputError(
            "images must be [N, S, S] uint8 with N at least 1, got "
            f"{list(pixels.shape)} {pixels.dtype}{floating}"
        )
    return pixels


def check_channels(images: NDArray[Any], channels: Sequence[Channel]) -> None:
    """Checks that images [N, S, S, C] are what their channels' names say.

    Raises:
        InputError: If they have another number of channels, or a vector is not float32.
    """
    if images.shape[-1] != len(channels):
        names = ", ".join(channel.name for channel in channels)
        raise InputError(
            f"images must have the {len(channels)} channels {names}, got {images.shape[-1]}: "
            "method names them, as in method='own:a,b,c'"
        )
    if images.dtype == np.uint8 and any(channel.kind in (U, V) for channel in channels):
        raise InputError("images with a vector, u and v, must be float32, got uint8")


def as_array(values: Any) -> NDArray[Any]:
    """Returns the values of a tensor on any device, an array or a list as an array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy()
    return np.asarray(values)
