"""What torch asks of the ops beside values and derivatives: shapes, batching, functional forms.

The same whichever library holds the derivatives (csrc/autograd or _derivatives.py). vmap is asked
in Python on both, as the headers of torch's own batching need one that its wheels do not hold.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from originet_ext._library import ops

# Kept alive, as its registrations end with it.
_library = torch.library.Library("originet", "IMPL")
_FUNCTIONALIZE = torch._C.DispatchKeySet(torch._C.DispatchKey.Functionalize)


# Shapes of results, for fake and meta tensors.


@torch.library.register_fake("originet::rrelu_forward")
def _(x: Tensor, alpha: float) -> Tensor:
    return torch.empty_like(x)


@torch.library.register_fake("originet::rrelu_forward_")
def _(x: Tensor, alpha: float) -> Tensor:
    return x


@torch.library.register_fake("originet::rrelu_backward")
def _(grad: Tensor, x: Tensor, alpha: float) -> Tensor:
    return torch.empty_like(x)


@torch.library.register_fake("originet::rrelu_add_forward")
def _(a: Tensor, b: Tensor, alpha: float) -> Tensor:
    return torch.empty_like(a)


@torch.library.register_fake("originet::rrelu_add_backward")
def _(grad: Tensor, a: Tensor, b: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(a), torch.empty_like(a)


def _normalisable(x: Tensor) -> Tensor:
    """As the host function of this name: contiguous and channels_last stay."""
    return x if x.is_contiguous() or x.movedim(1, -1).is_contiguous() else x.contiguous()


def _vectors(a: Tensor, count: int) -> tuple[Tensor, ...]:
    dtype = torch.float64 if a.dtype == torch.float64 else torch.float32
    return tuple(a.new_empty(a.shape[1], dtype=dtype) for _ in range(count))


@torch.library.register_fake("originet::rrelu_add_norm_forward")
def _(a: Tensor, *_: Any) -> tuple[Tensor, ...]:
    return torch.empty_like(_normalisable(a)), *_vectors(a, 3)


@torch.library.register_fake("originet::rrelu_add_norm_backward")
def _(grad: Tensor, a: Tensor, *_: Any) -> tuple[Tensor, ...]:
    like = _normalisable(a)
    return torch.empty_like(like), torch.empty_like(like), *_vectors(a, 4)


def _pooled(frames: Tensor, images: int | torch.SymInt) -> Tensor:
    dtype = torch.float64 if frames.dtype == torch.float64 else torch.float32
    return frames.new_empty((images, *frames.shape[1:]), dtype=dtype)


@torch.library.register_fake("originet::temporal_pool")
def _(frames: list[Tensor], clips: Tensor, *_: Any) -> Tensor:
    return _pooled(frames[0], clips.shape[0])


@torch.library.register_fake("originet::motion_pool")
def _(frames: list[Tensor], clips: Tensor, *_: Any) -> Tensor:
    return _pooled(frames[0], clips.shape[0])


@torch.library.register_fake("originet::sliding_pool")
def _(frames: Tensor, window: int, stride: int, method: str, normalize: str) -> Tensor:
    return _pooled(frames, (frames.shape[0] - window) // stride + 1)


# The op that writes, for functional graphs.


def _functional(x: Tensor, alpha: float) -> Tensor:
    """As torch's generated code for its own: not by `copy_`, which would want a derivative."""
    torch._sync(x)
    value = torch._from_functional_tensor(x)
    with torch._C._ExcludeDispatchKeyGuard(_FUNCTIONALIZE):
        changed = ops.rrelu_forward.default(value, alpha)
    torch._functionalize_replace(x, changed)
    torch._functionalize_commit_update(x)
    torch._sync(x)
    return x


_library.impl("rrelu_forward_", _functional, "Functionalize")


# vmap


def _element_wise(op: Any) -> Callable[..., Any]:
    """Batch dimensions go first in every tensor, and the op runs once."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        *tensors, alpha = args
        batched = [
            tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            for tensor, dim in zip(tensors, in_dims, strict=False)
        ]
        result = op(*batched, alpha)
        return result, (0,) * len(result) if isinstance(result, tuple) else 0

    return rule


def _one_by_one(op: Any) -> Callable[..., Any]:
    """One call an entry of the batch: each has statistics, or clips and weights, of its own."""

    def entry(x: Any, dim: Any, i: int) -> Any:
        if isinstance(x, list | tuple):
            return [entry(part, d, i) for part, d in zip(x, dim, strict=True)]
        return x if dim is None else x.select(dim, i)

    def rule(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
        results = [
            op(*(entry(x, dim, i) for x, dim in zip(args, in_dims, strict=True)))
            for i in range(info.batch_size)
        ]
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        stacked = tuple(torch.stack(column) for column in zip(*results, strict=True))
        return stacked, (0,) * len(stacked)

    return rule


for _rule, _names in {
    _element_wise: (
        "rrelu_forward",
        "rrelu_forward_",
        "rrelu_backward",
        "rrelu_add_forward",
        "rrelu_add_backward",
    ),
    _one_by_one: (
        "rrelu_add_norm_forward",
        "rrelu_add_norm_backward",
        "temporal_pool",
        "motion_pool",
        "sliding_pool",
    ),
}.items():
    for _name in _names:
        torch.library.register_vmap(f"originet::{_name}", _rule(getattr(ops, _name).default))
