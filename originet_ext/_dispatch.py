"""The one road from Python to an op."""

from typing import Any

import torch

from originet_ext import _dtensor
from originet_ext._decomposition import decompositions


def call(op: Any, *args: Any) -> Any:
    """Calls an op, or its decomposition while a model is exported to ONNX, which has no such op.

    Derivatives, batching and tracing are the dispatcher's affair: _rules.py, and csrc/autograd or
    _derivatives.py.

    Args:
        op: an op of this package.
        args: what it takes.

    Returns:
        What it returns.
    """
    if not torch.compiler.is_compiling():
        _dtensor.register()
    if torch.onnx.is_in_onnx_export():
        op = decompositions().get(op, op)
    return op(*args)
