"""The psi ops in PyTorch's own ops, for exporters and runtimes that know no others."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from originet_ext import reference
from originet_ext._library import ops

# psi'' is 0 outside of [-_SATURATED, _SATURATED] in every dtype.
_SATURATED = 800.0


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Gives a table for `torch.export.ExportedProgram.run_decompositions`.

    `torch.export.export` keeps `fused_rrelu`, `fused_rrelu_add` and `fused_rrelu_add_norm` as ops
    of this package; the table turns them into PyTorch's own, 16-bit types computed in float32 as in
    the kernels.
    `torch.onnx.export(model, ...)` uses it unasked; an exported program needs it first.

    Returns:
        For each forward op of psi (an `OpOverload`), a function of the same arguments.

    Example:
        >>> program = torch.export.export(FusedRReLU(), (torch.zeros(3),))
        >>> program = program.run_decompositions(decompositions())
    """
    return {
        ops.rrelu_forward.default: _rrelu,
        ops.rrelu_add_forward.default: _rrelu_add,
        ops.rrelu_add_norm_forward.default: _rrelu_add_norm,
    }


def second_derivative(x: Tensor, alpha: float) -> Tensor:
    """psi''(x) = s * (1 - s) * (2 * a + (1 - 2 * s) * (1 + a * x)), in plain PyTorch.

    Only second and higher derivatives come here; plain PyTorch differentiates it further.
    """
    wide = _wide(x).clamp(-_SATURATED, _SATURATED)
    s = torch.sigmoid(wide)
    slope = torch.where(wide >= 0, 1.0, torch.full_like(wide, alpha))
    return (s * (1 - s) * (2 * slope + (1 - 2 * s) * (1 + slope * wide))).to(x.dtype)


def _rrelu(x: Tensor, alpha: float) -> Tensor:
    return reference.fused_rrelu(_wide(x), alpha).to(x.dtype)


def _rrelu_add(a: Tensor, b: Tensor, alpha: float) -> Tensor:
    return reference.fused_rrelu_add(_wide(a), _wide(b), alpha).to(a.dtype)


def _rrelu_add_norm(
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
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    column = (-1, *[1] * (a.dim() - 2))  # [C] against [N, C, ...]

    def of_channels(x: Tensor) -> Tensor:
        return _wide(x).reshape(column)

    wide = [
        _wide(x) if shift is None else _wide(x) + of_channels(shift)
        for x, shift in ((a, bias_a), (b, bias_b))
    ]
    z = reference.fused_rrelu_add(wide[0], wide[1], alpha)
    if mean is None or var is None:
        var, mean = torch.var_mean(z, (0, *range(2, a.dim())), correction=0)
        count = z.numel() // z.shape[1]
        reported = var * (count / (count - 1))  # as the running variance takes it
    else:
        mean, var = _wide(mean), _wide(var)
        reported = var
    rstd = torch.rsqrt(var + eps)
    y = (z - mean.reshape(column)) * rstd.reshape(column)
    if weight is not None:
        y = y * of_channels(weight)
    if bias is not None:
        y = y + of_channels(bias)
    return y.to(a.dtype), mean, rstd, reported


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
