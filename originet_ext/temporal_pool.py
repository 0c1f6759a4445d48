"""The temporal pools behind active imaging: weighted sums over time, and sums of differences."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from originet_ext._autograd import call, kernel, may_differentiate
from originet_ext._clips import is_single, tensors_of, unpack_clips
from originet_ext._library import ops
from originet_ext.reference import normalize_images

__all__ = ["memory_order", "pool_motion", "pool_terms", "temporal_pool"]


def temporal_pool(
    frames: Tensor | Sequence[Tensor], weights: Tensor, offsets: Tensor | None = None
) -> Tensor:
    """Weighted sum over time: out[b] = sum over t of clip b of weights[t] * frames[t].

    Args:
        frames: as for `active_image`.
        weights: [sum T], one a frame. An integer dtype with uint8 frames is summed exactly; with
            floating frames, a clip whose integer weights sum to 0 gives exactly 0 for pixels at
            rest. A floating dtype must be on the frames' device and is differentiable.
        offsets: int64 [B + 1], as for `active_image`.

    Returns:
        [...] for one clip, else [B, ...]; float64 for float64 frames, else float32.

    Raises:
        TypeError: frames, weights or offsets have a wrong type or dtype.
        ValueError: a wrong shape or device, an empty clip, offsets that do not cut up the frames,
            or a weight of uint64 that does not fit in int64.
    """
    if has_torch_function(tensors := (*tensors_of(frames, offsets), weights)):
        return handle_torch_function(temporal_pool, tensors, frames, weights, offsets)
    sources, bounds = unpack_clips("temporal_pool", frames, offsets)
    if not isinstance(weights, Tensor) or weights.dtype == torch.bool or weights.is_complex():
        kind = weights.dtype if isinstance(weights, Tensor) else type(weights).__name__
        raise TypeError(f"temporal_pool: weights must be an integer or floating tensor, got {kind}")
    if weights.dim() != 1 or len(weights) != bounds[-1]:
        raise ValueError(
            f"temporal_pool: weights must be [{bounds[-1]}], one a frame, got {list(weights.shape)}"
        )
    device = sources[0].device
    if not weights.is_floating_point():
        # The host plans integer sums, so it must see the weights.
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
    pooled = pool_terms(sources, clips, index, weights.contiguous(), "none")
    return pooled[0] if is_single(frames, offsets) else pooled


def pool_terms(
    frames: list[Tensor], clips: Tensor, index: Tensor, weights: Tensor, normalize: str
) -> Tensor:
    """Calls the op `temporal_pool`, see csrc/ops.cpp, by the road that differentiates if asked.

    Args:
        frames: [T_i, ...] each, with frames of one shape, dtype and device.
        clips: [B, 3] int64: the first frame of each clip, counted over all tensors, and the first
            and the last term plus 1. Clips may overlap.
        index: [K] int64, frames counted from the first one of a clip.
        weights: [K] int64, or floating on the frames' device or the CPU.
        normalize: one of `NORMALIZATIONS`.

    Returns:
        [B, ...]
    """
    if weights.is_floating_point() and weights.device != frames[0].device:
        weights = weights.to(frames[0].device)
    return _pool(frames, normalize, ops.temporal_pool.default, _TemporalPool, clips, index, weights)


def pool_motion(frames: list[Tensor], clips: Tensor, rectify: bool, normalize: str) -> Tensor:
    """Calls the op `motion_pool` likewise.

    Args:
        frames: [T_i, ...] each, with frames of one shape, dtype and device.
        clips: [B, 2] int64: the first frame of each clip, counted over all tensors, and its length.
        rectify: sums max(FT, 0) in place of |FT|.
        normalize: one of `NORMALIZATIONS`.

    Returns:
        [B, ...]
    """
    return _pool(frames, normalize, ops.motion_pool.default, _MotionPool, clips, rectify)


def _pool(frames: list[Tensor], normalize: str, op: Any, function: Any, *args: Any) -> Tensor:
    order = memory_order(frames[0])
    if order is not None:
        frames = [source.permute(order) for source in frames]
    if _differentiable(*frames, *args):
        # The op takes tensors apart; derivatives are defined for all frames in one.
        packed = frames[0] if len(frames) == 1 else torch.cat(frames)
        images = call(lambda packed, *rest: op([packed], *rest, "none"), function, packed, *args)
        images = normalize_images(images, normalize)
    elif torch.compiler.is_compiling():
        images = op(frames, *args, normalize)
    else:
        images = kernel(op, frames, *args, normalize)
    if order is not None:
        images = images.permute([order.index(d) for d in range(len(order))])
    return images


def _differentiable(*args: Any) -> bool:
    """Whether derivatives may be asked for; while compiling, whether they could ever be."""
    if torch.compiler.is_compiling():
        return any(isinstance(x, Tensor) and x.is_floating_point() for x in args)
    return may_differentiate(*args)


def memory_order(frames: Tensor) -> list[int] | None:
    """The permutation that brings pixels of [T, ...] into the order of memory, if they are not."""
    if frames.is_contiguous():
        return None
    strides = frames.stride()
    order = [0, *sorted(range(1, frames.dim()), key=lambda d: -strides[d])]
    return None if order == list(range(frames.dim())) else order


def _rows(x: Tensor) -> Tensor:
    """[N, ...] as [N, P]; not flatten(1), which gradcheck's batching does not know."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def _spread(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """For B ranges of numbers: all numbers [K], and the range [K] that each belongs to."""
    ranges = torch.arange(len(counts), device="cpu").repeat_interleave(counts)
    before = counts.cumsum(0) - counts
    # Not arange, whose length would have to be known while tracing.
    return torch.ones_like(ranges).cumsum(0) - 1 + (starts - before)[ranges], ranges


class _TemporalPool(torch.autograd.Function):
    """The op's backward is plain PyTorch: frames seldom need a gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(frames: Tensor, clips: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        return kernel(ops.temporal_pool.default, [frames], clips, index, weights, "none")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, Tensor | None]:
        frames, clips, index, weights = ctx.saved_tensors
        terms, clip_of = _spread(clips[:, 1], clips[:, 2] - clips[:, 1])  # [K'], clips may share
        frame_of = (index[terms] + clips[clip_of, 0]).to(grad.device)
        terms = terms.to(weights.device)
        upstream = _rows(grad)[clip_of.to(grad.device)]  # [K', P]
        grad_frames = grad_weights = None
        if ctx.needs_input_grad[0]:
            column = weights[terms].to(grad).unsqueeze(1)
            zeros = torch.zeros(
                len(frames), upstream.shape[1], dtype=grad.dtype, device=grad.device
            )
            grad_frames = zeros.index_add(0, frame_of, column * upstream)
            grad_frames = grad_frames.reshape(frames.shape).to(frames.dtype)
        if ctx.needs_input_grad[3]:
            products = (_rows(frames)[frame_of].to(grad.dtype) * upstream).sum(1)
            zeros = torch.zeros(len(weights), dtype=grad.dtype, device=grad.device)
            grad_weights = zeros.index_add(0, terms, products).to(weights.dtype)
        return grad_frames, None, None, grad_weights

    @staticmethod
    def jvp(
        ctx: Any, frames_tangent: Tensor | None, _: Any, __: Any, weights_tangent: Tensor | None
    ) -> Tensor:
        frames, clips, index, weights = ctx.saved_tensors
        tangents = []
        if frames.is_floating_point() and frames_tangent is not None:
            tangents.append(_TemporalPool.apply(frames_tangent, clips, index, weights))
        if weights.is_floating_point() and weights_tangent is not None:
            tangents.append(_TemporalPool.apply(frames, clips, index, weights_tangent))
        return sum(tangents[1:], tangents[0])


class _MotionPool(torch.autograd.Function):
    """Of |FT| or max(FT, 0); the derivative where FT = 0 is 0, as of `abs` and `relu`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(frames: Tensor, clips: Tensor, rectify: bool) -> Tensor:
        return kernel(ops.motion_pool.default, [frames], clips, rectify, "none")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        frames, clips, ctx.rectify = inputs
        ctx.save_for_backward(frames, clips)
        ctx.save_for_forward(frames, clips)

    @staticmethod
    def slopes(
        frames: Tensor, clips: Tensor, rectify: bool, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All steps of all clips: the later frame [K], the clip [K], d(out) / d(FT) [K, P]."""
        later, clip_of = _spread(clips[:, 0] + 1, clips[:, 1] - 1)
        # Every difference counts twice but a clip's last one, which counts once.
        count = torch.where(later == clips.sum(1)[clip_of] - 1, 1.0, 2.0)
        later, clip_of, count = (x.to(frames.device) for x in (later, clip_of, count))
        flat = _rows(frames.detach()).to(dtype)
        change = flat[later] - flat[later - 1]
        sign = (change > 0).to(dtype) if rectify else change.sign()
        return later, clip_of, count.to(dtype).unsqueeze(1) * sign

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        frames, clips = ctx.saved_tensors
        later, clip_of, slopes = _MotionPool.slopes(frames, clips, ctx.rectify, grad.dtype)
        grad_change = slopes * _rows(grad)[clip_of]
        zeros = torch.zeros(len(frames), grad_change.shape[1], dtype=grad.dtype, device=grad.device)
        grad_frames = zeros.index_add(0, later, grad_change).index_add(0, later - 1, -grad_change)
        return grad_frames.reshape(frames.shape).to(frames.dtype), None, None

    @staticmethod
    def jvp(ctx: Any, frames_tangent: Tensor, _: Any, __: Any) -> Tensor:
        frames, clips = ctx.saved_tensors
        dtype = torch.float64 if frames.dtype == torch.float64 else torch.float32
        later, clip_of, slopes = _MotionPool.slopes(frames, clips, ctx.rectify, dtype)
        tangent = _rows(frames_tangent).to(dtype)
        change = tangent[later] - tangent[later - 1]
        sums = torch.zeros(len(clips), change.shape[1], dtype=dtype, device=change.device)
        return sums.index_add(0, clip_of, slopes * change).reshape(-1, *frames.shape[1:])


def _pooled_like(frames: Tensor, clips: Tensor) -> Tensor:
    dtype = torch.float64 if frames.dtype == torch.float64 else torch.float32
    return frames.new_empty((clips.shape[0], *frames.shape[1:]), dtype=dtype)


@torch.library.register_fake("originet::temporal_pool")
def _(
    frames: list[Tensor], clips: Tensor, index: Tensor, weights: Tensor, normalize: str
) -> Tensor:
    return _pooled_like(frames[0], clips)


@torch.library.register_fake("originet::motion_pool")
def _(frames: list[Tensor], clips: Tensor, rectify: bool, normalize: str) -> Tensor:
    return _pooled_like(frames[0], clips)


def _register(name: str, function: Any) -> None:
    """Registers the autograd and vmap rules of an op from those of its Function."""
    op = getattr(ops, name)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        frames, *rest, normalize = inputs
        if normalize != "none":
            raise RuntimeError(
                f"originet::{name}: only normalize 'none' has a derivative, got {normalize!r}"
            )
        ctx.lengths = [len(source) for source in frames]
        function.setup_context(ctx, (torch.cat(frames), *rest), output)

    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        grad_frames, *rest = function.backward(ctx, grad)
        return list(grad_frames.split(ctx.lengths)), *rest, None

    def vmap(info: Any, in_dims: tuple[Any, ...], frames: list[Tensor], *rest: Any) -> Any:
        if None in in_dims[0] or any(dim is not None for dim in in_dims[1:]):
            raise NotImplementedError(f"originet::{name}: vmap goes over frames alone")
        # A batch of frames is one more pixel dimension.
        moved = [x.movedim(dim, -1) for x, dim in zip(frames, in_dims[0], strict=True)]
        return op(moved, *rest), -1

    torch.library.register_autograd(f"originet::{name}", backward, setup_context=setup_context)
    torch.library.register_vmap(f"originet::{name}", vmap)


_register("temporal_pool", _TemporalPool)
_register("motion_pool", _MotionPool)
