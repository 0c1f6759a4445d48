"""Psi in compiled models: our op and the formula, both compiled, in five small networks."""

import functools
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import originet_ext
from originet.bench.rrelu import eager_rrelu
from originet.system.clock import Call, Case, Function, Job, check_close
from originet.system.errors import InputError
from originet_ext import reference

COMPILED_CONTEXTS = ("alone", "linear", "chain", "layernorm", "conv")
COMPILED_MODES = ("forward", "train")
COMPILED_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# By provider. "formula" is psi as usually written, NaN at -inf; "reference" handles the limits.
_FUNCTIONS: dict[str, Function] = {
    "fused": originet_ext.fused_rrelu,
    "formula": eager_rrelu,
    "reference": reference.fused_rrelu,
}
_FEATURES, _CHANNELS, _SIDE = 256, 16, 16
_SIZES = (1 << 12, 1 << 18, 1 << 22)  # elements of psi's input
_TOLERANCE = 0.03  # relative, in the norm of the whole tensor; enough for 16-bit dtypes


def compiled_case(
    context: str,
    elements: int,
    *,
    mode: str = "forward",
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Case:
    """Prepare a small compiled network for timing, its results checked against eager PyTorch.

    Compiling takes some ten seconds.

    Args:
        context: "alone"; "linear" (linear, psi, linear); "chain" (psi, product, sum); "layernorm"
            (psi, layer normalization); "conv" (convolution, batch normalization, psi).
        elements: Elements of psi's input, a multiple of 4096.
        mode: "forward" (eval, no_grad) or "train" (forward and all gradients).
        dtype: A floating dtype.
        device: Where to run.

    Raises:
        InputError: Unknown context or mode, or elements is not a multiple of 4096.
        RuntimeError: A provider's results are wrong.
    """
    if context not in COMPILED_CONTEXTS:
        raise InputError(f"context must be one of {', '.join(COMPILED_CONTEXTS)}, got {context!r}")
    if mode not in COMPILED_MODES:
        raise InputError(f"mode must be one of {', '.join(COMPILED_MODES)}, got {mode!r}")
    if elements < 1 or elements % 4096:
        raise InputError(f"elements must be a multiple of 4096, got {elements}")
    # Imported on demand: these load the compiler.
    import torch._functorch.config
    import torch._inductor.config

    device = torch.device(device)
    generator = torch.Generator(device).manual_seed(0)
    shape: tuple[int, ...] = (elements // _FEATURES, _FEATURES)
    if context == "conv":
        shape = (elements // (_CHANNELS * _SIDE * _SIDE), _CHANNELS, _SIDE, _SIDE)
    x, grad = (torch.randn(*shape, generator=generator, device=device) for _ in range(2))
    x.masked_fill_(x == 0, 1)  # at the kink the formula takes the left slope

    network = _Network(context, reference.fused_rrelu).to(device).train(mode == "train")
    expected = _results(network, x, grad)
    torch.compiler.reset()  # else torch.compile would stop at its recompilation limit
    x, grad = x.to(dtype), grad.to(dtype)
    calls: dict[str, Call] = {}
    for name, function in _FUNCTIONS.items():
        model = _Network(context, function).to(device).train(mode == "train")
        model.load_state_dict(network.state_dict())
        model.to(dtype).compile(fullgraph=True, dynamic=False)
        calls[name] = functools.partial(_results, model, x, grad)
        # A cached graph may come from another version of this package.
        with (
            torch._inductor.config.patch(fx_graph_cache=False),
            torch._functorch.config.patch(enable_autograd_cache=False),
        ):
            results = _results(model, x, grad)
        for got, want in zip(results, expected, strict=True):
            error = (got.float() - want).norm() / want.norm()
            check_close(f"{context} {mode}", name, error, torch.zeros_like(error), _TOLERANCE)
    return Case(f"compiled_{context}", mode, device, dtype, shape, "contiguous", 0, calls)


def compiled_jobs(
    device: torch.device,
    *,
    dtypes: Sequence[torch.dtype],
    threads: Sequence[int],
    quick: bool = False,
) -> list[Job]:
    """List the cases: all contexts and modes, at three sizes in float32, at one otherwise.

    Args:
        device: Where to run.
        dtypes: Floating dtypes.
        threads: Numbers of CPU threads; only the largest is used. (0,) for a GPU.
        quick: Lists no cases, since all of them compile.
    """
    kinds = itertools.product(dtypes, _SIZES, COMPILED_CONTEXTS, COMPILED_MODES)
    return [
        Job(
            functools.partial(compiled_case, context, size, mode=mode, dtype=dtype, device=device),
            threads=max(threads),
            budget=1.5,
        )
        for dtype, size, context, mode in kinds
        if not quick and (dtype == torch.float32 or size == _SIZES[1])
    ]


class _Network(nn.Module):
    """Psi with the neighbouring layers of one context."""

    def __init__(self, context: str, psi: Function) -> None:
        super().__init__()
        self.psi = psi
        self.before: nn.Module = nn.Identity()
        self.after: nn.Module = nn.Identity()
        if context == "linear":
            self.before = nn.Linear(_FEATURES, _FEATURES)
            self.after = nn.Linear(_FEATURES, _FEATURES)
        elif context == "chain":
            self.after = _Affine()
        elif context == "layernorm":
            self.after = nn.LayerNorm(_FEATURES)
        elif context == "conv":
            self.before = nn.Sequential(
                nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, bias=False),
                nn.BatchNorm2d(_CHANNELS),
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.psi(self.before(x)))


class _Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(_FEATURES))
        self.bias = nn.Parameter(torch.randn(_FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias


def _results(model: nn.Module, x: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    """Return the output and, in training, the gradients of x and of the parameters."""
    if not model.training:
        with torch.no_grad():
            return (model(x),)
    leaf = x.detach().requires_grad_()
    y = model(leaf)
    return (y.detach(), *torch.autograd.grad(y, (leaf, *model.parameters()), grad))
