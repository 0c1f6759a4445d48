"""What torch needs from the ops besides values and derivatives: shapes, batching, functional forms.

The rules do not depend on which library has the derivatives (csrc/autograd or _derivatives.py).
Those for vmap are in Python in both cases, because torch's headers for batching include one that
its wheels lack.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from originet_ext._checks import FLOATING
from originet_ext._library import ops

# Kept alive, as its registrations end with it.
_library = torch.library.Library("originet", "IMPL")
_FUNCTIONALIZE = torch._C.DispatchKeySet(torch._C.DispatchKey.Functionalize)


# The shapes of results, for fake and meta tensors. Arguments are first checked as the kernels check
# them, as far as that needs no values: a call that mixes meta and other tensors also comes here,
# and must not get memory that nobody has written to.


def _check_tensor(op: str, name: str, x: Tensor) -> None:
    torch._check(
        x.dtype in FLOATING,
        lambda: f"{op}: {name} must be float16, bfloat16, float32 or float64, got {x.dtype}",
    )


def _check_same_shape(op: str, name: str, x: Tensor, like_name: str, like: Tensor) -> None:
    def message() -> str:
        return f"{op}: {name} must have the shape of {like_name}, {like.shape}, got {x.shape}"

    torch._check(x.dim() == like.dim(), message)
    for size, wanted in zip(x.shape, like.shape, strict=True):
        torch._check(size == wanted, message)


def _check_same_device(op: str, name: str, x: Tensor, like_name: str, like: Tensor) -> None:
    torch._check(
        x.device == like.device,
        lambda: (
            f"{op}: {name} and {like_name} must be on the same device, got {x.device} and "
            f"{like.device}"
        ),
    )


def _check_same_kind(op: str, name: str, x: Tensor, like_name: str, like: Tensor) -> None:
    """Raises unless two tensors have the same dtype and device.

    Gradients are not checked further: compiled autograd traces with gradients of a made-up shape.
    """
    torch._check(
        x.dtype == like.dtype,
        lambda: f"{op}: {name} must have the dtype of {like_name}, {like.dtype}, got {x.dtype}",
    )
    _check_same_device(op, name, x, like_name, like)


def _check_alike(op: str, **tensors: Tensor) -> None:
    """Raises unless all tensors are floating and of the first one's shape, dtype and device."""
    (first_name, first), *others = tensors.items()
    _check_tensor(op, first_name, first)
    for name, x in others:
        _check_same_shape(op, name, x, first_name, first)
        _check_same_kind(op, name, x, first_name, first)


@torch.library.register_fake("originet::rrelu_forward")
def _(x: Tensor, alpha: float) -> Tensor:
    _check_alike("rrelu_forward", x=x)
    return torch.empty_like(x)


@torch.library.register_fake("originet::rrelu_forward_")
def _(x: Tensor, alpha: float) -> Tensor:
    _check_alike("rrelu_forward_", x=x)
    return x


@torch.library.register_fake("originet::rrelu_backward")
def _(grad: Tensor, x: Tensor, alpha: float) -> Tensor:
    op = "rrelu_backward"
    _check_alike(op, x=x)
    _check_same_kind(op, "grad", grad, "x", x)
    return torch.empty_like(x)


@torch.library.register_fake("originet::rrelu_add_forward")
def _(a: Tensor, b: Tensor, alpha: float) -> Tensor:
    _check_alike("rrelu_add_forward", a=a, b=b)
    return torch.empty_like(a)


@torch.library.register_fake("originet::rrelu_add_backward")
def _(grad: Tensor, a: Tensor, b: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    op = "rrelu_add_backward"
    _check_alike(op, a=a, b=b)
    _check_same_kind(op, "grad", grad, "a", a)
    return torch.empty_like(a), torch.empty_like(a)


def _check_vectors(op: str, a: Tensor, **vectors: Tensor | None) -> None:
    """Raises unless a is [N, C, ...] and the vectors are [C], in a's dtype or that of its sums."""
    torch._check(a.dim() >= 2, lambda: f"{op}: a must be [N, C, ...], got {a.shape}")
    for name, x in vectors.items():
        if x is None:
            continue
        shape = f"{op}: {name} must be [{a.shape[1]}], one value per channel of a, got {x.shape}"
        torch._check(x.dim() == 1, lambda shape=shape: shape)
        torch._check(x.shape[0] == a.shape[1], lambda shape=shape: shape)
        _check_same_device(op, name, x, "a", a)
        torch._check(
            x.dtype in (a.dtype, _sum_dtype(a)),
            lambda name=name, x=x: (
                f"{op}: {name} must have the dtype of a, {a.dtype}, or {_sum_dtype(a)}, "
                f"got {x.dtype}"
            ),
        )


def _sum_dtype(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _normalisable(x: Tensor) -> Tensor:
    """Like the C++ function of this name: keeps contiguous and channels_last tensors."""
    return x if x.is_contiguous() or x.movedim(1, -1).is_contiguous() else x.contiguous()


def _vectors(a: Tensor, count: int) -> tuple[Tensor, ...]:
    return tuple(a.new_empty(a.shape[1], dtype=_sum_dtype(a)) for _ in range(count))


@torch.library.register_fake("originet::rrelu_add_norm_forward")
def _(
    a: Tensor,
    b: Tensor,
    bias_a: Tensor | None,
    bias_b: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    eps: float,
    alpha: float,
) -> tuple[Tensor, ...]:
    op = "rrelu_add_norm_forward"
    _check_alike(op, a=a, b=b)
    torch._check(
        (mean is None) == (var is None),
        lambda: f"{op}: mean and var must be given together or not at all",
    )
    vectors = {"bias_a": bias_a, "bias_b": bias_b, "weight": weight, "bias": bias}
    _check_vectors(op, a, **vectors, mean=mean, var=var)
    return torch.empty_like(_normalisable(a)), *_vectors(a, 3)


@torch.library.register_fake("originet::rrelu_add_norm_backward")
def _(
    grad: Tensor,
    a: Tensor,
    b: Tensor,
    bias_a: Tensor | None,
    bias_b: Tensor | None,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    *_: Any,
) -> tuple[Tensor, ...]:
    op = "rrelu_add_norm_backward"
    _check_alike(op, a=a, b=b)
    _check_same_kind(op, "grad", grad, "a", a)
    vectors = {"bias_a": bias_a, "bias_b": bias_b, "weight": weight}
    _check_vectors(op, a, **vectors, mean=mean, rstd=rstd)
    like = _normalisable(a)
    return torch.empty_like(like), torch.empty_like(like), *_vectors(a, 4)


def _check_frames(op: str, frames: Sequence[Tensor]) -> None:
    torch._check(len(frames) > 0, lambda: f"{op}: frames must hold at least one tensor")
    first = frames[0]
    for x in frames:
        torch._check(
            x.dim() >= 2,
            lambda x=x: f"{op}: frames must be [T, ...] with 2 dimensions or more, got {x.shape}",
        )
        torch._check(
            x.dtype == torch.uint8 or x.dtype in FLOATING,
            lambda x=x: f"{op}: frames must be uint8 or floating, got {x.dtype}",
        )

        def message(x: Tensor = x) -> str:
            return (
                f"{op}: all frames must have one shape, dtype and device, got {x.dtype} frames of "
                f"{x.shape} on {x.device} and {first.dtype} of {first.shape} on {first.device}"
            )

        torch._check(x.dim() == first.dim(), message)
        torch._check(x.dtype == first.dtype and x.device == first.device, message)
        for size, wanted in zip(x.shape[1:], first.shape[1:], strict=True):
            torch._check(size == wanted, message)


def _check_numbers(op: str, name: str, x: Tensor, dims: int, frames: Tensor) -> None:
    """Raises unless x is int64 and readable by the host, or on meta like the frames."""
    torch._check(
        x.dtype == torch.int64
        and x.dim() == dims
        and (x.device.type == "cpu" or (x.device == frames.device and x.is_meta)),
        lambda: (
            f"{op}: {name} must be an int64 tensor with {dims} dimensions on the CPU, "
            f"got {x.dtype} {x.shape} on {x.device}"
        ),
    )


def _check_clips(op: str, clips: Tensor, columns: int, frames: Tensor) -> None:
    def message() -> str:
        return f"{op}: clips must be [B, {columns}] with B >= 1, got {clips.shape}"

    _check_numbers(op, "clips", clips, 2, frames)
    torch._check(clips.shape[0] >= 1, message)
    torch._check(clips.shape[1] == columns, message)


def _pooled(frames: Tensor, images: int | torch.SymInt) -> Tensor:
    return frames.new_empty((images, *frames.shape[1:]), dtype=_sum_dtype(frames))


@torch.library.register_fake("originet::temporal_pool")
def _(frames: Sequence[Tensor], clips: Tensor, index: Tensor, weights: Tensor, *_: Any) -> Tensor:
    op = "temporal_pool"
    _check_frames(op, frames)
    _check_clips(op, clips, 3, frames[0])
    _check_numbers(op, "index", index, 1, frames[0])
    if weights.dtype == torch.int64:
        _check_numbers(op, "weights", weights, 1, frames[0])
    else:
        _check_tensor(op, "weights", weights)
        _check_same_device(op, "weights", weights, "frames", frames[0])
    _check_same_shape(op, "weights", weights, "index", index)
    return _pooled(frames[0], clips.shape[0])


@torch.library.register_fake("originet::motion_pool")
def _(frames: Sequence[Tensor], clips: Tensor, *_: Any) -> Tensor:
    _check_frames("motion_pool", frames)
    _check_clips("motion_pool", clips, 2, frames[0])
    return _pooled(frames[0], clips.shape[0])


@torch.library.register_fake("originet::sliding_pool")
def _(frames: Tensor, window: int, stride: int, method: str, normalize: str) -> Tensor:
    op = "sliding_pool"
    _check_frames(op, [frames])
    torch._check(window >= 1, lambda: f"{op}: window must be 1 or more, got {window}")
    torch._check(stride >= 1, lambda: f"{op}: stride must be 1 or more, got {stride}")
    length = frames.shape[0]
    torch._check(
        window <= length, lambda: f"{op}: window must be at most {length} frames, got {window}"
    )
    return _pooled(frames, (length - window) // stride + 1)


def _check_convolved(op: str, **tensors: Tensor) -> None:
    x = tensors["x"]
    for name, t in tensors.items():
        torch._check(
            t.dim() == 4,
            lambda name=name, t=t: f"{op}: {name} must have 4 dimensions, got {t.shape}",
        )
        torch._check(
            t.dtype == torch.float32,
            lambda name=name, t=t: f"{op}: {name} must be float32, got {t.dtype}",
        )
        _check_same_device(op, name, t, "x", x)


@torch.library.register_fake("originet::hybrid_conv_forward")
def _(x: Tensor, small: Tensor, large: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    _check_convolved("hybrid_conv_forward", x=x, small=small, large=large)
    images, height, width, _ = x.shape
    shape = (images, (height + 1) // 2, (width + 1) // 2, small.shape[0])
    return x.new_empty(shape), x.new_empty(shape)


@torch.library.register_fake("originet::hybrid_conv_backward")
def _(
    grad_small: Tensor,
    grad_large: Tensor,
    x: Tensor,
    small: Tensor,
    large: Tensor,
    down: int,
    right: int,
    of_x: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    op = "hybrid_conv_backward"
    _check_convolved(
        op, grad_small=grad_small, grad_large=grad_large, x=x, small=small, large=large
    )
    of_images = x.new_empty(x.shape if of_x else (0,))
    return of_images, x.new_empty(small.shape), x.new_empty(large.shape)


# Layouts that no kernel reads. torch's own error lists all its backends.


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(*args: Any) -> Any:
        tensors = [x for arg in args for x in (arg if isinstance(arg, list | tuple) else (arg,))]
        kinds = {
            "quantized" if x.is_quantized else "nested" if x.is_nested else str(x.layout)
            for x in tensors
            if isinstance(x, Tensor)
        } - {str(torch.strided)}
        raise NotImplementedError(f"{name}: tensors must be dense, got {', '.join(sorted(kinds))}")

    return refuse


for _key in (
    *("SparseCPU", "SparseCUDA", "SparseMeta", "SparseCsrCPU", "SparseCsrCUDA", "SparseCsrMeta"),
    *("QuantizedCPU", "QuantizedCUDA", "MkldnnCPU"),
    *("NestedTensorCPU", "NestedTensorCUDA", "NestedTensorMeta"),
):
    for _name in (
        *("rrelu_forward", "rrelu_forward_", "rrelu_backward"),
        *("rrelu_add_forward", "rrelu_add_backward"),
        *("rrelu_add_norm_forward", "rrelu_add_norm_backward"),
        *("temporal_pool", "motion_pool", "sliding_pool"),
        *("hybrid_conv_forward", "hybrid_conv_backward"),
    ):
        _library.impl(_name, _refuse(_name), _key)


def _refuse_device(name: str) -> Callable[..., Any]:
    def refuse(*args: Any) -> Any:
        raise NotImplementedError(f"{name}: only on the CPU")

    return refuse


for _name in ("hybrid_conv_forward", "hybrid_conv_backward"):
    _library.impl(_name, _refuse_device(_name), "CUDA")


# The in-place op, for functional graphs.


def _functional(x: Tensor, alpha: float) -> Tensor:
    """As in torch's generated code for its own ops. `copy_` would need a derivative."""
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
    """Moves batch dimensions to the front of every tensor and runs the op once."""

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
    """Calls the op once per entry, which has its own statistics, or its own clips and weights."""

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
