"""Active imaging: a clip of frames summed over time into one image, in one pass over the frames."""

import functools
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from originet_ext._autograd import call, kernel
from originet_ext._checks import METHODS, NORMALIZATIONS, check_method, unpack_clips
from originet_ext._library import ops
from originet_ext._weights import weight_array
from originet_ext.reference import normalize_images

__all__ = ["METHODS", "NORMALIZATIONS", "active_image", "temporal_pool"]


def active_image(
    frames: Tensor | Sequence[Tensor],
    offsets: Tensor | None = None,
    method: str = "paper",
    normalize: str = "none",
) -> Tensor:
    """Sums a clip into one image that holds its motion.

    With frames F_1..F_n and FT(t) = F_t - F_(t-1), FT(1) = 0, the methods are

    - `paper`: sum over t = 2..n of FT(t-1) + FT(t), which telescopes to F_n + F_(n-1) - 2 F_1
      (n = 2: F_2 - F_1), so only three frames are read;
    - `authors`: weights max(m-1, 0) - max(n-2-m, 0) for m = 0..n-1, as the authors' released
      program; equals `rank-simple` but for the two end frames;
    - `absolute`: the sum of `paper` over |FT|, motion energy;
    - `rectified`: the sum of `paper` over max(FT, 0), what saturating uint8 subtraction gives;
    - `rank`: approximate rank pooling (the dynamic image); `rank-simple`: weights 2t - n - 1;
    - `learnet`: the authors' LEARNet program; its weights sum to n, so the face stays visible.

    A clip of one frame gives zeros. All methods but `rank` and `learnet` are exact for uint8
    frames (integer sums, rounded once to float32 above 2^24) and so bit-identical between devices.
    The others accumulate in float32 (float64 for float64 frames) with an absolute error of at most
    (n + 2) * 2^-24 * sum_t |w_t * F_t|.

    Args:
        frames: one clip [T, ...]; packed clips [sum T, ...] with `offsets`; or a list of clips
            [T_i, ...] with frames of one shape. uint8 (0..255) or floating, 2 dimensions or more,
            pixels and channels in any order.
        offsets: int64 [B + 1], from 0, increasing, to sum T; clip b is
            frames[offsets[b]:offsets[b + 1]].
        method: one of `METHODS`.
        normalize: one of `NORMALIZATIONS`: "none"; "clip", saturate to 0..255; "minmax", each clip
            linearly to 0..255.

    Returns:
        [...] for one clip, else [B, ...]; float64 for float64 frames, else float32. Differentiable
        for floating frames.

    Raises:
        TypeError: frames or offsets have a wrong type or dtype.
        ValueError: an unknown method or normalisation, an empty clip, a wrong shape or offsets
            that do not cut up the frames.

    Reference: Verma et al., arXiv:2005.07991, Eqs. (1)-(3); Bilen et al., "Action Recognition with
    Dynamic Image Networks", for `rank`.
    """
    check_method("active_image", method, normalize)
    packed, bounds = unpack_clips("active_image", frames, offsets)
    if method in ("absolute", "rectified"):
        images = call(
            ops.motion_pool.default,
            _MotionPool,
            packed,
            torch.tensor(bounds, device="cpu"),
            method == "rectified",
        )
    else:
        plan = map(torch.from_numpy, _sparse_weights(method, tuple(bounds)))
        images = call(ops.temporal_pool.default, _TemporalPool, packed, *plan)
    images = normalize_images(images, normalize)
    return images[0] if isinstance(frames, Tensor) and offsets is None else images


def temporal_pool(
    frames: Tensor | Sequence[Tensor], weights: Tensor, offsets: Tensor | None = None
) -> Tensor:
    """Weighted sum over time: out[b] = sum over t of clip b of weights[t] * frames[t].

    Args:
        frames: as for `active_image`.
        weights: [sum T], one a frame. An integer dtype with uint8 frames is summed exactly; a
            floating dtype must be on the frames' device and is differentiable.
        offsets: int64 [B + 1], as for `active_image`.

    Returns:
        [...] for one clip, else [B, ...]; float64 for float64 frames, else float32.

    Raises:
        TypeError: frames, weights or offsets have a wrong type or dtype.
        ValueError: a wrong shape or device, an empty clip, or offsets that do not cut up
            the frames.
    """
    packed, bounds = unpack_clips("temporal_pool", frames, offsets)
    if not isinstance(weights, Tensor) or weights.dtype == torch.bool or weights.is_complex():
        kind = weights.dtype if isinstance(weights, Tensor) else type(weights).__name__
        raise TypeError(f"temporal_pool: weights must be an integer or floating tensor, got {kind}")
    if weights.dim() != 1 or len(weights) != len(packed):
        raise ValueError(
            f"temporal_pool: weights must be [{len(packed)}], one a frame, "
            f"got {list(weights.shape)}"
        )
    if not weights.is_floating_point():
        # The host plans integer sums, so it must see the weights.
        weights = weights.to("cpu", torch.int64)
    elif weights.device != packed.device:
        raise ValueError(
            f"temporal_pool: weights must be on the device of frames, {packed.device}, "
            f"got {weights.device}"
        )
    plan = (
        torch.arange(len(packed), device="cpu"),
        weights.contiguous(),
        torch.tensor(bounds, device="cpu"),
    )
    pooled = call(ops.temporal_pool.default, _TemporalPool, packed, *plan)
    return pooled[0] if isinstance(frames, Tensor) and offsets is None else pooled


@functools.lru_cache(maxsize=256)
def _sparse_weights(
    method: str, bounds: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The frames with a weight other than 0 (index [K], weights [K]) and each clip's segment.

    Arrays, because cached tensors would keep the mode in which they were made.
    """
    index, weights, segments = [], [], [0]
    for start, end in pairwise(bounds):
        clip_weights = weight_array(method, end - start)
        (used,) = clip_weights.nonzero()
        index.append(used + start)
        weights.append(clip_weights[used])
        segments.append(segments[-1] + len(used))
    return np.concatenate(index), np.concatenate(weights), np.array(segments)


def _rows(x: Tensor) -> Tensor:
    """[N, ...] as [N, P]; not flatten(1), which gradcheck's batching does not know."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def _clip_of(segments: Tensor, device: torch.device) -> Tensor:
    """[K]: the clip that each term of [0, segments[-1]) belongs to."""
    clips = torch.arange(len(segments) - 1, device="cpu")
    return clips.repeat_interleave(segments.diff()).to(device)


class _TemporalPool(torch.autograd.Function):
    """The op's backward is plain PyTorch: frames seldom need a gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(frames: Tensor, index: Tensor, weights: Tensor, segments: Tensor) -> Tensor:
        return kernel(ops.temporal_pool.default, frames, index, weights, segments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        frames, index, weights, segments = ctx.saved_tensors
        terms = _rows(grad)[_clip_of(segments, grad.device)]  # [K, P]
        index = index.to(grad.device)
        grad_frames = grad_weights = None
        if ctx.needs_input_grad[0]:
            column = weights.to(grad).unsqueeze(1)
            zeros = torch.zeros(len(frames), terms.shape[1], dtype=grad.dtype, device=grad.device)
            grad_frames = zeros.index_add(0, index, column * terms)
            grad_frames = grad_frames.reshape(frames.shape).to(frames.dtype)
        if ctx.needs_input_grad[2]:
            grad_weights = (_rows(frames)[index].to(grad.dtype) * terms).sum(1).to(weights.dtype)
        return grad_frames, None, grad_weights, None

    @staticmethod
    def jvp(
        ctx: Any, frames_tangent: Tensor | None, _: Any, weights_tangent: Tensor | None, __: Any
    ) -> Tensor:
        frames, index, weights, segments = ctx.saved_tensors
        tangents = []
        if frames.is_floating_point() and frames_tangent is not None:
            tangents.append(_TemporalPool.apply(frames_tangent, index, weights, segments))
        if weights.is_floating_point() and weights_tangent is not None:
            tangents.append(_TemporalPool.apply(frames, index, weights_tangent, segments))
        return sum(tangents[1:], tangents[0])


class _MotionPool(torch.autograd.Function):
    """Of |FT| or max(FT, 0); the derivative where FT = 0 is 0, as of `abs` and `relu`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(frames: Tensor, offsets: Tensor, rectify: bool) -> Tensor:
        return kernel(ops.motion_pool.default, frames, offsets, rectify)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        frames, offsets, ctx.rectify = inputs
        ctx.save_for_backward(frames, offsets)
        ctx.save_for_forward(frames, offsets)

    @staticmethod
    def slopes(frames: Tensor, offsets: Tensor, rectify: bool, dtype: torch.dtype) -> Tensor:
        """[T, P]: d(out of the frame's clip) / d(FT(t)); 0 where a clip begins."""
        flat = _rows(frames.detach()).to(dtype)
        change = torch.cat([torch.zeros_like(flat[:1]), flat.diff(dim=0)])
        sign = (change > 0).to(dtype) if rectify else change.sign()
        # Every difference counts twice but the last one, which counts once.
        count = torch.full((len(frames), 1), 2.0, dtype=dtype, device=frames.device)
        bounds = offsets.to(frames.device)
        count[bounds[1:] - 1] = 1
        count[bounds[:-1]] = 0
        return count * sign

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        frames, offsets = ctx.saved_tensors
        slopes = _MotionPool.slopes(frames, offsets, ctx.rectify, grad.dtype)
        grad_change = slopes * _rows(grad)[_clip_of(offsets, grad.device)]
        grad_frames = grad_change - torch.cat([grad_change[1:], torch.zeros_like(grad_change[:1])])
        return grad_frames.reshape(frames.shape).to(frames.dtype), None, None

    @staticmethod
    def jvp(ctx: Any, frames_tangent: Tensor, _: Any, __: Any) -> Tensor:
        frames, offsets = ctx.saved_tensors
        dtype = torch.float64 if frames.dtype == torch.float64 else torch.float32
        slopes = _MotionPool.slopes(frames, offsets, ctx.rectify, dtype)
        tangent = _rows(frames_tangent).to(dtype)
        change = torch.cat([torch.zeros_like(tangent[:1]), tangent.diff(dim=0)])
        sums = torch.zeros(len(offsets) - 1, change.shape[1], dtype=dtype, device=change.device)
        sums = sums.index_add(0, _clip_of(offsets, change.device), slopes * change)
        return sums.reshape(-1, *frames.shape[1:])


def _pooled_like(frames: Tensor, clips: int) -> Tensor:
    dtype = torch.float64 if frames.dtype == torch.float64 else torch.float32
    return frames.new_empty((clips, *frames.shape[1:]), dtype=dtype)


@torch.library.register_fake("originet::temporal_pool")
def _(frames: Tensor, index: Tensor, weights: Tensor, segments: Tensor) -> Tensor:
    return _pooled_like(frames, segments.shape[0] - 1)


@torch.library.register_fake("originet::motion_pool")
def _(frames: Tensor, offsets: Tensor, rectify: bool) -> Tensor:
    return _pooled_like(frames, offsets.shape[0] - 1)


def _pixels_last(name: str) -> None:
    """The vmap rule of both pools: a batch of frames is one more pixel dimension."""
    op = getattr(ops, name)

    def rule(info: Any, in_dims: tuple[int | None, ...], frames: Tensor, *rest: Any) -> Any:
        if in_dims[0] is None or any(dim is not None for dim in in_dims[1:]):
            raise NotImplementedError(f"originet::{name}: vmap goes over frames alone")
        return op(frames.movedim(in_dims[0], -1), *rest), -1

    torch.library.register_vmap(f"originet::{name}", rule)


for _name, _function in {"temporal_pool": _TemporalPool, "motion_pool": _MotionPool}.items():
    _pixels_last(_name)
    torch.library.register_autograd(
        f"originet::{_name}", _function.backward, setup_context=_function.setup_context
    )
