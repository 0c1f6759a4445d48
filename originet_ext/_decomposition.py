"""The psi ops in PyTorch's own ops, for exporters and runtimes that know no others."""

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
    """Gives a table for `torch.export.ExportedProgram.run_decompositions`.

    `torch.export.export` keeps `fused_rrelu`, `fused_rrelu_add` and `fused_rrelu_add_norm` as ops
    of this package; the table turns them into PyTorch's own, 16-bit types computed in float32 as in
    the kernels.
    `torch.onnx.export(model, ...)` uses it unasked; an exported program needs it first. It is meant
    for inference: its derivative at x = 0 is the left one.

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
    column = (-1, *[1] * (a.dim() - 2))  # [C] against [N, C, ...]
    wide = [
        _wide(x) if shift is None else _wide(x) + _wide(shift).reshape(column)
        for x, shift in ((a, bias_a), (b, bias_b))
    ]
    z = _psi(wide[0], alpha) + _psi(wide[1], alpha)
    if mean is None or var is None:
        var, mean = torch.var_mean(z, (0, *range(2, a.dim())), correction=0)
        count = z.numel() // z.shape[1]
        reported = var * (count / (count - 1))  # as the running variance takes it
    else:
        mean, var = _wide(mean), _wide(var)
        reported = var
    scale, shift = (None if x is None else _wide(x) for x in (weight, bias))
    y = F.batch_norm(z, mean, var, scale, shift, eps=eps)
    return y.to(a.dtype), mean, torch.rsqrt(var + eps), reported


def _psi(x: Tensor, alpha: float) -> Tensor:
    """Gives s + L(s * x), s = sigmoid(x), of float32 or float64: five nodes of ONNX in float32.

    It is s * (1 + L(x)), as s > 0, with smaller roundings. The clip keeps 0 * -inf out; its upper
    bound is written out because ONNX Runtime takes none to be the largest float. sigmoid reads x
    itself because OpenVINO's clip drops NaN.
    """
    s = torch.sigmoid(x)
    return s + _leaky_relu(s * x.clamp(-SATURATED, math.inf), alpha)


def _leaky_relu(x: Tensor, alpha: float) -> Tensor:
    if x.dtype != torch.float64:
        return F.leaky_relu(x, alpha)
    # torch.onnx rounds slopes and factors to float32, but not an integer and a power of 2.
    mantissa, exponent = math.frexp(alpha)
    return torch.where(x < 0, x * int(mantissa * 2**53) * 2.0 ** (exponent - 53), x)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
