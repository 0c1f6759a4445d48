"""The one road from Python to a kernel."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from originet_ext._decomposition import decompositions


def call(op: Callable[..., Any], function: Any, *args: Any) -> Any:
    """Calls an op by the cheapest road that differentiates as far as it may be asked to.

    While compiling, the op itself is traced, with its registered rules (its decomposition for
    ONNX, which has no such op). In eager mode an
    `autograd.Function` serves every order and direction of differentiation, and where nothing can
    ask for a derivative, the kernel is called alone.

    Args:
        op: an op of this package.
        function: its `autograd.Function`.
        args: what both take.

    Returns:
        What the op returns.
    """
    if torch.compiler.is_compiling():
        if torch.onnx.is_in_onnx_export():
            return decompositions().get(op, op)(*args)
        return op(*args)
    if not may_differentiate(*args):
        return kernel(op, *args)
    if torch._C._are_functorch_transforms_active():
        return function.apply(*args)
    # Function.apply binds the signature first, for functorch; that takes longer than all the rest.
    return super(torch.autograd.Function, function).apply(*args)


def may_differentiate(*args: Any) -> bool:
    """Tells whether autograd could ask for a derivative of something computed from `args`."""
    return (
        (torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in args))
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
    )


def kernel(op: Callable[..., Any], *args: Any) -> Any:
    """Calls an op below its registered autograd rule, which would outweigh a small kernel."""
    with torch._C._AutoDispatchBelowAutograd():
        return op(*args)
