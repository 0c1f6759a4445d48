"""The psi ops in terms of PyTorch's own, for exporters and runtimes that know no others."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from originet_ext._library import ops

# sigmoid(-SATURATED) is 0 in every dtype; psi'' is 0 outside of [-SATURATED, SATURATED].
SATURATED = 800.0


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Returns a table for `torch.export.ExportedProgram.run_decompositions`.

    `torch.export.export` keeps `fused_rrelu`, `fused_rrelu_add` and `fused_rrelu_add_norm` as ops
    of this package. The table turns them into PyTorch's own ops, which compute 16-bit types in
    float32, as the kernels do. `torch.onnx.export(model, ...)` uses the table automatically; an
    exported program must be decomposed first. The table is meant for inference: its derivative at
    x = 0 is the left one.

    Returns:
        For each forward op of psi (an `OpOverload`), a function with the same arguments.

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

    Used only for second and higher derivatives; PyTorch differentiates it further.
    """
    wide = _wide(x).clamp(-SATURATED, SATURATED)
    s = torch.sigmoid(wide)
    slope = torch.where(wide >= 0, 1.0, torch.full_like(wide, alpha))
    return (s * (1 - s) * (2 * slope + (1 - 2 * s) * (1 + slope * wide))).to(x.dtype)


def _rrelu(x: Tensor, alpha: float) -> Tensor:
    return _psi(_wide(x), alpha).to(x.dtype)


def _rrelu_add(a: Tensor, b: Tensor, alpha: float) -> Tensor:
    return (_psi(_wide(a), alpha) + _psi(_wide(b), alpha)).to(a.dtype)


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
    column = (-1, *[1] * (a.dim() - 2))  # [C], to broadcast over [N, C, ...]
    wide = [
        _wide(x) if shift is None else _wide(x) + _wide(shift).reshape(column)
        for x, shift in ((a, bias_a), (b, bias_b))
    ]
    z = _psi(wide[0], alpha) + _psi(wide[1], alpha)
    if mean is None or var is None:
        var, mean = torch.var_mean(z, (0, *range(2, a.dim())), correction=0)
        count = z.numel() // z.shape[1]
        reported = var * (count / (count - 1))  # for the running variance
    else:
        mean, var = _wide(mean), _wide(var)
        reported = var
    scale, shift = (None if x is None else _wide(x) for x in (weight, bias))
    y = F.batch_norm(z, mean, var, scale, shift, eps=eps)
    return y.to(a.dtype), mean, torch.rsqrt(var + eps), reported


def _psi(x: Tensor, alpha: float) -> Tensor:
    """Computes s + L(s * x), s = sigmoid(x), in float32 or float64: five ONNX nodes in float32.

    This equals s * (1 + L(x)), because s > 0, with smaller rounding errors. The clip prevents
    0 * -inf. Its upper bound is explicit because ONNX Runtime would otherwise assume the largest
    float. sigmoid reads the unclipped x because OpenVINO's clip drops NaN.
    """
    s = torch.sigmoid(x)
    return s + _leaky_relu(s * x.clamp(-SATURATED, math.inf), alpha)


def _leaky_relu(x: Tensor, alpha: float) -> Tensor:
    if x.dtype != torch.float64:
        return F.leaky_relu(x, alpha)
    # torch.onnx rounds slopes and factors to float32, but keeps an integer and a power of 2 exact.
    mantissa, exponent = math.frexp(alpha)
    return torch.where(x < 0, x * int(mantissa * 2**53) * 2.0 ** (exponent - 53), x)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
