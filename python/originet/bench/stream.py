"""The streaming accumulator, fed frame by frame, compared with OpenCV's accumulate."""

import functools
import itertools
import pickle
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

import originet_ext
from originet.bench import rivals
from originet.bench.active_image import (
    METHODS_TIMED,
    check_clip_shape,
    check_images,
    check_timed_method,
    random_frames,
)
from originet.system.clock import Call, Case, Function, Job

_SHAPES = ((64, 128, 128), (16, 1080, 1920))


def stream_providers(method: str) -> dict[str, Function]:
    """Return the ways to sum up a clip, by name.

    "fused" is the accumulator, fed one frame at a time. "batch" is the kernel on the whole clip.
    "read" is the lower bound. OpenCV's weights are computed beforehand, for a known length.
    """
    return {
        "fused": lambda frames: torch.from_numpy(_accumulated(frames, method).result()),
        "batch": functools.partial(originet_ext.active_image, method=method),
        "opencv": functools.partial(rivals.opencv_active_image, method=method),
        "read": rivals.read_once,
    }


def stream_case(
    shape: Sequence[int],
    *,
    method: str = "absolute",
    providers: Mapping[str, Function] | None = None,
) -> Case:
    """Prepare the accumulator on a random uint8 clip on the CPU, checked against the reference.

    Even "telescoped" reads every frame, since a stream does not announce its last one.

    Args:
        shape: [T, H, W] or [T, H, W, 3] with at least 2 frames.
        method: One of `originet_ext.METHODS`.
        providers: Functions of the clip by name; default `stream_providers(...)`.

    Raises:
        InputError: Unknown method, or a shape that is not that of a clip.
        RuntimeError: A provider's image is wrong.
    """
    check_timed_method(method)
    check_clip_shape(shape)
    device = torch.device("cpu")
    functions = stream_providers(method) if providers is None else providers
    frames = random_frames(shape, device)
    check_images(f"stream {method!r}", functions, frames, method)
    calls: dict[str, Call] = {
        name: functools.partial(function, frames) for name, function in functions.items()
    }
    kept = len(pickle.dumps(_accumulated(frames, method)))
    moved = frames.nbytes + 4 * frames[0].numel()
    return Case(
        f"stream_{method}",
        "forward",
        device,
        torch.uint8,
        tuple(shape),
        "contiguous",
        moved,
        calls,
        {"fused": kept},
    )


def stream_jobs(*, threads: Sequence[int], quick: bool = False) -> list[Job]:
    """List the cases: grey frames of 128 x 128 and of 1920 x 1080, for each timed method.

    Args:
        threads: Numbers of CPU threads.
        quick: Only one method and small frames.
    """
    return [
        Job(functools.partial(stream_case, shape, method=method), threads=count, budget=0.4)
        for count, shape, method in itertools.product(threads, _SHAPES, METHODS_TIMED)
        if not quick or (shape, method) == (_SHAPES[0], "absolute")
    ]


def _accumulated(frames: Tensor, method: str) -> originet_ext.ActiveImageAccumulator:
    accumulator = originet_ext.ActiveImageAccumulator(method)
    for frame in frames.numpy():
        accumulator.update(frame)
    return accumulator
