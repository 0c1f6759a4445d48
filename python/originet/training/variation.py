"""What happens to training images anew in every epoch: small shifts, and mixup.

Everything random is drawn on the CPU before an epoch, from generators of its training alone, so it
does not depend on the device, the executor or on other networks. The rest are steps of tensors that
never wait for the device.

Reference: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization",
arXiv:1710.09412.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def largest_shift(translation: float, side: int) -> int:
    """Returns how many pixels images of a side are shifted at most: at least 1 unless it is off."""
    return max(round(translation * side), 1) if translation > 0 else 0


def draw_shifts(count: int, most: int, generator: torch.Generator) -> Tensor:
    """Draws a shift for every image.

    Args:
        count: Number of images M.
        most: Most pixels in either direction.
        generator: A generator on the CPU.

    Returns:
        Pixels down and to the right, [M, 2] int64 in -most..most, all equally likely.
    """
    return torch.randint(-most, most + 1, (count, 2), generator=generator)


def shifted(pixels: Tensor, rows: Tensor, shifts: Tensor) -> Tensor:
    """Takes images and shifts them; the pixels at their edges repeat, so no edge is invented.

    Args:
        pixels: [N, S, S, ...].
        rows: Which images to take [B].
        shifts: Pixels down and to the right [B, 2].

    Returns:
        [B, S, S, ...].
    """
    last = pixels.shape[1] - 1
    places = torch.arange(last + 1, device=pixels.device)
    down, right = shifts.unbind(dim=1)
    y = (places - down[:, None]).clamp(0, last)  # [B, S]
    x = (places - right[:, None]).clamp(0, last)
    return pixels[rows[:, None, None], y[:, :, None], x[:, None, :]]


def draw_shares(count: int, alpha: float, rng: np.random.Generator) -> Tensor:
    """Draws the shares that images keep in their mixtures.

    Args:
        count: Number of images M.
        alpha: Both parameters of the beta distribution.
        rng: Random numbers.

    Returns:
        [M] float32 in 0.5..1: the larger part of each draw. The pairs are random, so it does not
        matter which image has the larger part; an image thus has it once in an epoch.
    """
    shares = rng.beta(alpha, alpha, count)
    return torch.from_numpy(np.maximum(shares, 1 - shares).astype(np.float32))


def mixed(x: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """Mixes inputs of a network pixel by pixel.

    Args:
        x: [B, C, S, S] float.
        other: Their partners, of the same shape and layout.
        shares: The share of `x` [B].

    Returns:
        [B, C, S, S]; channels that share memory still do.
    """
    same = x.stride(1) == 0  # of the CPU's grey images, which `OrigiNet` exploits
    parts = (other[:, :1], x[:, :1]) if same else (other, x)
    return torch.lerp(*parts, shares[:, None, None, None]).expand_as(x)


def mixed_loss(
    logits: Tensor,
    labels: Tensor,
    other: Tensor,
    shares: Tensor,
    weights: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """Computes the mean cross-entropy of mixtures of two images.

    Args:
        logits: [B, classes].
        labels: Class indices of the images with the larger share [B].
        other: Those of the others [B].
        shares: The larger shares [B].
        weights: Class weights [classes], by which the mean is weighted; None for equal ones.
        label_smoothing: As in `torch.nn.functional.cross_entropy`.

    Returns:
        The loss, a scalar; if all shares are 1, that of `cross_entropy`.
    """
    mine, theirs = (
        F.cross_entropy(logits, of, weights, reduction="none", label_smoothing=label_smoothing)
        for of in (labels, other)
    )
    total = torch.lerp(theirs, mine, shares).sum()
    if weights is None:
        return total / len(labels)
    return total / torch.lerp(weights[other], weights[labels], shares).sum()
