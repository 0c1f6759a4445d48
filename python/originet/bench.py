"""What is timed: the fused kernels beside what one would write without them.

A case's results are compared with the reference before it is handed to the harness (`timing`).
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import originet_ext
from originet.errors import InputError
from originet.timing import Call, Case, Row, read_csv, time_case, write_csv
from originet_ext import reference

__all__ = [
    "DTYPES",
    "MODES",
    "RRELU_PROVIDERS",
    "Row",
    "active_image_case",
    "active_image_providers",
    "bench_active_image",
    "bench_rrelu",
    "eager_active_image",
    "eager_rrelu",
    "read_csv",
    "rrelu_case",
    "rrelu_providers",
    "saved_bytes",
    "time_case",
    "write_csv",
]

Function = Callable[[Tensor], Tensor]

MODES = ("forward", "backward", "full")
RRELU_PROVIDERS = ("fused", "eager", "reference", "silu", "compile")
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

# How often an ideal kernel moves the input's size: x, y; x, dy, dx; all of these.
_PASSES = {"forward": 2, "backward": 3, "full": 5}
# Floors compute something else, so there is nothing to compare.
_FLOORS = ("silu", "read")
_MOTION = ("absolute", "rectified")  # the methods that are not linear
_CHECKED = 1 << 18  # elements compared at either end of a large tensor


def eager_rrelu(x: Tensor, alpha: float = 0.1) -> Tensor:
    """Compute psi as one writes it by hand: sigmoid(x) * (1 + leaky_relu(x, alpha))."""
    return torch.sigmoid(x) * (1 + F.leaky_relu(x, alpha))


def eager_active_image(frames: Tensor, *, method: str) -> Tensor:
    """Compute the active image as one writes it in PyTorch: whole-clip expressions in float32."""
    if method not in _MOTION:
        weights = _weights(method, len(frames)).to(frames.device)
        used = weights != 0  # "paper" needs three frames
        return torch.tensordot(weights[used], frames[used].float(), 1)
    difference = frames.float().diff(dim=0)
    motion = difference.abs() if method == "absolute" else difference.relu()
    return 2 * motion.sum(dim=0) - motion[-1]  # the last difference counts once


def rrelu_providers(names: Sequence[str] = RRELU_PROVIDERS) -> dict[str, Function]:
    """Return implementations of psi by name; "silu" is the floor, and another function.

    Args:
        names: Some of `RRELU_PROVIDERS`; "compile" takes seconds of compilation a shape.

    Raises:
        InputError: An unknown name.
    """
    for name in names:
        if name not in RRELU_PROVIDERS:
            raise InputError(f"provider must be one of {', '.join(RRELU_PROVIDERS)}, got {name!r}")
    providers: dict[str, Function] = {
        "fused": originet_ext.fused_rrelu,
        "eager": eager_rrelu,
        "reference": reference.fused_rrelu,
        "silu": F.silu,
    }
    if "compile" in names:  # made on demand: it imports the compiler
        providers["compile"] = torch.compile(eager_rrelu, fullgraph=True, dynamic=False)
    return {name: providers[name] for name in names}


def active_image_providers(method: str, device: str | torch.device) -> dict[str, Function]:
    """Return the implementations of one active-image method to compare, by name.

    OpenCV and NumPy (one thread) join on the CPU. The floor, "read", sums once the bytes that
    the method needs.
    """
    providers: dict[str, Function] = {
        "fused": functools.partial(originet_ext.active_image, method=method),
        "eager": functools.partial(eager_active_image, method=method),
        "read": lambda frames: _read_once(_needed(frames, method)),
    }
    if torch.device(device).type == "cpu":
        providers["opencv"] = functools.partial(_opencv_active_image, method=method)
        providers["numpy"] = functools.partial(_numpy_active_image, method=method)
    return providers


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
        mode: "forward" (no gradient asked for), "backward" (of a kept graph) or "full" (both).
        dtype: A floating dtype.
        device: Where to run.
        layout: "contiguous" or, for a 4-d shape, "channels_last".
        providers: Functions of x by name; default `rrelu_providers()`.

    Raises:
        InputError: Unknown mode or layout.
        RuntimeError: A provider's values or gradients are wrong.
    """
    if mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if layout not in ("contiguous", "channels_last"):
        raise InputError(f"layout must be contiguous or channels_last, got {layout!r}")
    if layout == "channels_last" and len(shape) != 4:
        raise InputError(f"layout channels_last needs a 4-d shape, got {list(shape)}")
    device = torch.device(device)
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


def active_image_case(
    shape: Sequence[int],
    *,
    method: str = "absolute",
    device: str | torch.device = "cpu",
    providers: Mapping[str, Function] | None = None,
) -> Case:
    """Prepare one active-image method on a random uint8 clip, checked against the reference.

    Args:
        shape: [T, H, W] or [T, H, W, 3] with at least 2 frames.
        method: One of `originet_ext.METHODS`.
        device: Where to run.
        providers: Functions of the clip by name; default `active_image_providers(...)`.

    Raises:
        InputError: Unknown method, or a shape that is not that of a clip.
        RuntimeError: A provider's image is wrong.
    """
    if method not in originet_ext.METHODS:
        raise InputError(f"method must be one of {', '.join(originet_ext.METHODS)}, got {method!r}")
    if len(shape) not in (3, 4) or shape[0] < 2:
        raise InputError(f"shape must be [T >= 2, H, W] or [T >= 2, H, W, C], got {list(shape)}")
    device = torch.device(device)
    functions = active_image_providers(method, device) if providers is None else providers
    generator = torch.Generator(device).manual_seed(0)
    frames = torch.empty(tuple(shape), dtype=torch.uint8, device=device)
    frames.random_(0, 256, generator=generator)
    expected = reference.active_image(frames, method=method)
    # Float weights leave the rounding of float32 sums; whole-number weights leave nothing.
    tolerance = 1e-5 * max(1.0, expected.abs().max().item())
    for name, function in functions.items():
        if name not in _FLOORS:
            _check(f"active image {method!r}", name, function(frames), expected, tolerance)
    calls: dict[str, Call] = {
        name: functools.partial(function, frames) for name, function in functions.items()
    }
    moved = _needed(frames, method).nbytes + expected.nbytes
    name = f"active_image_{method}"
    return Case(name, "forward", device, torch.uint8, tuple(shape), "contiguous", moved, calls)


def bench_rrelu(
    *,
    device: str | torch.device | None = None,
    dtypes: Sequence[torch.dtype] = DTYPES,
    quick: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Time psi in all modes: fused, eager, reference and compiled, beside F.silu and a clone.

    Inputs go from 1 KiB to 256 MiB, on a GPU to 4 GiB as far as 24 times that is free there; an
    activation of OrigiNet's first stage at batch 32, channels_last, comes with them.

    Args:
        device: Where to run; None takes the GPU if there is one.
        dtypes: Floating dtypes.
        quick: Three sizes up to 8 MiB in float32, nothing compiled: seconds, not minutes.
        progress: Called as progress(done, total) after each case.
    """
    device = _resolve(device)
    limit = 1 << 28
    if device.type == "cuda":
        limit = min(1 << 32, torch.cuda.mem_get_info(device)[0] // 24)
    sizes = [1 << exponent for exponent in range(10, 33, 2) if 1 << exponent <= limit]
    names: Sequence[str] = RRELU_PROVIDERS
    budget = 1.0
    if quick:
        sizes, dtypes = [1 << 16, 1 << 20, 1 << 23], (torch.float32,)
        names, budget = ("fused", "eager", "silu"), 0.4
    inputs: list[tuple[torch.dtype, tuple[int, ...], str]] = []
    for dtype in dtypes:
        inputs += [(dtype, (size // dtype.itemsize,), "contiguous") for size in sizes]
        if not quick:
            inputs.append((dtype, (32, 16, 64, 64), "channels_last"))
    jobs = list(itertools.product(inputs, MODES))
    rows: list[Row] = []
    for done, ((dtype, shape, layout), mode) in enumerate(jobs, start=1):
        if "compile" in names:
            torch.compiler.reset()  # past its recompilation limit torch.compile would refuse
        # No name holds the case: the largest ones fit the device's memory once, not twice.
        rows += time_case(
            rrelu_case(
                shape,
                mode=mode,
                dtype=dtype,
                device=device,
                layout=layout,
                providers=rrelu_providers(names),
            ),
            budget=budget,
        )
        if progress is not None:
            progress(done, len(jobs))
    return rows


def bench_active_image(
    *,
    device: str | torch.device | None = None,
    methods: Sequence[str] = ("paper", "absolute", "rank"),
    quick: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Time the active image: fused beside eager PyTorch, OpenCV, NumPy, reading once, a clone.

    Args:
        device: Where to run; None takes the GPU if there is one.
        methods: Names from `originet_ext.METHODS`.
        quick: The method "absolute" alone on two clips: seconds, not a minute.
        progress: Called as progress(done, total) after each case.
    """
    device = _resolve(device)
    shapes: list[tuple[int, ...]] = [(64, 128, 128), (64, 340, 280, 3)]
    budget = 1.0
    if quick:
        methods = ("absolute",)
    else:
        shapes += [(16, 128, 128), (256, 340, 280, 3)]
        budget = 3.0
    jobs = list(itertools.product(methods, shapes))
    rows: list[Row] = []
    for done, (method, shape) in enumerate(jobs, start=1):
        rows += time_case(active_image_case(shape, method=method, device=device), budget=budget)
        if progress is not None:
            progress(done, len(jobs))
    return rows


def saved_bytes(function: Function, x: Tensor) -> int:
    """Return how many bytes autograd keeps for the backward pass of `function(x)`.

    Each distinct storage counts once, the input's among them; views count with their storage.

    Raises:
        InputError: The result requires no gradient.
    """
    kept: list[Tensor] = []  # held, so that no address is given out twice

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function(x.detach().requires_grad_())
    if not result.requires_grad:
        raise InputError("function: its result requires no gradient, so nothing is kept")
    storages = (tensor.untyped_storage() for tensor in kept)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _resolve(device: str | torch.device | None) -> torch.device:
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _rrelu_call(function: Function, x: Tensor, grad: Tensor, mode: str) -> Call:
    if mode == "forward":
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

    # psi works element by element, so both ends of a large tensor stand for the whole; each
    # provider still runs on all of it. Eager psi rounds at every step, hence the 16 eps.
    expected = differentiate(reference.fused_rrelu, ends(x).double(), ends(grad).double())
    eps = torch.finfo(x.dtype).eps
    for name, function in functions.items():
        if name in _FLOORS:
            continue
        actual = differentiate(function, x, grad)
        for what, got, want in zip(("values", "gradients"), actual, expected, strict=True):
            tolerance = 16 * eps * max(1.0, want.abs().max().item())
            _check(f"rrelu {what} in {x.dtype}", name, ends(got), want, tolerance)


def _check(what: str, name: str, actual: Tensor, expected: Tensor, tolerance: float) -> None:
    if actual.shape != expected.shape:
        shapes = f"shape {list(actual.shape)} in place of {list(expected.shape)}"
        raise RuntimeError(f"{what}: provider {name!r} is wrong: {shapes}")
    error = (actual.double() - expected.double()).abs().max().item()
    if not error <= tolerance:  # NaN is wrong too
        raise RuntimeError(f"{what}: provider {name!r} is wrong by {error:.3g} > {tolerance:.3g}")


def _needed(frames: Tensor, method: str) -> Tensor:
    """As many frames as the method must read: "paper" three, however long the clip."""
    return frames[:3] if method == "paper" else frames


def _read_once(frames: Tensor) -> Tensor:
    words = frames.view(-1)
    return words[: len(words) // 8 * 8].view(torch.int64).sum()


@functools.cache
def _weights(method: str, frames: int) -> Tensor:
    """The weights of a linear method: its answer to a unit impulse in each of the frames."""
    return reference.active_image(torch.eye(frames), method=method)


def _opencv_active_image(frames: Tensor, *, method: str) -> Tensor:
    clip = frames.numpy()
    total = np.zeros(clip.shape[1:], np.float32)
    if method not in _MOTION:
        for frame, weight in zip(clip, _weights(method, len(clip)).tolist(), strict=True):
            if weight != 0:
                cv2.addWeighted(frame, weight, total, 1, 0, dst=total, dtype=cv2.CV_32F)
        return torch.from_numpy(total)
    # OpenCV's uint8 subtraction saturates at 0: that is the rectified difference.
    subtract = cv2.absdiff if method == "absolute" else cv2.subtract
    for before, after in itertools.pairwise(clip):
        difference = subtract(after, before)
        cv2.accumulate(difference, total)
    return torch.from_numpy(2 * total - difference)  # the last difference counts once


def _numpy_active_image(frames: Tensor, *, method: str) -> Tensor:
    clip = frames.numpy()
    if method not in _MOTION:
        weights = _weights(method, len(clip)).numpy()
        used = weights != 0
        return torch.from_numpy(np.tensordot(weights[used], clip[used].astype(np.float32), 1))
    difference = np.diff(clip.astype(np.int16), axis=0)
    motion = np.abs(difference) if method == "absolute" else np.maximum(difference, 0)
    total = 2 * motion.sum(axis=0, dtype=np.int32) - motion[-1]  # the last counts once
    return torch.from_numpy(total.astype(np.float32))
