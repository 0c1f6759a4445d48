"""The active image: fused beside eager PyTorch, OpenCV and NumPy, and reading the bytes once."""

import functools
import itertools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

import originet_ext
from originet.bench.harness import Call, Case, Function, Job, check_close
from originet.errors import InputError
from originet_ext import reference

_MOTION = ("absolute", "rectified")  # the methods that are not linear
_METHODS = ("paper", "absolute", "rank")  # timed: three frames, differences, all frames weighted
_SHAPES = ((64, 128, 128), (64, 340, 280, 3), (16, 128, 128), (256, 340, 280, 3))


def eager_active_image(frames: Tensor, *, method: str) -> Tensor:
    """Compute the active image as one writes it in PyTorch: whole-clip expressions in float32."""
    if method not in _MOTION:
        weights = _weights(method, len(frames)).to(frames.device)
        used = weights != 0  # "paper" needs three frames
        return torch.tensordot(weights[used], frames[used].float(), 1)
    difference = frames.float().diff(dim=0)
    motion = difference.abs() if method == "absolute" else difference.relu()
    return 2 * motion.sum(dim=0) - motion[-1]  # the last difference counts once


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
        if name != "read":  # the floor: it computes something else
            check_close(f"active image {method!r}", name, function(frames), expected, tolerance)
    calls: dict[str, Call] = {
        name: functools.partial(function, frames) for name, function in functions.items()
    }
    moved = _needed(frames, method).nbytes + expected.nbytes
    name = f"active_image_{method}"
    return Case(name, "forward", device, torch.uint8, tuple(shape), "contiguous", moved, calls)


def active_image_jobs(
    device: torch.device, *, threads: Sequence[int], quick: bool = False
) -> list[Job]:
    """List the cases: two grey and two colour clips, by the methods that differ in what they read.

    Args:
        device: Where to run.
        threads: Counts of CPU threads; (0,) for a GPU.
        quick: One method and the two clips of 64 frames.
    """
    methods, shapes = (("absolute",), _SHAPES[:2]) if quick else (_METHODS, _SHAPES)
    return [
        Job(
            functools.partial(active_image_case, shape, method=method, device=device),
            threads=count,
            budget=0.5 if quick else 1.5,
        )
        for count, method, shape in itertools.product(threads, methods, shapes)
    ]


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
