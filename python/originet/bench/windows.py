"""Active images of a window that slides over a long video, as needed for spotting.

`sliding_active_images` is compared with computing each window separately: "each" with the fused
kernel, "eager" with PyTorch over an unfolded view. Their time grows with the window.
"""

import functools
import itertools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

import originet_ext
from originet.bench import rivals
from originet.bench.active_image import check_timed_method, random_frames, tolerance
from originet.system.clock import Call, Case, Function, Job, check_close, sampled
from originet.system.errors import InputError
from originet_ext import reference

WINDOWS = (10, 40, 160, 640)
STRIDE = 5

_FRAMES = 2000
_SIZE = 128  # rows and columns of a grey frame
_METHODS = ("cumulative", "authors", "absolute", "rank")
_EAGER = 40  # frames; eager PyTorch takes seconds for longer windows
_LONG = 120_000  # frames: ten minutes at 200 fps
_LONG_NEEDS = 8 << 30  # bytes: 2 GB of frames, 1.6 GB of images, and the same for the clone
_MEMORY = Path("/proc/meminfo")


def windows_providers(
    window: int, stride: int, method: str, names: Sequence[str] | None = None
) -> dict[str, Function]:
    """Return the ways to compute the active image of every window, by name.

    Args:
        window: Frames per window.
        stride: Frames between the starts of successive windows.
        method: One of `originet_ext.METHODS`.
        names: Some of "fused", "each", "eager" and "read", the lower bound; all by default.

    Raises:
        InputError: A name is unknown.
    """
    known: dict[str, Function] = {
        "fused": lambda frames: originet_ext.sliding_active_images(
            frames, window, stride, method=method
        ),
        "each": lambda frames: torch.stack(
            [
                originet_ext.active_image(frames[start : start + window], method=method)
                for start in range(0, len(frames) - window + 1, stride)
            ]
        ),
        "eager": lambda frames: torch.stack(
            [
                rivals.eager_active_image(view.movedim(-1, 0), method=method)
                for view in frames.unfold(0, window, stride)
            ]
        ),
        "read": rivals.read_once,
    }
    for name in names or ():
        if name not in known:
            raise InputError(f"provider must be one of {', '.join(known)}, got {name!r}")
    return known if names is None else {name: known[name] for name in names}


def windows_case(
    frames: int,
    window: int,
    *,
    method: str = "absolute",
    stride: int = STRIDE,
    size: int = _SIZE,
    device: str | torch.device = "cpu",
    providers: Mapping[str, Function] | None = None,
) -> Case:
    """Prepare the windows of one grey uint8 video; a sample is checked against the reference.

    The bytes moved are those of the frames, read once, and of the images.

    Args:
        frames: Number of frames.
        window: Frames per window, from 2 to `frames`.
        method: One of `originet_ext.METHODS`.
        stride: Frames between the starts of successive windows.
        size: Rows and columns of a frame.
        device: Where to run.
        providers: Functions of the frames by name; default `windows_providers(...)`.

    Raises:
        InputError: Unknown method, or a window or stride that does not fit.
        RuntimeError: A provider's images are wrong.
    """
    check_timed_method(method)
    if not 2 <= window <= frames:
        raise InputError(f"window must be 2 to {frames} frames, got {window}")
    if stride < 1:
        raise InputError(f"stride must be at least 1, got {stride}")
    device = torch.device(device)
    functions = windows_providers(window, stride, method) if providers is None else providers
    # A long video repeats a shorter stretch, since generating random bytes is slow.
    stretch = random_frames((min(frames, _FRAMES), size, size), device)
    video = stretch if frames == len(stretch) else _repeated(stretch, frames)
    _check(functions, video, window, stride, method)
    calls: dict[str, Call] = {
        name: functools.partial(function, video) for name, function in functions.items()
    }
    moved = video.nbytes + 4 * size**2 * _count(frames, window, stride)
    layout = f"window {window} stride {stride}"
    shape = tuple(video.shape)
    return Case(f"windows_{method}", "forward", device, torch.uint8, shape, layout, moved, calls)


def windows_jobs(device: torch.device, *, threads: Sequence[int], quick: bool = False) -> list[Job]:
    """List the cases: windows of 10 to 640 frames over 2,000, and of 40 over 120,000 frames.

    The long video runs only with the largest number of threads; it is skipped with a warning if
    less than 8 GiB of memory is available. Eager PyTorch runs on windows of up to 40 frames.

    Args:
        device: Where to run.
        threads: Numbers of CPU threads; (0,) for a GPU.
        quick: Only one window and method, without eager PyTorch.
    """
    cases = [
        (count, _FRAMES, window, method)
        for count, window, method in itertools.product(threads, WINDOWS, _METHODS)
        if not quick or (window, method) == (40, "absolute")
    ]
    if not quick:
        free = free_memory(device)
        if free is None or free >= _LONG_NEEDS:
            cases += [(max(threads), _LONG, 40, method) for method in _METHODS]
        else:
            warnings.warn(
                f"windows over {_LONG:,} frames are skipped: they need {_LONG_NEEDS >> 30} GiB of "
                f"memory, but only {free / (1 << 30):.1f} GiB are available",
                stacklevel=2,
            )
    jobs = []
    for count, frames, window, method in cases:
        names = ["fused", "each", "eager", "read"]
        if frames == _LONG:
            names = ["fused", "read"]
        elif quick or window > _EAGER:
            names.remove("eager")
        prepare = functools.partial(_prepare, names, frames, window, method=method, device=device)
        budget = 0.0 if frames == _LONG else 0.5  # seconds; 0 means as few rounds as possible
        jobs.append(Job(prepare, threads=count, budget=budget))
    return jobs


def free_memory(device: torch.device) -> int | None:
    """Return the bytes of memory that are available; None if unknown.

    For the CPU they come from Linux's /proc/meminfo.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if not _MEMORY.exists():
        return None
    lines = _MEMORY.read_text(encoding="ascii").splitlines()
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(sizes[0]) << 10 if sizes else None


def _prepare(
    names: Sequence[str], frames: int, window: int, *, method: str, device: torch.device
) -> Case:
    providers = windows_providers(window, STRIDE, method, names)
    return windows_case(frames, window, method=method, device=device, providers=providers)


def _repeated(stretch: Tensor, frames: int) -> Tensor:
    video = stretch.new_empty((frames, *stretch.shape[1:]))
    for part in video.split(len(stretch)):
        part.copy_(stretch[: len(part)])
    return video


def _count(frames: int, window: int, stride: int) -> int:
    return (frames - window) // stride + 1


def _check(
    functions: Mapping[str, Function], video: Tensor, window: int, stride: int, method: str
) -> None:
    # Each provider computes all windows. A sample is compared, including the last: sums may drift.
    count = _count(len(video), window, stride)
    sample = sorted({0, 1, count // 2, count - 2, count - 1} & set(range(count)))
    clips = [video[i * stride : i * stride + window] for i in sample]
    expected = torch.stack([reference.active_image(clip, method=method) for clip in clips])
    what, allowed = f"windows {method!r}", tolerance(method, window)
    for name, function in functions.items():
        if name != "read":  # the lower bound, which computes something else
            check_close(what, name, sampled(function(video), count, sample), expected, allowed)
