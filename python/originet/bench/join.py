"""The join of OrigiNet's hybrid block, psi(a) + psi(b), alone and with its batch normalisation."""

import functools
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

import originet_ext
from originet.bench.rrelu import eager_rrelu
from originet.system.clock import Call, Case, Job, check_close
from originet.system.errors import InputError
from originet_ext import reference

JOINS = ("sum", "norm")
JOIN_MODES = ("forward", "full")

_CHANNELS, _SIDE = 16, 8
_MULTIPLE = {"sum": 1, "norm": _CHANNELS * _SIDE * _SIDE}
_SIZES = tuple(1 << exponent for exponent in range(8, 21, 2))  # elements of a: 1 KiB to 4 MiB
_TOLERANCE = 1e-4  # relative; gradients pass through the batch statistics
_Join = Callable[[Tensor, Tensor], Tensor]


def join_case(
    kind: str,
    elements: int,
    *,
    mode: str = "forward",
    device: str | torch.device = "cpu",
) -> Case:
    """Prepare a join in float32 for timing, its results checked against the reference.

    "unfused" calls `fused_rrelu` for each branch, then torch's sum and `F.batch_norm`. "eager" is
    the same with psi as usually written. "silu" uses `F.silu`, a different function.

    Args:
        kind: "sum" (`fused_rrelu_add`) or "norm" (`fused_rrelu_add_norm` in training).
        elements: Elements of each branch; for "norm" a multiple of 1024, as [N, 16, 8, 8].
        mode: "forward" (no gradient required) or "full" (forward and all gradients).
        device: Where to run.

    Raises:
        InputError: Unknown kind or mode, or a number of elements that does not fit.
        RuntimeError: A provider's values or gradients are wrong.
    """
    if kind not in JOINS:
        raise InputError(f"kind must be one of {', '.join(JOINS)}, got {kind!r}")
    if mode not in JOIN_MODES:
        raise InputError(f"mode must be one of {', '.join(JOIN_MODES)}, got {mode!r}")
    if elements < 1 or elements % _MULTIPLE[kind]:
        raise InputError(f"elements must be a multiple of {_MULTIPLE[kind]}, got {elements}")
    device = torch.device(device)
    shape: tuple[int, ...] = (elements,)
    if kind == "norm":
        shape = (elements // _MULTIPLE[kind], _CHANNELS, _SIDE, _SIDE)
    generator = torch.Generator(device).manual_seed(0)
    tensors = torch.randn(3, *shape, generator=generator, device=device)
    tensors.masked_fill_(tensors == 0, 1)  # at the kink eager psi takes the left slope
    a, b, grad = tensors.unbind()
    providers = {
        "fused": originet_ext.fused_rrelu_add if kind == "sum" else _fused_norm,
        "unfused": _unfused(kind, originet_ext.fused_rrelu),
        "eager": _unfused(kind, eager_rrelu),
        "silu": _unfused(kind, F.silu),
    }
    expected = _full(_unfused(kind, reference.fused_rrelu), a, b, grad)
    for name, join in providers.items():
        if name == "silu":
            continue
        for got, want in zip(_full(join, a, b, grad), expected, strict=True):
            tolerance = _TOLERANCE * max(1.0, want.abs().max().item())
            check_close(f"join {kind}", name, got, want, tolerance)
    calls: dict[str, Call] = {
        name: functools.partial(join, a, b)
        if mode == "forward"
        else functools.partial(_full, join, a, b, grad)
        for name, join in providers.items()
    }
    return Case(f"join_{kind}", mode, device, torch.float32, shape, "contiguous", 0, calls)


def join_jobs(device: torch.device, *, threads: Sequence[int], quick: bool = False) -> list[Job]:
    """List the cases: both joins and modes, at sizes from 1 KiB to 4 MiB per branch.

    Args:
        device: Where to run.
        threads: Numbers of CPU threads; only the largest is used. (0,) for a GPU.
        quick: One size only.
    """
    sizes = (1 << 16,) if quick else _SIZES
    return [
        Job(
            functools.partial(join_case, kind, size, mode=mode, device=device),
            threads=max(threads),
            budget=0.5,
        )
        for kind, size, mode in itertools.product(JOINS, sizes, JOIN_MODES)
        if size % _MULTIPLE[kind] == 0
    ]


def _fused_norm(a: Tensor, b: Tensor) -> Tensor:
    return originet_ext.fused_rrelu_add_norm(a, b, None, None)


def _unfused(kind: str, psi: Callable[[Tensor], Tensor]) -> _Join:
    """Return a join made of separate ops."""
    if kind == "sum":
        return lambda a, b: psi(a) + psi(b)
    return lambda a, b: F.batch_norm(psi(a) + psi(b), None, None, training=True)


def _full(join: _Join, a: Tensor, b: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    leaves = a.detach().requires_grad_(), b.detach().requires_grad_()
    y = join(*leaves)
    return (y.detach(), *torch.autograd.grad(y, leaves, grad))
