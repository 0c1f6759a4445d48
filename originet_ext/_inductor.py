"""How Inductor compiles the psi ops: as formulas where it can fuse them, as kernels elsewhere.

Inductor cannot look into a kernel. Next to an element-wise neighbour, a kernel costs a pass over
memory, which Inductor avoids by compiling a formula together with the neighbour. If there is
nothing to fuse with, the kernel is faster, unless the work takes less time than the call.

Imported by `_tracing`, not with the package: Inductor takes a second to import, and its API for
lowerings is private.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import fx
from torch._inductor.lowering import fallback_handler, make_pointwise, register_lowering
from torch._inductor.virtualized import V
from torch._inductor.virtualized import ops as inductor

from originet_ext._decomposition import SATURATED
from originet_ext._library import ops

# From this many elements on, the kernel makes up for the call through PyTorch's dispatcher.
_LARGE = 1 << 20
# How PyTorch tags the ops that Inductor fuses.
_FUSIBLE = {torch.Tag.pointwise, torch.Tag.reduction}

Value = Any  # one element, as `inductor` computes with it
Constant = Callable[[float], Value]


def _psi(x: Value, alpha: float, constant: Constant) -> Value:
    """psi(x) = (1 + L(x)) / (1 + exp(-x))."""
    one = constant(1)
    # relu is one instruction on a CPU, where() is four.
    left = inductor.minimum(inductor.relu(-x), constant(SATURATED))
    return (one + inductor.relu(x) - constant(alpha) * left) / (one + inductor.exp(-x))


def _psi_backward(grad: Value, x: Value, alpha: float, constant: Constant) -> Value:
    """psi'(x) = s * (a + (1 - s) * (1 + a * x)) with s = sigmoid(x), a = 1 or alpha; times grad."""
    one, zero = constant(1), constant(0)
    s = one / (one + inductor.exp(-x))
    a = inductor.where(x >= zero, one, constant(alpha))
    bounded = inductor.where(inductor.abs(x) < constant(SATURATED), x, zero)
    return grad * s * (a + (one - s) * (one + a * bounded))


# Each op's outputs as functions of one element per input; `rest` is alpha and a `Constant`.
_FORMULAS: dict[Any, tuple[Callable[..., Value], ...]] = {
    ops.rrelu_forward.default: (_psi,),
    ops.rrelu_backward.default: (_psi_backward,),
    ops.rrelu_add_forward.default: (lambda a, b, *rest: _psi(a, *rest) + _psi(b, *rest),),
    ops.rrelu_add_backward.default: (
        lambda grad, a, b, *rest: _psi_backward(grad, a, *rest),
        lambda grad, a, b, *rest: _psi_backward(grad, b, *rest),
    ),
}


def _lower(op: Any, *args: Any) -> Any:
    """Returns Inductor's nodes for a call of an op."""
    node = V.graph.current_node
    if _is_large(node) and not any(map(_is_fusible, _neighbours(node))):
        return fallback_handler(op, add_to_fallback_set=False)(*args)
    *tensors, alpha = args
    # Inductor computes 16-bit types in float32 and rounds only what it stores.
    wide = torch.float64 if tensors[0].get_dtype() == torch.float64 else torch.float32
    constant = functools.partial(inductor.constant, dtype=wide)

    def lower(formula: Callable[..., Value]) -> Any:
        return make_pointwise(lambda *elements: formula(*elements, alpha, constant))(*tensors)

    outputs = tuple(map(lower, _FORMULAS[op]))
    return outputs if len(outputs) > 1 else outputs[0]


def _is_large(node: fx.Node) -> bool:
    elements = node.all_input_nodes[0].meta["val"].numel()
    if isinstance(elements, torch.SymInt):
        elements = elements.node.hint  # the size in the first call; None if it depends on data
    return elements is None or elements >= _LARGE


def _neighbours(node: fx.Node) -> Iterator[fx.Node]:
    """Yields the nodes that `node` takes results from, and the nodes that take its results."""
    yield from _beyond_views(node, operator.attrgetter("all_input_nodes"))
    yield from _beyond_views(node, operator.attrgetter("users"))


def _beyond_views(
    node: fx.Node, adjacent: Callable[[fx.Node], Iterable[fx.Node]]
) -> Iterator[fx.Node]:
    for other in adjacent(node):
        if other.target is operator.getitem or getattr(other.target, "is_view", False):
            yield from _beyond_views(other, adjacent)
        else:
            yield other


def _is_fusible(node: fx.Node) -> bool:
    return node.target in _FORMULAS or not _FUSIBLE.isdisjoint(getattr(node.target, "tags", ()))


for _op in _FORMULAS:
    register_lowering(_op, type_promotion_kind=None)(functools.partial(_lower, _op))
