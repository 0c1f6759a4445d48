"""The temporal pools behind active imaging: weighted sums over time, and sums of differences."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from originet_ext._checks import type_of
from originet_ext._clips import is_single, tensors_of, unpack_clips
from originet_ext._library import ops

__all__ = ["memory_order", "pool_motion", "pool_terms", "temporal_pool"]


def temporal_pool(
    frames: Tensor | Sequence[Tensor], weights: Tensor, offsets: Tensor | None = None
) -> Tensor:
    """Weighted sum over time: out[b] = sum over t of clip b of weights[t] * frames[t].

    Args:
        frames: as for `active_image`.
        weights: [sum T], one per frame. Integer weights with uint8 frames are summed exactly; with
            floating frames, a clip whose integer weights sum to 0 gives exactly 0 for pixels at
            rest. Floating weights must be on the frames' device and are differentiable.
        offsets: int64 [B + 1], as for `active_image`.

    Returns:
        [...] for one clip, otherwise [B, ...]; float64 for float64 frames, otherwise float32.

    Raises:
        TypeError: frames, weights or offsets have a wrong type or dtype.
        ValueError: a wrong shape or device, an empty clip, offsets that do not divide up all
            frames, or a weight of uint64 that does not fit in int64.
    """
    if has_torch_function(tensors := (*tensors_of(frames, offsets), weights)):
        return handle_torch_function(temporal_pool, tensors, frames, weights, offsets)
    sources, bounds = unpack_clips("temporal_pool", frames, offsets)
    if not isinstance(weights, Tensor) or weights.dtype == torch.bool or weights.is_complex():
        kind = weights.dtype if isinstance(weights, Tensor) else type_of(weights)
        raise TypeError(f"temporal_pool: weights must be an integer or floating tensor, got {kind}")
    if weights.dim() != 1 or len(weights) != bounds[-1]:
        raise ValueError(
            f"temporal_pool: weights must be [{bounds[-1]}], one per frame, "
            f"got {list(weights.shape)}"
        )
    device = sources[0].device
    if not weights.is_floating_point():
        # The host plans integer sums, so it has to see the weights.
        on_host = weights.to("cpu")
        wide = on_host.to(torch.int64)
        if weights.dtype == torch.uint64 and (wide < 0).any():
            k = int((wide < 0).nonzero()[0])
            raise ValueError(
                f"temporal_pool: weights[{k}] must fit in int64, got {on_host[k].item()}"
            )
        weights = wide
    elif weights.device != device:
        raise ValueError(
            f"temporal_pool: weights must be on the device of frames, {device}, "
            f"got {weights.device}"
        )
    begins, ends = torch.tensor([bounds[:-1], bounds[1:]], device="cpu")
    clips = torch.stack([begins, begins, ends], 1)
    lengths = ends - begins
    index = torch.arange(bounds[-1], device="cpu") - begins.repeat_interleave(lengths)
    pooled = pool_terms(sources, clips, index, weights.contiguous(), bounds[-1], "none")
    return pooled[0] if is_single(frames, offsets) else pooled


def pool_terms(
    frames: list[Tensor],
    clips: Tensor,
    index: Tensor,
    weights: Tensor,
    total: int,
    normalize: str,
) -> Tensor:
    """Calls the op `temporal_pool` (see csrc/ops.cpp) with pixels in memory order.

    Args:
        frames: [T_i, ...] each, with frames of one shape, dtype and device.
        clips: [B, 3] int64: the first frame of each clip, counted over all tensors, the first term,
            and the last term plus 1. Clips may overlap.
        index: [K] int64, frames counted from the first of a clip.
        weights: [K] int64, or floating on the frames' device or the CPU.
        total: the number of terms of all clips together.
        normalize: one of `NORMALIZATIONS`.

    Returns:
        [B, ...]
    """
    if weights.is_floating_point() and weights.device != frames[0].device:
        weights = weights.to(frames[0].device)
    return _pool(frames, ops.temporal_pool.default, clips, index, weights, total, normalize)


def pool_motion(
    frames: list[Tensor], clips: Tensor, total: int, rectify: bool, normalize: str
) -> Tensor:
    """Calls the op `motion_pool` in the same way.

    Args:
        frames: [T_i, ...] each, with frames of one shape, dtype and device.
        clips: [B, 2] int64: the first frame of each clip, counted over all tensors, and its length.
        total: the number of frames of all clips together.
        rectify: sums max(FT, 0) instead of |FT|.
        normalize: one of `NORMALIZATIONS`.

    Returns:
        [B, ...]
    """
    return _pool(frames, ops.motion_pool.default, clips, total, rectify, normalize)


def _pool(frames: list[Tensor], op: Any, *args: Any) -> Tensor:
    order = memory_order(frames[0])
    if order is None:
        return op(frames, *args)
    images = op([source.permute(order) for source in frames], *args)
    return images.permute([order.index(d) for d in range(len(order))])


def memory_order(frames: Tensor) -> list[int] | None:
    """The permutation that puts the pixels of [T, ...] in memory order; None if they are in it."""
    if frames.is_contiguous():
        return None
    strides = frames.stride()
    order = [0, *sorted(range(1, frames.dim()), key=lambda d: -strides[d])]
    return None if order == list(range(frames.dim())) else order
