"""The active image of one clip: the fused kernel, other ways to compute it, and a plain read.

A clip that is timed repeatedly stays in the cache if it fits. Mode "forward" thus shows the speed
on a clip that was just decoded. Mode "cold", on the CPU, cycles through several clips that are
together too large for the caches, so every frame comes from memory. A GPU's L2 cache is filled anew
before each call anyway.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

import originet_ext
from originet.bench import rivals
from originet.system.clock import Call, Case, Function, Job, check_close, sampled
from originet.system.environment import cache_sizes
from originet.system.errors import InputError
from originet_ext import MOTION_METHODS, reference

ACTIVE_IMAGE_MODES = ("forward", "cold")
ACTIVE_IMAGE_PROVIDERS = ("fused", "eager", "compile", "read", "opencv", "numpy", "loops")
# One weight for all frames but the ends; three frames; growing integer weights; differences; and
# weights that are not integers.
METHODS_TIMED = ("cumulative", "telescoped", "authors", "absolute", "rank")

_MIDDLE = ((64, 128, 128), (64, 340, 280, 3))  # all methods, and from memory too
_SHAPES = (
    *((8, 128, 128), (16, 128, 128), (1000, 128, 128), (200, 340, 280), (16, 1080, 1920)),
    (256, 340, 280, 3),
)
_COLD = ((8, 128, 128), (1000, 128, 128))  # from memory too
_LARGE = ((16, 1080, 1920, 3), (1000, 340, 280, 3), (64, 1080, 1920, 3))
_LENGTHS = (8, 64, 1000, 10_000, 100_000)  # for "telescoped", whose time does not depend on length

_MANY_PASSES = 128 << 20  # bytes; eager PyTorch and NumPy need seconds for larger clips
_QUADRATIC = 64  # frames; the nested loops need seconds for more
_CACHE = 32 << 20  # bytes, if the cache size is unknown
_CHECKED_WHOLE, _CHECKED_ROWS = 4 << 20, 8  # bytes of a clip, rows at either end of a larger one


def active_image_providers(
    method: str, device: str | torch.device, names: Sequence[str] | None = None
) -> dict[str, Function]:
    """Return the implementations of one active-image method to compare, by name.

    Args:
        method: One of `originet_ext.METHODS`.
        device: Where to run. OpenCV, NumPy and the nested loops run on the CPU only; the loops
            compute method "authors".
        names: Some of `ACTIVE_IMAGE_PROVIDERS`; by default all that support this method and device
            except "compile", which takes seconds per shape. "read" is the lower bound: it sums the
            bytes that the method needs, once.

    Raises:
        InputError: A name is unknown, or does not support this method and device.
    """
    known: dict[str, Function] = {
        "fused": functools.partial(originet_ext.active_image, method=method),
        "eager": functools.partial(rivals.eager_active_image, method=method),
        "read": lambda frames: rivals.read_once(_needed(frames, method)),
    }
    if torch.device(device).type == "cpu":
        known["opencv"] = functools.partial(rivals.opencv_active_image, method=method)
        known["numpy"] = functools.partial(rivals.numpy_active_image, method=method)
        if method == "authors":
            known["loops"] = rivals.loops_active_image
    if names is None:
        return known
    if "compile" in names:  # made on demand: it imports the compiler
        known["compile"] = rivals.compiled_active_image(method)
    for name in names:
        if name not in known:
            raise InputError(f"provider must be one of {', '.join(known)}, got {name!r}")
    return {name: known[name] for name in names}


def active_image_case(
    shape: Sequence[int],
    *,
    method: str = "absolute",
    mode: str = "forward",
    device: str | torch.device = "cpu",
    providers: Mapping[str, Function] | None = None,
) -> Case:
    """Prepare one active-image method on a random uint8 clip, checked against the reference.

    Args:
        shape: [T, H, W] or [T, H, W, 3] with at least 2 frames.
        method: One of `originet_ext.METHODS`.
        mode: "forward" (one clip, repeatedly) or "cold" (several clips in turn, from memory; only
            on the CPU, with at least 4 frames and a method that reads them all).
        device: Where to run.
        providers: Functions of the clip by name; default `active_image_providers(...)`.

    Raises:
        InputError: Unknown method or mode, a shape that is not that of a clip, or mode "cold" where
            it does not apply.
        RuntimeError: A provider's image is wrong.
    """
    check_timed_method(method)
    if mode not in ACTIVE_IMAGE_MODES:
        raise InputError(f"mode must be one of {', '.join(ACTIVE_IMAGE_MODES)}, got {mode!r}")
    check_clip_shape(shape)
    device = torch.device(device)
    if mode == "cold" and (device.type != "cpu" or method == "telescoped" or shape[0] < 4):
        raise InputError(
            "mode cold needs the CPU, a method that reads all frames and at least 4 frames, "
            f"got {device}, {method!r}, {shape[0]}"
        )
    functions = active_image_providers(method, device) if providers is None else providers
    frames = random_frames(shape, device)
    check_images(f"active image {method!r}", functions, frames, method)
    pixels = frames[0].numel()
    moved = _needed(frames, method).nbytes + 4 * pixels
    turns = itertools.repeat(frames) if mode == "forward" else _clips_from_memory(frames)
    calls: dict[str, Call] = {
        name: functools.partial(_call_next, function, turns) for name, function in functions.items()
    }
    if mode == "cold":  # the clone reads from memory too; a clone of n bytes moves 2 n
        calls["clone"] = lambda: next(turns).view(-1)[: moved // 2].clone()
    name = f"active_image_{method}"
    return Case(name, mode, device, torch.uint8, tuple(shape), "contiguous", moved, calls)


def active_image_jobs(
    device: torch.device, *, threads: Sequence[int], quick: bool = False
) -> list[Job]:
    """List the cases: 128 x 128 to 1920 x 1080, grey and colour, 8 to 1,000 frames.

    All methods are timed on two clips of 64 frames, from the cache and from memory. Other shapes
    and "compile" are timed with `METHODS_TIMED` only, which differ in what they read and compute.
    "telescoped" also gets clips of up to 100,000 small frames. To save time, these clips, the
    largest ones, "compile" and the quadratic loops run only with the largest number of threads.

    Args:
        device: Where to run.
        threads: Numbers of CPU threads; (0,) for a GPU.
        quick: One method and the two clips of 64 frames.
    """
    jobs = []
    for count in threads:
        most = count == max(threads)
        cases: list[tuple[tuple[int, ...], str, str]] = []
        if quick:
            cases += [(shape, "absolute", "forward") for shape in _MIDDLE]
        else:
            cases += itertools.product(_MIDDLE, originet_ext.METHODS, ("forward",))
            if device.type == "cpu":
                one_pass = [method for method in originet_ext.METHODS if method != "telescoped"]
                cases += itertools.product(_MIDDLE, one_pass, ("cold",))
                timed = [method for method in METHODS_TIMED if method in one_pass]
                cases += itertools.product(_COLD, timed, ("cold",))
            shapes = (*_SHAPES, *_LARGE) if most else _SHAPES
            cases += itertools.product(shapes, METHODS_TIMED, ("forward",))
            if most:
                cases += [((length, 32, 32), "telescoped", "forward") for length in _LENGTHS]
        for shape, method, mode in cases:
            names = _names(shape, method, device)
            if quick or not most:
                names = [name for name in names if name not in ("compile", "loops")]
            job = functools.partial(_prepare, names, shape, method=method, mode=mode, device=device)
            jobs.append(Job(job, threads=count, budget=0.5 if quick else 0.8))
    return jobs


def check_timed_method(method: str) -> None:
    """Raise InputError unless the active-image method exists."""
    if method not in originet_ext.METHODS:
        raise InputError(f"method must be one of {', '.join(originet_ext.METHODS)}, got {method!r}")


def check_clip_shape(shape: Sequence[int]) -> None:
    """Raise InputError unless the shape is that of a clip with at least 2 frames."""
    if len(shape) not in (3, 4) or shape[0] < 2:
        raise InputError(f"shape must be [T >= 2, H, W] or [T >= 2, H, W, C], got {list(shape)}")


def random_frames(shape: Sequence[int], device: torch.device) -> Tensor:
    """Return uint8 frames of random bytes, the same each time."""
    generator = torch.Generator(device).manual_seed(0)
    frames = torch.empty(tuple(shape), dtype=torch.uint8, device=device)
    return frames.random_(0, 256, generator=generator)


def check_images(what: str, functions: Mapping[str, Function], frames: Tensor, method: str) -> None:
    """Raise RuntimeError unless every provider's image of a clip matches the reference."""
    # Pixels are independent, so of a large clip only the first and last rows are compared; each
    # provider still runs on the whole clip.
    rows = frames.shape[1]
    kept = [*range(_CHECKED_ROWS), *range(rows - _CHECKED_ROWS, rows)]
    if frames.nbytes <= _CHECKED_WHOLE or rows <= len(kept):
        kept = list(range(rows))
    expected = reference.active_image(frames[:, kept], method=method)
    allowed = tolerance(method, len(frames))
    for name, function in functions.items():
        if name != "read":  # the lower bound, which computes something else
            got = sampled(function(frames), rows, kept)
            check_close(what, name, got, expected, allowed)


def tolerance(method: str, frames: int) -> float:
    """Return the allowed error of a clip's image: that of float32 sums over the frames.

    It is a small fraction of the sum of the terms' magnitudes, each about half of 255.
    """
    weights = 2.0 * frames
    if method not in MOTION_METHODS:
        weights = rivals.terms(method, frames, torch.device("cpu"))[1].abs().sum().item()
    return 1e-5 * 128 * max(1.0, weights)


def _prepare(
    names: Sequence[str], shape: tuple[int, ...], *, method: str, mode: str, device: torch.device
) -> Case:
    if "compile" in names:
        torch.compiler.reset()  # else torch.compile would stop at its recompilation limit
    providers = active_image_providers(method, device, names)
    return active_image_case(shape, method=method, mode=mode, device=device, providers=providers)


def _names(shape: tuple[int, ...], method: str, device: torch.device) -> list[str]:
    """Return the providers that are fast enough for this shape."""
    names = list(active_image_providers(method, device))
    if shape in _MIDDLE and method in METHODS_TIMED:
        names.append("compile")
    slow = set()
    if method != "telescoped" and torch.Size(shape).numel() > _MANY_PASSES:
        slow |= {"eager", "numpy"}
    if shape[0] > _QUADRATIC or shape not in _MIDDLE:
        slow.add("loops")
    return [name for name in ACTIVE_IMAGE_PROVIDERS if name in names and name not in slow]


def _needed(frames: Tensor, method: str) -> Tensor:
    """Return as many frames as the method must read: three for "telescoped", else all."""
    return frames[:3] if method == "telescoped" else frames


def _clips_from_memory(frames: Tensor) -> Iterator[Tensor]:
    """Yield the clip and copies of it in turn; enough of them that none is still in a cache."""
    cache = max(cache_sizes(frames.device)) or _CACHE
    copies = 3 * cache // frames.nbytes
    return itertools.cycle([frames, *(frames.clone() for _ in range(copies))])


def _call_next(function: Function, turns: Iterator[Tensor]) -> Tensor:
    return function(next(turns))
