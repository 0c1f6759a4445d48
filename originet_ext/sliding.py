"""Active images of a window that slides over a long video."""

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from originet_ext._checks import MOTION_METHODS, check_method, check_windows
from originet_ext._device_weights import put_weights
from originet_ext._library import ops
from originet_ext._weights import weight_terms
from originet_ext.temporal_pool import memory_order, pool_terms

__all__ = ["sliding_active_images"]

# The methods whose images follow from sums that windows share.
RUNNING_METHODS = ("cumulative", "authors", "rank-simple", *MOTION_METHODS)


def sliding_active_images(
    frames: Tensor,
    window: int,
    stride: int = 1,
    method: str = "cumulative",
    normalize: str = "none",
) -> Tensor:
    """Computes the active image of every window of a long clip.

    Image k is `active_image(frames[k * stride : k * stride + window], method=method)`. For uint8
    frames, all methods except `rank` and `learnet` give the same bits.

    The cost of an image does not grow with the window. `telescoped` reads three frames, and
    `cumulative`, `authors`, `rank-simple`, `absolute` and `rectified` visit every frame of the
    video about twice, however long the window is. The weights of `rank` and `learnet` are harmonic
    and have no finite recurrence; their cost grows with window / stride.

    The five methods that share sums sum floating frames in float64 and round twice to the type of
    the result. With r the range of a pixel's values in a window, the float32 image has an error of
    at most 2^-22 * r * sum_t |w_t| for `cumulative`, `authors` and `rank-simple`, and of 2^-22 of
    itself for `absolute` and `rectified`. Errors do not add up along the video, and a frame that is
    not finite spoils only the windows that hold it.

    Memory holds the frames, the images and, for each thread, half a megabyte or, if that is more,
    2 KB for every window that contains a given frame. A video that does not fit in memory can be
    processed in pieces: if one piece yields W images, the next begins W * stride frames later, so
    that they overlap by fewer frames than a window. The images are the same to the bit.

    Args:
        frames: one clip [T, ...], uint8 (0..255) or floating, 2 dimensions or more, pixels and
            channels in any order. Crops (views with strided rows) are read in place.
        window: frames per window, 1 to T. Windows of one frame give zeros.
        stride: frames between the starts of two windows, 1 or more.
        method: one of `METHODS`, as for `active_image`.
        normalize: one of `NORMALIZATIONS`, for each image by itself.

    Returns:
        [W, ...] with W = (T - window) // stride + 1; float64 for float64 frames, otherwise float32.
        Differentiable for floating frames; if a gradient may be needed, each window is summed on
        its own.

    Raises:
        TypeError: frames, window or stride have a wrong type or dtype.
        ValueError: an unknown method or normalisation, a wrong shape, or a window or stride out
            of range.

    Reference: Verma et al., arXiv:2005.07991, Eqs. (1)-(3), for the images; van Herk, "A fast
    algorithm for local minimum and maximum filters", for the two walks that replace running sums.
    """
    if has_torch_function_unary(frames):
        return handle_torch_function(
            sliding_active_images,
            (frames,),
            frames,
            window,
            stride,
            method=method,
            normalize=normalize,
        )
    check_method("sliding_active_images", method, normalize)
    check_windows("sliding_active_images", frames, window, stride)
    if method not in RUNNING_METHODS:
        return overlapping_clips(frames, window, stride, method, normalize)
    order = memory_order(frames)
    if order is None:
        return ops.sliding_pool.default(frames, window, stride, method, normalize)
    frames = frames.permute(order)
    images = ops.sliding_pool.default(frames, window, stride, method, normalize)
    return images.permute([order.index(d) for d in range(len(order))])


def overlapping_clips(
    frames: Tensor, window: int, stride: int, method: str, normalize: str
) -> Tensor:
    """Computes the images [W, ...] of a linear method, with every window as a clip of its own."""
    windows = (len(frames) - window) // stride + 1
    starts = torch.arange(windows, device="cpu") * stride
    # While compiling, the length of a range is a constant, even if `window` is a symbol.
    index, weights = map(torch.from_numpy, weight_terms(method, len(range(window))))
    if weights.is_floating_point() and frames.device.type != "cpu":
        weights = put_weights(method, (window,), weights, frames)
    ends = torch.full_like(starts, len(index))
    clips = torch.stack([starts, torch.zeros_like(starts), ends], 1)
    return pool_terms([frames], clips, index, weights, windows * len(index), normalize)
