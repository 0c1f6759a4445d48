"""How Python calls the ops."""

from typing import Any

import torch

from originet_ext import _dtensor
from originet_ext._decomposition import decompositions


def call(op: Any, *args: Any) -> Any:
    """Calls an op or, while a model is exported to ONNX, which has no such op, its decomposition.

    The dispatcher handles derivatives, batching and tracing (_rules.py, and csrc/autograd or
    _derivatives.py).

    Args:
        op: an op of this package.
        args: its arguments.

    Returns:
        The op's result.
    """
    if not torch.compiler.is_compiling():
        _dtensor.register()
    if torch.onnx.is_in_onnx_export():
        op = decompositions().get(op, op)
    return op(*args)
