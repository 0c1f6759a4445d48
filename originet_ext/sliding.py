"""Active images of a window that slides over a long video."""

import torch
from torch import Tensor

from originet_ext._autograd import call, kernel, may_differentiate
from originet_ext._checks import check_method, check_windows
from originet_ext._library import ops
from originet_ext.active_image import _sparse_weights, _TemporalPool, active_image
from originet_ext.reference import normalize_images

__all__ = ["sliding_active_images"]

# The methods whose image of a window follows from sums that windows share.
_RUNNING = ("authors", "rank-simple", "absolute", "rectified")


def sliding_active_images(
    frames: Tensor,
    window: int,
    stride: int = 1,
    method: str = "paper",
    normalize: str = "none",
) -> Tensor:
    """Gives the active image of every window of a long clip.

    Image k is `active_image(frames[k * stride : k * stride + window], method=method)`. For uint8
    frames the methods `paper`, `authors`, `rank-simple`, `absolute` and `rectified` give the same
    bits.

    The cost of an image does not grow with the window: `paper` reads three frames, and `authors`,
    `rank-simple`, `absolute` and `rectified` visit every frame of the video about twice, whatever
    the window. The weights of `rank` and `learnet` are harmonic and have no finite recurrence;
    their cost grows with window / stride.

    Floating frames are summed in float64 under the four methods of running sums, and rounded
    to the result's type twice: with p the range of a pixel's values in the window, the error is
    at most 2^-22 * sum_t |w_t| * p for the ramps and 2^-22 of the image for the motions (float32).
    Errors do not add up along the video, and a frame that is not finite spoils the windows that
    hold it, no others.

    Memory holds the frames, the images and, for each thread, about half a megabyte. For a video
    longer than memory, call it with pieces of which each begins `window - stride` frames before
    the last one's end (`stride - window` after it where the windows do not overlap), cut so that
    each begins at a multiple of `stride`; the images are the same.

    Args:
        frames: one clip [T, ...], uint8 (0..255) or floating, 2 dimensions or more, pixels and
            channels in any order. Crops (views with strided rows) are read in place.
        window: frames in a window, 1 to T. Windows of one frame give zeros.
        stride: frames from one window's start to the next one's, 1 or more.
        method: one of `METHODS`, as for `active_image`.
        normalize: one of `NORMALIZATIONS`, for each image by itself.

    Returns:
        [W, ...] with W = (T - window) // stride + 1; float64 for float64 frames, else float32.
        Differentiable for floating frames; where a gradient may be asked for, each window is
        summed anew.

    Raises:
        TypeError: frames, window or stride have a wrong type or dtype.
        ValueError: an unknown method or normalisation, a wrong shape, or a window or stride out
            of range.

    Reference: Verma et al., arXiv:2005.07991, Eqs. (1)-(3), for the images; van Herk, "A fast
    algorithm for local minimum and maximum filters", for the two walks that replace running sums.
    """
    check_method("sliding_active_images", method, normalize)
    check_windows("sliding_active_images", frames, window, stride)
    if _may_differentiate(frames):
        return normalize_images(_overlapping_clips(frames, window, stride, method), normalize)
    if method not in _RUNNING:
        images = _overlapping_clips(frames, window, stride, method)
        return images.clamp_(0, 255) if normalize == "clip" else _minmax_(images, normalize)
    fused = "clip" if normalize == "clip" else "none"
    op = ops.sliding_pool.default
    args = (frames, window, stride, method, fused)
    images = op(*args) if torch.compiler.is_compiling() else kernel(op, *args)
    return _minmax_(images, normalize)


def _may_differentiate(frames: Tensor) -> bool:
    if torch.compiler.is_compiling():  # Dynamo does not trace the other questions
        return frames.requires_grad and torch.is_grad_enabled()
    return frames.is_floating_point() and may_differentiate(frames)


def _overlapping_clips(frames: Tensor, window: int, stride: int, method: str) -> Tensor:
    """[W, ...]: every window as a clip of its own, differentiably."""
    windows = (len(frames) - window) // stride + 1
    starts = torch.arange(windows, device="cpu").unsqueeze(1) * stride
    if method in ("absolute", "rectified"):
        index = (starts + torch.arange(window, device="cpu")).flatten()
        offsets = torch.arange(windows + 1, device="cpu") * window
        return active_image(frames[index.to(frames.device)], offsets, method)
    index, weights, _ = map(torch.from_numpy, _sparse_weights(method, (0, window)))
    segments = torch.arange(windows + 1, device="cpu") * len(index)
    plan = ((starts + index).flatten(), weights.repeat(windows), segments)
    return call(ops.temporal_pool.default, _TemporalPool, frames, *plan)


def _minmax_(images: Tensor, normalize: str) -> Tensor:
    """`normalize_images` in place, a few images at a time."""
    if normalize == "minmax":
        for part in images.split(64):
            part.copy_(normalize_images(part, normalize))
    return images


@torch.library.register_fake("originet::sliding_pool")
def _(frames: Tensor, window: int, stride: int, method: str, normalize: str) -> Tensor:
    dtype = torch.float64 if frames.dtype == torch.float64 else torch.float32
    windows = (frames.shape[0] - window) // stride + 1
    return frames.new_empty((windows, *frames.shape[1:]), dtype=dtype)


def _no_backward(ctx: object, grad: Tensor) -> None:
    raise NotImplementedError(
        "originet::sliding_pool has no derivative; sliding_active_images has one"
    )


torch.library.register_autograd("originet::sliding_pool", _no_backward)
