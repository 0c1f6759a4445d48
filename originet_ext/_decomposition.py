"""The psi ops in PyTorch's own ops, for exporters and runtimes that know no others."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from originet_ext import reference
from originet_ext._library import ops


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Gives a table for `torch.export.ExportedProgram.run_decompositions`.

    `torch.export.export` keeps `fused_rrelu` and `fused_rrelu_add` as ops of this package; the
    table turns them into PyTorch's own, 16-bit types computed in float32 as in the kernels.
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
    }


def _rrelu(x: Tensor, alpha: float) -> Tensor:
    return reference.fused_rrelu(_wide(x), alpha).to(x.dtype)


def _rrelu_add(a: Tensor, b: Tensor, alpha: float) -> Tensor:
    return reference.fused_rrelu_add(_wide(a), _wide(b), alpha).to(a.dtype)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
