"""The active image without the kernels: in PyTorch, OpenCV, NumPy and plain loops."""

import functools
import itertools

import cv2
import numpy as np
import torch
from torch import Tensor

from originet.system.clock import Function
from originet_ext import MOTION_METHODS, method_weights


def eager_active_image(frames: Tensor, *, method: str) -> Tensor:
    """Compute the active image by whole-clip PyTorch expressions in float32."""
    if method in MOTION_METHODS:
        return _motion_sum(frames, rectify=method == "rectified")
    index, weights = terms(method, len(frames), frames.device)
    return torch.tensordot(weights, _chosen(frames, index).float(), 1)


def compiled_active_image(method: str) -> Function:
    """Return the active image compiled by `torch.compile`, for one shape.

    Linear methods are written as product and sum, which the compiler fuses, unlike `tensordot`.
    """
    compiler = functools.partial(torch.compile, fullgraph=True, dynamic=False)
    if method in MOTION_METHODS:
        return compiler(functools.partial(_motion_sum, rectify=method == "rectified"))
    weighted_sum = compiler(_weighted_sum)

    def compiled(frames: Tensor) -> Tensor:
        return weighted_sum(frames, *terms(method, len(frames), frames.device))

    return compiled


def opencv_active_image(frames: Tensor, *, method: str) -> Tensor:
    """Compute the active image frame by frame, as while OpenCV decodes a video."""
    clip = frames.numpy()
    total = np.zeros(clip.shape[1:], np.float32)
    if method not in MOTION_METHODS:
        index, weights = terms(method, len(clip), frames.device)
        for t, weight in zip(index or range(len(clip)), weights.tolist(), strict=True):
            cv2.addWeighted(clip[t], weight, total, 1, 0, dst=total, dtype=cv2.CV_32F)
        return torch.from_numpy(total)
    # OpenCV's uint8 subtraction saturates at 0, which gives the rectified difference.
    subtract = cv2.absdiff if method == "absolute" else cv2.subtract
    for before, after in itertools.pairwise(clip):
        difference = subtract(after, before)
        cv2.accumulate(difference, total)
    return torch.from_numpy(2 * total - difference)  # the last difference counts once


def numpy_active_image(frames: Tensor, *, method: str) -> Tensor:
    """Compute the active image by whole-clip NumPy expressions, on one thread except in BLAS."""
    clip = frames.numpy()
    if method not in MOTION_METHODS:
        index, weights = terms(method, len(clip), frames.device)
        chosen = clip if index is None else clip[index]
        return torch.from_numpy(np.tensordot(weights.numpy(), chosen.astype(np.float32), 1))
    difference = np.diff(clip.astype(np.int16), axis=0)
    motion = np.abs(difference) if method == "absolute" else np.maximum(difference, 0)
    total = 2 * motion.sum(axis=0, dtype=np.int32) - motion[-1]  # the last counts once
    return torch.from_numpy(total.astype(np.float32))


def loops_active_image(frames: Tensor) -> Tensor:
    """Compute method "authors" as the sum over j of the sum over k <= j - 2 of F_j - F_k.

    This follows the description of the authors' program: n^2 / 2 passes over float64 frames.
    """
    clip = frames.numpy().astype(np.float64)
    total = np.zeros(clip.shape[1:])
    for j in range(len(clip)):
        for k in range(j - 1):
            total += clip[j] - clip[k]
    return torch.from_numpy(total.astype(np.float32))


def read_once(frames: Tensor) -> Tensor:
    """Sum the bytes of contiguous uint8 frames as 64-bit words: the cost of reading them."""
    words = frames.view(-1)
    return words[: len(words) // 8 * 8].view(torch.int64).sum()


@functools.lru_cache(maxsize=256)
def terms(method: str, frames: int, device: torch.device) -> tuple[list[int] | None, Tensor]:
    """Return the indices of the frames that a linear method uses (None: all) and their weights.

    The weights are float32. Only "telescoped" skips most frames: it always has three terms.
    """
    weights = method_weights(method, frames)
    if method != "telescoped":
        return None, weights.to(device, torch.float32)
    index = weights.nonzero().flatten()
    return index.tolist(), weights[index].to(device, torch.float32)


def _chosen(frames: Tensor, index: list[int] | None) -> Tensor:
    return frames if index is None else frames[index]


def _weighted_sum(frames: Tensor, index: list[int] | None, weights: Tensor) -> Tensor:
    column = weights.view(-1, *[1] * (frames.dim() - 1))
    return (column * _chosen(frames, index).float()).sum(0)


def _motion_sum(frames: Tensor, *, rectify: bool) -> Tensor:
    difference = frames.float().diff(dim=0)
    motion = difference.relu() if rectify else difference.abs()
    return 2 * motion.sum(dim=0) - motion[-1]  # the last difference counts once
