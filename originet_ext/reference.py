"""The public functions in plain PyTorch: same names, same signatures, same definitions.

Slow and obvious. Tests compare the kernels with these functions, and benchmarks use them as the
eager baseline. They are themselves tested at hand-computed points.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from originet_ext._checks import (
    MOTION_METHODS,
    check_alpha,
    check_floating,
    check_method,
    check_norm,
    check_same,
    check_windows,
)
from originet_ext._clips import is_single, unpack_clips
from originet_ext._weights import method_weights

# psi is 0 below this value in every dtype; the bound prevents 0 * inf in its gradients.
_LOWEST = -1e4


def fused_rrelu(x: Tensor, alpha: float = 0.1) -> Tensor:
    """Refined ReLU, as `originet_ext.fused_rrelu`, in plain PyTorch."""
    check_floating("fused_rrelu", "x", x)
    check_alpha("fused_rrelu", alpha)
    # Unlike clamp, where() lets NaN through, forward and backward.
    finite = torch.where(x < _LOWEST, _LOWEST, x)
    finite = torch.where(x == math.inf, torch.finfo(x.dtype).max, finite)
    leaky = torch.where(finite >= 0, finite, alpha * finite)
    y = torch.sigmoid(finite) * (1 + leaky)
    return torch.where(x == math.inf, x, y)


def fused_rrelu_(x: Tensor, alpha: float = 0.1) -> Tensor:
    """Refined ReLU in place, as `originet_ext.fused_rrelu_`, in plain PyTorch."""
    check_floating("fused_rrelu_", "x", x)
    return x.copy_(fused_rrelu(x.clone(), alpha))


def fused_rrelu_add(a: Tensor, b: Tensor, alpha: float = 0.1) -> Tensor:
    """psi(a) + psi(b), as `originet_ext.fused_rrelu_add`, in plain PyTorch."""
    check_same("fused_rrelu_add", a, b)
    return fused_rrelu(a, alpha) + fused_rrelu(b, alpha)


def fused_rrelu_add_norm(
    a: Tensor,
    b: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    *,
    bias_a: Tensor | None = None,
    bias_b: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    alpha: float = 0.1,
) -> Tensor:
    """The normalised join, as `originet_ext.fused_rrelu_add_norm`, in plain PyTorch."""
    training = training or running_mean is None
    vectors = {
        "weight": weight,
        "bias": bias,
        "running_mean": running_mean,
        "running_var": running_var,
        "bias_a": bias_a,
        "bias_b": bias_b,
    }
    check_norm("fused_rrelu_add_norm", a, b, vectors, training, eps, alpha)
    column = (-1, *[1] * (a.dim() - 2))  # [C], to broadcast over [N, C, ...]
    a = a if bias_a is None else a + bias_a.to(a.dtype).reshape(column)
    b = b if bias_b is None else b + bias_b.to(b.dtype).reshape(column)
    z = fused_rrelu(a, alpha) + fused_rrelu(b, alpha)
    return F.batch_norm(z, running_mean, running_var, weight, bias, training, momentum, eps)


def temporal_pool(
    frames: Tensor | Sequence[Tensor], weights: Tensor, offsets: Tensor | None = None
) -> Tensor:
    """Weighted sum over time, as `originet_ext.temporal_pool`, in plain PyTorch."""
    clips, bounds = _clips("temporal_pool", frames, offsets)
    if weights.dim() != 1 or len(weights) != bounds[-1]:
        raise ValueError(
            f"temporal_pool: weights must be [{bounds[-1]}], one per frame, "
            f"got {list(weights.shape)}"
        )
    parts = weights.tensor_split(bounds[1:-1])
    sums = torch.stack([_weighted_sum(c, w) for c, w in zip(clips, parts, strict=True)])
    return sums[0] if is_single(frames, offsets) else sums


def active_image(
    frames: Tensor | Sequence[Tensor],
    offsets: Tensor | None = None,
    method: str = "cumulative",
    normalize: str = "none",
) -> Tensor:
    """Active image, as `originet_ext.active_image`, in plain PyTorch."""
    check_method("active_image", method, normalize)
    clips, _ = _clips("active_image", frames, offsets)
    images = torch.stack([_active_image(clip, method) for clip in clips])
    images = normalize_images(images, normalize)
    return images[0] if is_single(frames, offsets) else images


def sliding_active_images(
    frames: Tensor,
    window: int,
    stride: int = 1,
    method: str = "cumulative",
    normalize: str = "none",
) -> Tensor:
    """Active images of windows, as `originet_ext.sliding_active_images`, in plain PyTorch."""
    check_method("sliding_active_images", method, normalize)
    check_windows("sliding_active_images", frames, window, stride)
    starts = range(0, len(frames) - window + 1, stride)
    images = [active_image(frames[s : s + window], None, method, normalize) for s in starts]
    return torch.stack(images)


def normalize_images(images: Tensor, normalize: str) -> Tensor:
    """Maps active images to 0..255.

    Args:
        images: [B, ...] floating, any range.
        normalize: "none", "clip" (saturates to 0..255) or "minmax" (maps each image linearly to
            0..255; an image with only one value gives zeros).

    Returns:
        [B, ...] in the dtype of `images`.
    """
    if normalize == "none":
        return images
    if normalize == "clip":
        return images.clamp(0, 255)
    flat = images.flatten(1)
    low = flat.amin(1, keepdim=True)
    span = flat.amax(1, keepdim=True) - low
    # Dividing first maps the largest value to exactly 255.
    scaled = (flat - low) / torch.where(span > 0, span, 1) * 255
    return scaled.reshape(images.shape)


def _clips(
    function: str, frames: Tensor | Sequence[Tensor], offsets: Tensor | None
) -> tuple[list[Tensor], list[int]]:
    """Every clip as a tensor [T_i, ...], and where the clips begin and end."""
    sources, bounds = unpack_clips(function, frames, offsets)
    if len(sources) == 1:
        sources = [sources[0][start:end] for start, end in pairwise(bounds)]
    return sources, bounds


def _weighted_sum(clip: Tensor, weights: Tensor) -> Tensor:
    """sum_t weights[t] * clip[t]; exact in int64 if both are integers."""
    result = torch.float64 if clip.dtype == torch.float64 else torch.float32
    integer = not weights.is_floating_point()
    wide = torch.int64 if integer and clip.dtype == torch.uint8 else result
    terms = clip.to(wide)
    if integer and clip.is_floating_point() and sum(weights.tolist()) == 0:
        # Deviations from the first frame: exactly 0 for a pixel at rest.
        terms, weights = terms[1:] - terms[:1], weights[1:]
    column = weights.to(clip.device, wide).reshape(-1, *[1] * (clip.dim() - 1))
    return (column * terms).sum(0).to(result)


def _active_image(clip: Tensor, method: str) -> Tensor:
    if method not in MOTION_METHODS:
        return _weighted_sum(clip, method_weights(method, len(clip)))
    result = torch.float64 if clip.dtype == torch.float64 else torch.float32
    wide = clip.to(torch.int64 if clip.dtype == torch.uint8 else result)
    change = wide[1:] - wide[:-1]  # FT(t), Eq. (3), for t = 2..n
    change = change.abs() if method == "absolute" else change.clamp(min=0)
    # Eqs. (1)-(2): sum over t = 2..n of FT(t-1) + FT(t) with FT(1) = 0
    return (change[:-1].sum(0) + change.sum(0)).to(result)
