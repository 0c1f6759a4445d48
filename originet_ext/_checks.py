"""Argument checks shared by the fused functions and their reference."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

METHODS = (
    "cumulative",
    "telescoped",
    "authors",
    "absolute",
    "rectified",
    "rank",
    "rank-simple",
    "learnet",
)
MOTION_METHODS = ("absolute", "rectified")  # not linear
NORMALIZATIONS = ("none", "clip", "minmax")
_MOST_CHANNELS = 4  # of a picture: red, green, blue and alpha
# The longest motion clip or sliding window: kMostFrames of csrc/frame_shape.h.
MOST_FRAMES = 2**31 - 1
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_alpha(function: str, alpha: float) -> None:
    """Raises unless `alpha` is a finite number; a tensor would be silently detached."""
    if isinstance(alpha, Tensor):
        raise TypeError(f"{function}: alpha must be a number, got {type(alpha).__name__}")
    # Not math.isfinite, which Dynamo cannot trace for a dynamic alpha.
    if not -math.inf < alpha < math.inf:
        raise ValueError(f"{function}: alpha must be finite, got {alpha}")


def type_of(value: Any) -> str:
    """Names the type of a wrong argument, for error messages; for NumPy arrays, with a hint."""
    name = type(value).__name__
    if isinstance(value, np.ndarray):
        return f"{name}: torch.from_numpy makes a tensor of it without a copy"
    return name


def check_floating(function: str, name: str, tensor: Tensor) -> None:
    """Raises TypeError unless `tensor` is a tensor of a supported floating dtype."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{function}: {name} must be a torch.Tensor, got {type_of(tensor)}")
    if tensor.dtype not in FLOATING:
        raise TypeError(
            f"{function}: {name} must be float16, bfloat16, float32 or float64, got {tensor.dtype}"
        )


def check_same(function: str, a: Tensor, b: Tensor) -> None:
    """Raises unless `a` and `b` have the same shape, dtype and device."""
    check_floating(function, "a", a)
    check_floating(function, "b", b)
    if a.shape != b.shape:
        raise ValueError(
            f"{function}: a and b must have the same shape, got {list(a.shape)} and {list(b.shape)}"
        )
    if a.dtype != b.dtype:
        raise TypeError(
            f"{function}: a and b must have the same dtype, got {a.dtype} and {b.dtype}"
        )
    if a.device != b.device:
        raise ValueError(
            f"{function}: a and b must be on the same device, got {a.device} and {b.device}"
        )


def check_norm(
    function: str,
    a: Tensor,
    b: Tensor,
    vectors: Mapping[str, Tensor | None],
    batch_statistics: bool,
    eps: float,
    alpha: float,
) -> None:
    """Raises unless the arguments of a normalised join fit together.

    Args:
        function: name for error messages.
        a: the first branch [N, C, ...].
        b: the second branch.
        vectors: the [C] arguments by name, including `running_mean` and `running_var`.
        batch_statistics: whether to normalise with the statistics of the batch.
        eps: added to the variance.
        alpha: slope of psi.
    """
    for name, branch in (("a", a), ("b", b)):
        check_floating(function, name, branch)
        if branch.is_nested:
            raise ValueError(f"{function}: {name} is a nested tensor, whose channels have no size")
    check_same(function, a, b)
    check_alpha(function, alpha)
    shape = a.shape
    if len(shape) < 2:
        raise ValueError(f"{function}: a and b must be [N, C, ...], got {list(shape)}")
    channels = shape[1]
    for name, vector in vectors.items():
        if vector is None:
            continue
        if not isinstance(vector, Tensor):
            kind = type_of(vector)
            raise TypeError(f"{function}: {name} must be a torch.Tensor or None, got {kind}")
        if vector.dtype != a.dtype and (vector.dtype != torch.float32 or a.dtype.itemsize != 2):
            wide = " or torch.float32" if a.dtype.itemsize == 2 else ""
            raise TypeError(
                f"{function}: {name} must be {a.dtype}{wide} where a is {a.dtype}, "
                f"got {vector.dtype}"
            )
        if vector.dim() != 1 or vector.shape[0] != channels:
            raise ValueError(
                f"{function}: {name} must be [{channels}], one value per channel, "
                f"got {list(vector.shape)}"
            )
        if vector.device != a.device:
            raise ValueError(
                f"{function}: {name} must be on the device of a, {a.device}, got {vector.device}"
            )
    if (vectors["running_mean"] is None) != (vectors["running_var"] is None):
        raise ValueError(
            f"{function}: running_mean and running_var must both be given or both be None"
        )
    if eps < 0 or (batch_statistics and eps == 0) or eps != eps:
        raise ValueError(f"{function}: eps must be positive, got {eps}")
    # One value has no variance.
    if batch_statistics and channels > 0 and a.numel() == channels:
        raise ValueError(
            f"{function}: batch statistics need more than 1 value per channel, got a of shape "
            f"{list(shape)}"
        )


def check_method(function: str, method: str, normalize: str) -> None:
    """Raises ValueError unless both names are known."""
    if method not in METHODS:
        raise ValueError(f"{function}: method must be one of {', '.join(METHODS)}, got {method!r}")
    if normalize not in NORMALIZATIONS:
        raise ValueError(
            f"{function}: normalize must be one of {', '.join(NORMALIZATIONS)}, got {normalize!r}"
        )


def check_frames(function: str, name: str, frames: Tensor) -> None:
    """Raises unless `frames` is [T, ...], uint8 or floating."""
    if not isinstance(frames, Tensor):
        raise TypeError(f"{function}: {name} must be a torch.Tensor, got {type_of(frames)}")
    if frames.dtype != torch.uint8 and frames.dtype not in FLOATING:
        raise TypeError(
            f"{function}: {name} must be uint8, float16, bfloat16, float32 or float64, "
            f"got {frames.dtype}"
        )
    if frames.dim() < 2:
        raise ValueError(
            f"{function}: {name} must be [T, ...] with 2 dimensions or more, "
            f"got {list(frames.shape)}"
        )


def warn_of_batch(function: str, frames: Tensor) -> None:
    """Warns if one clip [T, ...] looks like a batch of clips.

    Frames have two dimensions, or three of which one is the channels: 4 at most. A batch [B, T, H,
    W] of longer clips, or any [B, T, C, H, W], does not look like that. It may still be a clip, of
    feature maps for example, so this is not an error. Compiled code skips the check: it cannot
    warn, and looking at the shape would make the compiler specialise on it.
    """
    if torch.compiler.is_compiling() or frames.dim() < 4:
        return
    if frames.dim() == 4 and any(size <= _MOST_CHANNELS for size in frames.shape[1:]):
        return
    warnings.warn(
        f"{function}: frames {list(frames.shape)} are treated as one clip of {frames.shape[0]} "
        f"frames {list(frames.shape[1:])}; pass a batch of clips as a list, such as "
        "list(frames), or packed with offsets",
        stacklevel=4,
    )


def check_windows(function: str, frames: Tensor, window: int, stride: int) -> None:
    """Raises unless `frames` is one clip and long enough for a window."""
    check_frames(function, "frames", frames)
    warn_of_batch(function, frames)
    for name, value in (("window", window), ("stride", stride)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{function}: {name} must be an int, got {type(value).__name__}")
        if value < 1:
            raise ValueError(f"{function}: {name} must be 1 or more, got {value}")
    if window > len(frames):
        raise ValueError(
            f"{function}: window must be at most the number of frames, {len(frames)}, got {window}"
        )
    if window > MOST_FRAMES:
        raise ValueError(f"{function}: window must be at most {MOST_FRAMES}, got {window}")
