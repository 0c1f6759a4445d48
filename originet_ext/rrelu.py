"""The refined ReLU (Eq. 4 of arXiv:2005.07991) as a drop-in PyTorch activation.

Not `torch.nn.RReLU`, which is *randomized leaky* ReLU, another function.

Every op has an `autograd.Function` for eager mode, and fake, vmap and autograd rules of its own for
`torch.compile` and `torch.export`, because Dynamo does not trace a custom jvp. The rules alone
would not do: with `register_autograd` only, forward-mode AD returns zeros without a word.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import (
    handle_torch_function,
    has_torch_function_unary,
    has_torch_function_variadic,
)

from originet_ext._autograd import call, kernel, may_differentiate
from originet_ext._checks import check_alpha, check_floating, check_same
from originet_ext._decomposition import second_derivative
from originet_ext._library import direct_call, direct_call_, ops

# The ops as csrc/rrelu_backend.h numbers them.
_FORWARD, _BACKWARD, _ADD_FORWARD, _ADD_BACKWARD = range(4)
_OPS = (
    ops.rrelu_forward.default,
    ops.rrelu_backward.default,
    ops.rrelu_add_forward.default,
    ops.rrelu_add_backward.default,
)


def fused_rrelu(x: Tensor, alpha: float = 0.1) -> Tensor:
    """Refined ReLU: psi(x) = sigmoid(x) * (1 + L(x)), L(x) = x for x >= 0, alpha * x below.

    One kernel forward and one backward; backward keeps x alone. psi(0) = 0.5; the derivative at
    the kink x = 0 is the right one, 0.75. psi(-inf) = 0, psi(+inf) = +inf, NaN gives NaN.

    Args:
        x: any shape and strides, float16, bfloat16, float32 or float64. 16-bit types compute in
            float32 and round once.
        alpha: slope of L below zero, finite.

    Returns:
        Like x, in the strides that `torch.empty_like(x)` has.

    Raises:
        TypeError: x is not a tensor of a supported floating dtype, or alpha is a tensor.
        ValueError: alpha is not finite.

    Example:
        >>> fused_rrelu(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0.2420, 0.5000, 1.4621])

    Reference: Verma et al., arXiv:2005.07991, Eq. (4).
    Differs from the paper: Table I's derivative for x < 0 is right only for alpha = 1; this one is
    exp(x) * (alpha * exp(x) + alpha * x + 1 + alpha) / (1 + exp(x))^2.
    """
    # Before the checks, which take longer than a small tensor's kernel.
    if not torch.compiler.is_compiling() and (y := direct_call(_FORWARD, alpha, x)) is not None:
        return y
    if has_torch_function_unary(x):
        return handle_torch_function(fused_rrelu, (x,), x, alpha=alpha)
    check_floating("fused_rrelu", "x", x)
    check_alpha("fused_rrelu", alpha)
    return call(_OPS[_FORWARD], _RRelu, x, alpha)


def fused_rrelu_(x: Tensor, alpha: float = 0.1) -> Tensor:
    """Refined ReLU in place; like `fused_rrelu` otherwise.

    Where gradients are asked for, a copy of x is kept for backward, as PyTorch's own in-place
    activations do.

    Args:
        x: overwritten; not expanded.
        alpha: slope of L below zero, finite.

    Returns:
        x.

    Raises:
        TypeError: x is not a tensor of a supported floating dtype, or alpha is a tensor.
        ValueError: alpha is not finite.
        RuntimeError: x is a leaf that requires grad, several of its elements share memory, or x was
            made in inference mode and is changed outside of it.

    Reference: Verma et al., arXiv:2005.07991, Eq. (4).
    """
    if has_torch_function_unary(x):
        return handle_torch_function(fused_rrelu_, (x,), x, alpha=alpha)
    if not torch.compiler.is_compiling():
        if isinstance(x, Tensor) and x.is_inference() and not torch.is_inference_mode_enabled():
            raise RuntimeError(
                "fused_rrelu_: x was made in inference mode and may be changed in place there "
                "alone; clone it"
            )
        if direct_call_(alpha, x):
            torch.autograd.graph.increment_version(x)
            return x
    check_floating("fused_rrelu_", "x", x)
    check_alpha("fused_rrelu_", alpha)
    if torch.compiler.is_compiling() or may_differentiate(x):
        return x.copy_(fused_rrelu(x.clone(), alpha))
    kernel(ops.rrelu_forward_.default, x, alpha)
    torch.autograd.graph.increment_version(x)
    return x


def fused_rrelu_add(a: Tensor, b: Tensor, alpha: float = 0.1) -> Tensor:
    """psi(a) + psi(b): the join of OrigiNet's hybrid feature block, in one kernel.

    Args:
        a: any shape and strides, float16, bfloat16, float32 or float64.
        b: the shape, dtype and device of a.
        alpha: slope of L below zero, finite.

    Returns:
        Like a, in the strides that `torch.empty_like(a)` has.

    Raises:
        TypeError: a or b is not a tensor of a supported floating dtype, the dtypes differ, or alpha
            is a tensor.
        ValueError: alpha is not finite, or shapes or devices differ.

    Reference: Verma et al., arXiv:2005.07991, Eqs. (4), (6) and (7).
    """
    if (y := _direct(_ADD_FORWARD, alpha, a, b)) is not None:
        return y
    if has_torch_function_variadic(a, b):
        return handle_torch_function(fused_rrelu_add, (a, b), a, b, alpha=alpha)
    check_same("fused_rrelu_add", a, b)
    check_alpha("fused_rrelu_add", alpha)
    return call(_OPS[_ADD_FORWARD], _RReluAdd, a, b, alpha)


class FusedRReLU(nn.Module):
    """The refined ReLU as a module, used like `torch.nn.SiLU`. It has no parameters.

    Args:
        alpha: slope below zero, finite.
        inplace: overwrite the input.

    Raises:
        ValueError: alpha is not finite.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8), FusedRReLU())
    """

    def __init__(self, alpha: float = 0.1, inplace: bool = False) -> None:
        super().__init__()
        check_alpha("FusedRReLU", alpha)
        self.alpha = float(alpha)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Applies psi to x, of any shape."""
        return fused_rrelu_(x, self.alpha) if self.inplace else fused_rrelu(x, self.alpha)

    def extra_repr(self) -> str:
        """Shows the arguments, as `torch.nn` activations do."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


def replace_activations(
    model: nn.Module,
    old: type[nn.Module] | tuple[type[nn.Module], ...] = (
        nn.ReLU,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.ELU,
        nn.GELU,
        nn.SiLU,
        nn.Mish,
        nn.Hardswish,
    ),
    new: Callable[[], nn.Module] = FusedRReLU,
) -> int:
    """Swaps activation modules of a model, in place.

    A module that the model uses under several names stays shared. Activations called as functions
    (`F.relu`) are not modules and stay.

    Args:
        model: changed in place; parameters and state_dict keys stay as they are.
        old: module types to replace, subclasses included.
        new: called without arguments for each replacement.

    Returns:
        The number of distinct modules replaced.

    Raises:
        ValueError: the model itself is of a type in `old`, so that nothing holds it.
    """
    if isinstance(model, old):
        raise ValueError(
            f"replace_activations: the model itself is a {type(model).__name__}; "
            "only modules inside of a model can be replaced"
        )
    replacements: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is None or not isinstance(child, old):
                continue
            if child not in replacements:
                replacements[child] = new().train(child.training)
            parent._modules[name] = replacements[child]
    return len(replacements)


def _direct(op: int, alpha: float, *tensors: Tensor) -> Any:
    """Runs an op's kernel by the short road, or gives None where that is closed."""
    return None if torch.compiler.is_compiling() else direct_call(op, alpha, *tensors)


def _kernel(op: int, alpha: float, *tensors: Tensor) -> Any:
    """Runs an op's kernel."""
    result = _direct(op, alpha, *tensors)
    return kernel(_OPS[op], *tensors, alpha) if result is None else result


def _differentiable(op: int, function: Any, alpha: float, *tensors: Tensor) -> Any:
    """Runs an op so that its result can be differentiated."""
    result = _direct(op, alpha, *tensors)
    return call(_OPS[op], function, *tensors, alpha) if result is None else result


def _backward(grad: Tensor, x: Tensor, alpha: float) -> Tensor:
    """Gives grad * psi'(x), differentiable."""
    return _differentiable(_BACKWARD, _RReluBackward, alpha, grad, x)


class _RRelu(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, alpha: float) -> Tensor:
        return _kernel(_FORWARD, alpha, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.alpha = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return _backward(grad, x, ctx.alpha), None

    @staticmethod
    def jvp(ctx: Any, x_tangent: Tensor, _: None) -> Tensor:
        (x,) = ctx.saved_tensors
        return _backward(x_tangent, x, ctx.alpha)


class _RReluBackward(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, x: Tensor, alpha: float) -> Tensor:
        return _kernel(_BACKWARD, alpha, grad, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad, x, ctx.alpha = inputs
        ctx.save_for_backward(grad, x)
        ctx.save_for_forward(grad, x)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, Tensor, None]:
        grad, x = ctx.saved_tensors
        return (
            _backward(v, x, ctx.alpha),
            v * grad * second_derivative(x, ctx.alpha),
            None,
        )

    @staticmethod
    def jvp(ctx: Any, grad_tangent: Tensor, x_tangent: Tensor, _: None) -> Tensor:
        grad, x = ctx.saved_tensors
        through_x = x_tangent * grad * second_derivative(x, ctx.alpha)
        return _backward(grad_tangent, x, ctx.alpha) + through_x


class _RReluAdd(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor, alpha: float) -> Tensor:
        return _kernel(_ADD_FORWARD, alpha, a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        a, b, ctx.alpha = inputs
        ctx.save_for_backward(a, b)
        ctx.save_for_forward(a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        a, b = ctx.saved_tensors
        if all(ctx.needs_input_grad[:2]):
            return *_differentiable(_ADD_BACKWARD, _RReluAddBackward, ctx.alpha, grad, a, b), None
        return (
            _backward(grad, a, ctx.alpha) if ctx.needs_input_grad[0] else None,
            _backward(grad, b, ctx.alpha) if ctx.needs_input_grad[1] else None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, a_tangent: Tensor, b_tangent: Tensor, _: None) -> Tensor:
        a, b = ctx.saved_tensors
        through_a = _backward(a_tangent, a, ctx.alpha)
        return through_a + _backward(b_tangent, b, ctx.alpha)


class _RReluAddBackward(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, a: Tensor, b: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        return _kernel(_ADD_BACKWARD, alpha, grad, a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        grad, a, b, ctx.alpha = inputs
        ctx.save_for_backward(grad, a, b)
        ctx.save_for_forward(grad, a, b)

    @staticmethod
    def backward(ctx: Any, v_a: Tensor, v_b: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        grad, a, b = ctx.saved_tensors
        return (
            _backward(v_a, a, ctx.alpha) + _backward(v_b, b, ctx.alpha),
            v_a * grad * second_derivative(a, ctx.alpha),
            v_b * grad * second_derivative(b, ctx.alpha),
            None,
        )

    @staticmethod
    def jvp(
        ctx: Any, grad_tangent: Tensor, a_tangent: Tensor, b_tangent: Tensor, _: None
    ) -> tuple[Tensor, Tensor]:
        grad, a, b = ctx.saved_tensors
        through_a = a_tangent * grad * second_derivative(a, ctx.alpha)
        through_b = b_tangent * grad * second_derivative(b, ctx.alpha)
        return (
            _backward(grad_tangent, a, ctx.alpha) + through_a,
            _backward(grad_tangent, b, ctx.alpha) + through_b,
        )


# The rules of the ops themselves, for torch.compile, torch.export and callers of
# torch.ops.originet.


@torch.library.register_fake("originet::rrelu_forward")
def _(x: Tensor, alpha: float) -> Tensor:
    return torch.empty_like(x)


@torch.library.register_fake("originet::rrelu_forward_")
def _(x: Tensor, alpha: float) -> None:
    return None


@torch.library.register_fake("originet::rrelu_backward")
def _(grad: Tensor, x: Tensor, alpha: float) -> Tensor:
    return torch.empty_like(x)


@torch.library.register_fake("originet::rrelu_add_forward")
def _(a: Tensor, b: Tensor, alpha: float) -> Tensor:
    return torch.empty_like(a)


@torch.library.register_fake("originet::rrelu_add_backward")
def _(grad: Tensor, a: Tensor, b: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(a), torch.empty_like(a)


def _register_vmap(name: str) -> None:
    """Element-wise: batch dimensions go first in every tensor, and the op runs once."""
    op = getattr(ops, name)

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        *tensors, alpha = args
        batched = [
            tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            for tensor, dim in zip(tensors, in_dims, strict=False)
        ]
        result = op(*batched, alpha)
        return result, (0,) * len(result) if isinstance(result, tuple) else 0

    torch.library.register_vmap(f"originet::{name}", rule)


for _name, _function in {
    "rrelu_forward": _RRelu,
    "rrelu_backward": _RReluBackward,
    "rrelu_add_forward": _RReluAdd,
    "rrelu_add_backward": _RReluAddBackward,
}.items():
    _register_vmap(_name)
    torch.library.register_autograd(
        f"originet::{_name}", _function.backward, setup_context=_function.setup_context
    )
