"""Psi: fused, eager and compiled, compared with torch's own kernels F.silu and F.mish."""

import functools
import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

import originet_ext
from originet.system.clock import Call, Case, Function, Job, check_close
from originet.system.errors import InputError
from originet_ext import reference

MODES = ("forward", "backward", "full", "launch")
PROVIDERS = ("fused", "eager", "compile", "silu", "mish")
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

# Tensors that an ideal kernel reads or writes: x, y; x, dy, dx; all of these.
_PASSES = {"forward": 2, "backward": 3, "full": 5, "launch": 2}
_OTHERS = ("silu", "mish")  # different functions, so their results are not checked
_CHECKED = 1 << 18  # elements compared at either end of a large tensor

_QUICK = (1 << 16, 1 << 20, 1 << 24)  # bytes of x
# Fewer sizes for "compile", which takes seconds per size, and for fewer threads, which are slower.
# From 64 KiB in steps of 16.
_COARSE = (1 << 10, *_QUICK, 1 << 28, 1 << 32)
_STAGE1 = (32, 16, 64, 64)  # an activation of OrigiNet's first stage, channels_last


def eager_rrelu(x: Tensor, alpha: float = 0.1) -> Tensor:
    """Compute psi as usually written: sigmoid(x) * (1 + leaky_relu(x, alpha))."""
    return torch.sigmoid(x) * (1 + F.leaky_relu(x, alpha))


def rrelu_providers(names: Sequence[str] = PROVIDERS) -> dict[str, Function]:
    """Return implementations of psi by name; "silu" and "mish" are other functions.

    Args:
        names: Some of `PROVIDERS`; "compile" compiles for seconds per shape.

    Raises:
        InputError: A name is unknown.
    """
    for name in names:
        if name not in PROVIDERS:
            raise InputError(f"provider must be one of {', '.join(PROVIDERS)}, got {name!r}")
    providers: dict[str, Function] = {
        "fused": originet_ext.fused_rrelu,
        "eager": eager_rrelu,
        "silu": F.silu,
        "mish": F.mish,
    }
    if "compile" in names:  # made on demand: it imports the compiler
        # Mode "backward" runs one graph repeatedly, so it must not reuse its buffers for results.
        import torch._functorch.config

        torch._functorch.config.donated_buffer = False
        providers["compile"] = torch.compile(eager_rrelu, fullgraph=True, dynamic=False)
    return {name: providers[name] for name in names}


def rrelu_case(
    shape: Sequence[int],
    *,
    mode: str = "forward",
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    layout: str = "contiguous",
    providers: Mapping[str, Function] | None = None,
) -> Case:
    """Prepare psi for timing, its values and gradients checked against the reference.

    Args:
        shape: Shape of the input.
        mode: "forward" (no gradient required), "backward" (of a retained graph), "full" (both) or,
            on a GPU, "launch" (the host's share of a forward pass).
        dtype: A floating dtype.
        device: Where to run.
        layout: "contiguous" or, for a 4-d shape, "channels_last".
        providers: Functions of x by name; default `rrelu_providers()`.

    Raises:
        InputError: Unknown mode or layout, or "launch" on the CPU.
        RuntimeError: A provider's values or gradients are wrong.
    """
    if mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if layout not in ("contiguous", "channels_last"):
        raise InputError(f"layout must be contiguous or channels_last, got {layout!r}")
    if layout == "channels_last" and len(shape) != 4:
        raise InputError(f"layout channels_last needs a 4-d shape, got {list(shape)}")
    device = torch.device(device)
    if mode == "launch" and device.type == "cpu":
        raise InputError("mode launch needs a GPU, got device cpu")
    functions = rrelu_providers() if providers is None else providers
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(*shape, generator=generator, device=device, dtype=dtype).mul_(3)
    x.masked_fill_(x == 0, 1)  # at the kink leaky_relu, and so eager psi, takes the left slope
    grad = torch.randn(*shape, generator=generator, device=device, dtype=dtype)
    if layout == "channels_last":
        x, grad = (t.contiguous(memory_format=torch.channels_last) for t in (x, grad))
    _check_rrelu(functions, x, grad)
    calls = {name: _rrelu_call(function, x, grad, mode) for name, function in functions.items()}
    moved = _PASSES[mode] * x.nbytes
    return Case("rrelu", mode, device, dtype, tuple(shape), layout, moved, calls)


def rrelu_jobs(
    device: torch.device,
    *,
    dtypes: Sequence[torch.dtype],
    threads: Sequence[int],
    quick: bool = False,
) -> list[Job]:
    """List the cases: forward, backward and both over sizes, and the launch latency on a GPU.

    x goes from 1 KiB to 256 MiB in steps of 4; on a GPU to 4 GiB, if 24 times as much memory is
    free. In addition, there is an activation of OrigiNet's first stage at batch 32, channels_last.
    To save time, "compile" runs at about every other size. It and the sizes in between run only
    with the largest number of threads; fewer threads run sizes above 16 MiB only in float32.

    Args:
        device: Where to run.
        dtypes: Floating dtypes.
        threads: Numbers of CPU threads; (0,) for a GPU.
        quick: Three sizes up to 16 MiB, nothing compiled; takes seconds instead of minutes.
    """
    limit = 1 << 28
    if device.type == "cuda":
        limit = min(1 << 32, torch.cuda.mem_get_info(device)[0] // 24)
    every = [size for size in (1 << exponent for exponent in range(10, 33, 2)) if size <= limit]
    jobs = []
    for count, dtype in itertools.product(threads, dtypes):
        most = count == max(threads)
        some = [s for s in _COARSE if s <= max(_QUICK) or dtype == torch.float32]
        sizes = [s for s in every if s in (_QUICK if quick else every if most else some)]
        inputs: list[tuple[tuple[int, ...], str]] = [
            ((size // dtype.itemsize,), "contiguous") for size in sizes
        ]
        if not quick:
            inputs.append((_STAGE1, "channels_last"))
        cases = list(itertools.product(inputs, MODES[:3]))
        if device.type == "cuda":
            cases.append((((every[0] // dtype.itemsize,), "contiguous"), "launch"))
        for (shape, layout), mode in cases:
            size = torch.Size(shape).numel() * dtype.itemsize
            compiled = most and not quick and (size in _COARSE or layout == "channels_last")
            job = functools.partial(
                _prepare,
                PROVIDERS if compiled else [name for name in PROVIDERS if name != "compile"],
                shape,
                mode=mode,
                dtype=dtype,
                device=device,
                layout=layout,
            )
            jobs.append(Job(job, threads=count, budget=0.35))
    return jobs


def _prepare(
    names: Sequence[str],
    shape: tuple[int, ...],
    *,
    mode: str,
    dtype: torch.dtype,
    device: torch.device,
    layout: str,
) -> Case:
    if "compile" in names:
        torch.compiler.reset()  # else torch.compile would stop at its recompilation limit
    providers = rrelu_providers(names)
    return rrelu_case(
        shape, mode=mode, dtype=dtype, device=device, layout=layout, providers=providers
    )


def _rrelu_call(function: Function, x: Tensor, grad: Tensor, mode: str) -> Call:
    if mode in ("forward", "launch"):
        return functools.partial(function, x)
    leaf = x.detach().requires_grad_()
    if mode == "full":
        return lambda: torch.autograd.grad(function(leaf), leaf, grad)
    result = function(leaf)
    return lambda: torch.autograd.grad(result, leaf, grad, retain_graph=True)


def _check_rrelu(functions: Mapping[str, Function], x: Tensor, grad: Tensor) -> None:
    def differentiate(function: Function, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        leaf = x.detach().requires_grad_()
        result = function(leaf)
        (gradient,) = torch.autograd.grad(result, leaf, grad)
        return result.detach(), gradient

    def ends(tensor: Tensor) -> Tensor:
        flat = tensor.flatten()
        if flat.numel() <= 2 * _CHECKED:
            return flat
        return torch.cat((flat[:_CHECKED], flat[-_CHECKED:]))

    # psi is element-wise, so only both ends of a large tensor are compared; each provider still
    # runs on the whole tensor. Eager psi rounds at every step, hence the 16 eps.
    expected = differentiate(reference.fused_rrelu, ends(x).double(), ends(grad).double())
    eps = torch.finfo(x.dtype).eps
    for name, function in functions.items():
        if name in _OTHERS:
            continue
        actual = differentiate(function, x, grad)
        for what, got, want in zip(("values", "gradients"), actual, expected, strict=True):
            tolerance = 16 * eps * max(1.0, want.abs().max().item())
            check_close(f"rrelu {what} in {x.dtype}", name, ends(got), want, tolerance)
