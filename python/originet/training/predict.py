"""Prediction: turns images into the network's input, and its logits into probabilities."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from originet.system.device import arithmetic, pick_device
from originet.system.errors import InputError

PREDICTION_BATCH = 128


def predict(
    model: nn.Module,
    images: NDArray[np.uint8] | Tensor,
    *,
    device: str | torch.device | None = None,
) -> NDArray[np.float32]:
    """Computes class probabilities: the softmax of the logits, Eq. (11).

    Args:
        model: Maps [B, 3, S, S] float to logits [B, classes]; moved to `device` and left there, in
            evaluation mode.
        images: [N, S, S] uint8, an array or a tensor on any device.
        device: Where to compute; None takes the GPU if there is one.

    Returns:
        Probabilities [N, classes] float32; each row adds up to 1.

    Raises:
        InputError: If `images` is empty or not [N, S, S] uint8.
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
        images: [N, S, S] uint8, N at least 1.

    Returns:
        Probabilities [N, classes] float32, on the same device.
    """
    with arithmetic("float32", images.device):
        batches = images.split(PREDICTION_BATCH)
        return torch.cat([model(to_input(batch)).softmax(dim=1) for batch in batches])


def to_input(images: Tensor) -> Tensor:
    """Turns uint8 images into the network's input.

    Each image is standardised, and its grey channel is repeated to three.

    Args:
        images: [B, S, S] uint8.

    Returns:
        [B, 3, S, S] float32. On the CPU the three channels share memory (stride 0), which
        `OrigiNet` exploits; do not write to them. On other devices in channels_last.
    """
    three = standardised(images).unsqueeze(1).expand(-1, 3, -1, -1)  # [B, 3, S, S]
    return three if images.is_cpu else three.contiguous(memory_format=torch.channels_last)


def standardised(images: Tensor) -> Tensor:
    """Brings each image to mean 0 and deviation 1 by its own statistics; blank ones become zeros.

    Args:
        images: [B, S, S] uint8.

    Returns:
        [B, S, S] float32.
    """
    _, height, width = images.shape
    x = images.float()
    x -= x.mean(dim=(1, 2), keepdim=True)
    deviation = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) / math.sqrt(height * width)
    x /= deviation.clamp_min(1)  # one grey level; keeps blank images finite
    return x


def check_images(images: NDArray[np.uint8] | Tensor) -> NDArray[np.uint8]:
    """Checks images and returns them as an array.

    Args:
        images: [N, S, S] uint8 with N at least 1, an array or a tensor.

    Returns:
        The images as an array.

    Raises:
        InputError: If they have another shape or dtype.
    """
    pixels = as_array(images)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or len(pixels) == 0:
        floating = "; round 0..255 to uint8 first" if pixels.dtype.kind == "f" else ""
        raise InputError(
            "images must be [N, S, S] uint8 with N at least 1, got "
            f"{list(pixels.shape)} {pixels.dtype}{floating}"
        )
    return pixels


def as_array(values: Any) -> NDArray[Any]:
    """Returns the values of a tensor on any device, an array or a list as an array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy()
    return np.asarray(values)
