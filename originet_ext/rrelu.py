"""The refined ReLU (Eq. 4 of arXiv:2005.07991) as a drop-in PyTorch activation.

Not `torch.nn.RReLU`, the *randomized leaky* ReLU, which is a different function.
"""

import torch
from torch import Tensor, nn
from torch.overrides import (
    handle_torch_function,
    has_torch_function_unary,
    has_torch_function_variadic,
)

from originet_ext import _dtensor
from originet_ext._checks import check_alpha, check_floating, check_same
from originet_ext._dispatch import call
from originet_ext._library import native, ops
from originet_ext._nested import on_parts


def fused_rrelu(x: Tensor, alpha: float = 0.1) -> Tensor:
    """Refined ReLU: psi(x) = sigmoid(x) * (1 + L(x)), L(x) = x for x >= 0, alpha * x below.

    One kernel forward and one backward; only x is saved for backward. psi(0) = 0.5. At the kink
    x = 0 the derivative is the right one, 0.75. psi(-inf) = 0, psi(+inf) = +inf, NaN gives NaN.

    Args:
        x: any shape and strides, float16, bfloat16, float32 or float64; may be a nested tensor of
            either layout or a DTensor. 16-bit types are computed in float32 and rounded once.
        alpha: slope of L below zero, finite.

    Returns:
        Like x, with the strides of `torch.empty_like(x)`.

    Raises:
        TypeError: x is not a tensor of a supported floating dtype, or alpha is a tensor.
        ValueError: alpha is not finite.

    Example:
        >>> fused_rrelu(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0.2420, 0.5000, 1.4621])

    Reference: Verma et al., arXiv:2005.07991, Eq. (4).
    Differs from the paper: the derivative for x < 0 in Table I is right only for alpha = 1. Here it
    is exp(x) * (alpha * exp(x) + alpha * x + 1 + alpha) / (1 + exp(x))^2.
    """
    # Before the checks, which take longer than the kernel does for a small tensor.
    if _fast_path_open() and (y := native.rrelu(x, alpha)) is not None:
        return y
    if has_torch_function_unary(x):
        return handle_torch_function(fused_rrelu, (x,), x, alpha=alpha)
    check_floating("fused_rrelu", "x", x)
    check_alpha("fused_rrelu", alpha)
    if x.is_nested:
        return on_parts(lambda part: fused_rrelu(part, alpha), x)
    return call(ops.rrelu_forward.default, x, alpha)


def fused_rrelu_(x: Tensor, alpha: float = 0.1) -> Tensor:
    """Refined ReLU in place; otherwise like `fused_rrelu`.

    If gradients are needed, a copy of x is kept for backward, as in PyTorch's own in-place
    activations.

    Args:
        x: overwritten; not expanded.
        alpha: slope of L below zero, finite.

    Returns:
        x.

    Raises:
        TypeError: x is not a tensor of a supported floating dtype, or alpha is a tensor.
        ValueError: alpha is not finite.
        RuntimeError: x is a leaf that requires grad, several of its elements share memory, or x was
            made in inference mode and is changed outside it.

    Reference: Verma et al., arXiv:2005.07991, Eq. (4).
    """
    if _fast_path_open() and native.rrelu_(x, alpha) is not None:
        return x
    if has_torch_function_unary(x):
        return handle_torch_function(fused_rrelu_, (x,), x, alpha=alpha)
    check_floating("fused_rrelu_", "x", x)
    check_alpha("fused_rrelu_", alpha)
    if x.is_nested:
        return x.copy_(fused_rrelu(x.clone(), alpha))
    if torch.onnx.is_in_onnx_export():
        return x.copy_(fused_rrelu(x, alpha))
    call(ops.rrelu_forward_.default, x, alpha)
    return x


def fused_rrelu_add(a: Tensor, b: Tensor, alpha: float = 0.1) -> Tensor:
    """psi(a) + psi(b): the join of OrigiNet's hybrid feature block, in one kernel.

    Args:
        a: any shape and strides, float16, bfloat16, float32 or float64.
        b: of the shape, dtype and device of a.
        alpha: slope of L below zero, finite.

    Returns:
        Like a, with the strides of `torch.empty_like(a)`.

    Raises:
        TypeError: a or b is not a tensor of a supported floating dtype, the dtypes differ, or alpha
            is a tensor.
        ValueError: alpha is not finite, or shapes or devices differ.

    Reference: Verma et al., arXiv:2005.07991, Eqs. (4), (6) and (7).
    """
    if _fast_path_open() and (y := native.rrelu_add(a, b, alpha)) is not None:
        return y
    if has_torch_function_variadic(a, b):
        return handle_torch_function(fused_rrelu_add, (a, b), a, b, alpha=alpha)
    check_alpha("fused_rrelu_add", alpha)
    if any(isinstance(each, Tensor) and each.is_nested for each in (a, b)):
        return on_parts(lambda p, q: fused_rrelu_add(p, q, alpha), a, b)
    check_same("fused_rrelu_add", a, b)
    return call(ops.rrelu_add_forward.default, a, b, alpha)


class FusedRReLU(nn.Module):
    """The refined ReLU as a module, used like `torch.nn.SiLU`. It has no parameters.

    Args:
        alpha: slope below zero, finite.
        inplace: whether to overwrite the input.

    Raises:
        ValueError: alpha is not finite.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8), FusedRReLU())
    """

    def __init__(self, alpha: float = 0.1, inplace: bool = False) -> None:
        super().__init__()
        check_alpha("FusedRReLU", alpha)
        _dtensor.register()  # for compiled models, whose calls cannot do it
        self.alpha = float(alpha)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Applies psi to x, of any shape."""
        return fused_rrelu_(x, self.alpha) if self.inplace else fused_rrelu(x, self.alpha)

    def extra_repr(self) -> str:
        """Shows the arguments, like `torch.nn` activations."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


def _fast_path_open() -> bool:
    """Whether the fast path of csrc/autograd/module.cpp may be used. Compilers cannot trace it."""
    return native is not None and not torch.compiler.is_compiling()
