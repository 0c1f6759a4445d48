"""The hybrid block's join with its normalisation, BN(psi(a) + psi(b)), as one op.

Eq. (7) of arXiv:2005.07991 with the branches' convolution biases folded in.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function

from originet_ext import reference
from originet_ext._autograd import kernel, may_differentiate
from originet_ext._checks import check_norm
from originet_ext._decomposition import decompositions
from originet_ext._library import ops
from originet_ext.rrelu import fused_rrelu_add


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
    """batch_norm(psi(a + bias_a) + psi(b + bias_b)): a hybrid block after its convolutions.

    Statistics, running statistics and errors are those of `torch.nn.BatchNorm2d`. Backward keeps a,
    b and [C] vectors; the activations are computed again. Double backward works; under `torch.func`
    transforms and forward-mode AD, and for the second derivative, plain PyTorch takes over, which
    keeps its intermediates.

    Args:
        a: the first branch [N, C, ...], any strides, float16, bfloat16, float32 or float64.
            Contiguous and channels_last tensors are used as they are, others copied first.
        b: the second branch, of a's shape, dtype and device; best in a's layout.
        weight: scale [C], or None for 1. This and all [C] arguments below have the dtype of a, or
            float32 where a is 16-bit.
        bias: shift [C], or None for 0.
        running_mean: [C], updated in place in training, used in evaluation. None: both modes use
            the statistics of the batch.
        running_var: [C], like running_mean; updated with the unbiased variance.
        bias_a: [C], added to a: the bias of a convolution that ran without it. None for 0.
        bias_b: [C], added to b. None for 0.
        training: normalise with the statistics of the batch.
        momentum: weight of the batch in the running statistics.
        eps: added to the variance; positive, or 0 with running statistics.
        alpha: slope of psi's L below zero, finite.

    Returns:
        Like a; channels_last for a channels_last a, else contiguous. 16-bit types compute in
        float32 and round once. A batch without elements gives one, and leaves the running
        statistics alone.

    Raises:
        TypeError: an argument is not a tensor of a dtype it may have.
        ValueError: shapes or devices do not fit, only one running statistic is given, eps or alpha
            is out of range, or batch statistics are asked of one value a channel.

    Example:
        >>> a, b = torch.randn(2, 8, 3, 4, 4)
        >>> fused_rrelu_add_norm(a, b, torch.ones(3), torch.zeros(3)).shape
        torch.Size([8, 3, 4, 4])

    Reference: Verma et al., arXiv:2005.07991, Eqs. (4) and (7).
    """
    tensors = (a, b, weight, bias, running_mean, running_var)
    options: dict[str, Any] = {
        "bias_a": bias_a,
        "bias_b": bias_b,
        "training": training,
        "momentum": momentum,
        "eps": eps,
        "alpha": alpha,
    }
    if has_torch_function(every := (*tensors, bias_a, bias_b)):
        return handle_torch_function(fused_rrelu_add_norm, every, *tensors, **options)
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
    given = (None, None) if training else (running_mean, running_var)
    args = (a, b, bias_a, bias_b, weight, bias, *given, eps, alpha)
    if torch.compiler.is_compiling():
        op: Any = ops.rrelu_add_norm_forward.default
        if torch.onnx.is_in_onnx_export():
            op = decompositions()[op]
        y, mean, _, var = op(*args)
    elif torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return reference.fused_rrelu_add_norm(*tensors, **options)
    elif may_differentiate(*args):
        # As in _autograd.call: without the binding of signatures.
        y, mean, _, var = super(torch.autograd.Function, _RReluAddNorm).apply(*args)
    else:
        y, mean, _, var = kernel(ops.rrelu_add_norm_forward.default, *args)
    if training and running_mean is not None and running_var is not None and a.numel() > 0:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(var.to(running_var.dtype), momentum)
    return y


class _RReluAddNorm(torch.autograd.Function):
    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return kernel(ops.rrelu_add_norm_forward.default, *args)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        a, b, bias_a, bias_b, weight, bias, given_mean, _, ctx.eps, ctx.alpha = inputs
        _, mean, rstd, var = output
        ctx.mark_non_differentiable(mean, rstd, var)
        ctx.set_materialize_grads(False)
        ctx.batch_statistics = given_mean is None
        ctx.bias_dtype = None if bias is None else bias.dtype
        ctx.save_for_backward(a, b, bias_a, bias_b, weight, mean, rstd)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * 10
        a, b, bias_a, bias_b, weight, mean, rstd = ctx.saved_tensors
        if torch.is_grad_enabled():
            grads = _differentiable_backward(ctx, grad, a, b, bias_a, bias_b, weight, mean, rstd)
        else:
            grads = ops.rrelu_add_norm_backward.default(
                grad, a, b, bias_a, bias_b, weight, mean, rstd, ctx.batch_statistics, ctx.alpha
            )
        # [C] gradients come in the arithmetic dtype.
        dtypes = [
            x.dtype if isinstance(x, Tensor) else None for x in (a, b, bias_a, bias_b, weight)
        ]
        chosen = (
            g.to(dtype) if needed and g is not None else None
            for g, dtype, needed in zip(
                grads, (*dtypes, ctx.bias_dtype), ctx.needs_input_grad, strict=False
            )
        )
        return *chosen, None, None, None, None


def _differentiable_backward(
    ctx: Any,
    grad: Tensor,
    a: Tensor,
    b: Tensor,
    bias_a: Tensor | None,
    bias_b: Tensor | None,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
) -> list[Tensor | None]:
    """Gives what the op's backward gives, by way of plain PyTorch and with a graph."""
    # The gradients of y are asked for at views of its own: a caller's tensor may be made of another
    # one (b = 2 a) or stand in two places, and the road through that is the caller's to follow.
    a, b = a.view_as(a), b.view_as(b)
    bias_a, bias_b, weight = (x if x is None else x.view_as(x) for x in (bias_a, bias_b, weight))
    column = (-1, *[1] * (a.dim() - 2))  # [C] against [N, C, ...]
    vectors = [x if x is None else x.to(mean.dtype) for x in (bias_a, bias_b, weight)]
    wide = [
        x.to(mean.dtype) if vector is None else x + vector.reshape(column)
        for x, vector in zip((a, b), vectors, strict=False)
    ]
    z = fused_rrelu_add(wide[0], wide[1], ctx.alpha)
    if ctx.batch_statistics:
        y = F.batch_norm(z, None, None, vectors[2], None, True, 0.0, ctx.eps)
    else:
        y = (z - mean.reshape(column)) * rstd.reshape(column)
        y = y if vectors[2] is None else y * vectors[2].reshape(column)
    inputs = [x for x in (a, b, bias_a, bias_b, weight) if x is not None and x.requires_grad]
    found = iter(
        torch.autograd.grad(y, inputs, grad.to(y.dtype), create_graph=True) if inputs else ()
    )
    grads = [
        None if x is None or not x.requires_grad else next(found)
        for x in (a, b, bias_a, bias_b, weight)
    ]
    return [*grads, grad.to(mean.dtype).transpose(0, 1).flatten(1).sum(1)]


# The rules of the ops themselves, for torch.compile, torch.export and callers of
# torch.ops.originet.


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


torch.library.register_autograd(
    "originet::rrelu_add_norm_forward",
    _RReluAddNorm.backward,
    setup_context=_RReluAddNorm.setup_context,
)


def _register_vmap(name: str) -> None:
    """One call an entry of the batch: each has statistics of its own."""
    op = getattr(ops, name).default

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        results = [
            op(*(x if d is None else x.select(d, i) for x, d in zip(args, in_dims, strict=True)))
            for i in range(info.batch_size)
        ]
        stacked = tuple(torch.stack(column) for column in zip(*results, strict=True))
        return stacked, (0,) * len(stacked)

    torch.library.register_vmap(f"originet::{name}", rule)


_register_vmap("rrelu_add_norm_forward")
_register_vmap("rrelu_add_norm_backward")
