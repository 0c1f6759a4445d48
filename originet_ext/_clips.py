"""The forms that clips can take: one clip, packed with offsets, a list, a nested tensor."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from originet_ext._checks import check_frames, type_of, warn_of_batch


def unpack_clips(
    function: str, frames: Tensor | Sequence[Tensor], offsets: Tensor | None
) -> tuple[list[Tensor], list[int]]:
    """Converts all forms of clips into one, without copying frames.

    Args:
        function: name for error messages.
        frames: one clip [T, ...], packed clips [sum T, ...] with `offsets`, a list of clips, or a
            nested tensor of clips.
        offsets: int64 [B + 1] for packed clips, else None.

    Returns:
        The tensors that hold the frames, one for all clips or one per clip; and where each clip
        begins and ends, counting over the tensors in order: B + 1 increasing numbers from 0 to
        sum T.

    Raises:
        TypeError: frames or offsets have a wrong type or dtype.
        ValueError: a wrong shape, an empty clip, or offsets that do not divide up all frames.
    """
    if isinstance(frames, np.ndarray):  # else its frames would be a list of clips
        check_frames(function, "frames", frames)
    nested = isinstance(frames, Tensor) and frames.is_nested
    if isinstance(frames, Tensor) and not nested:
        check_frames(function, "frames", frames)
        if offsets is not None:
            return [frames], _offset_values(function, offsets, frames.shape[0])
        if frames.shape[0] == 0:
            raise ValueError(f"{function}: clip 0 is empty")
        warn_of_batch(function, frames)
        return [frames], [0, frames.shape[0]]
    if offsets is not None:
        kind = "nested tensor" if nested else "list of clips"
        raise ValueError(f"{function}: offsets go with packed frames, not with a {kind}")
    if isinstance(frames, Tensor) and frames.layout == torch.jagged and _is_packed(frames):
        packed = frames.values()
        check_frames(function, "frames", packed)
        return [packed], _offset_values(function, frames.offsets(), packed.shape[0])  # type: ignore[attr-defined]
    clips = list(frames.unbind() if isinstance(frames, Tensor) else frames)
    _check_list(function, clips)
    lengths = [clip.shape[0] for clip in clips]
    if 0 in lengths:
        raise ValueError(f"{function}: clip {lengths.index(0)} is empty")
    return clips, [0, *accumulate(lengths)]


def tensors_of(frames: Tensor | Sequence[Tensor], offsets: Tensor | None) -> tuple[Tensor, ...]:
    """The tensors among these arguments, or their stand-ins in a graph that is traced."""
    clips = frames if isinstance(frames, Sequence) else (frames,)
    return (*clips, *(() if offsets is None else (offsets,)))


def is_single(frames: Tensor | Sequence[Tensor], offsets: Tensor | None) -> bool:
    """Whether these arguments are one clip, whose image has no batch dimension."""
    return isinstance(frames, Tensor) and not frames.is_nested and offsets is None


def _is_packed(frames: Tensor) -> bool:
    """Whether a jagged tensor is ragged in time and has no gaps between its clips."""
    # Without gaps there are only offsets, no lengths.
    return frames.lengths() is None and frames._ragged_idx == 1  # type: ignore[attr-defined]


def _check_list(function: str, clips: list[Tensor]) -> None:
    if not clips:
        raise ValueError(f"{function}: the list of clips is empty")
    check_frames(function, "frames[0]", clips[0])
    first = _kind(clips[0])
    for i, clip in enumerate(clips):
        if not isinstance(clip, Tensor) or _kind(clip) != first:
            check_frames(function, f"frames[{i}]", clip)
            if clip.shape[1:] != clips[0].shape[1:]:
                raise ValueError(
                    f"{function}: frames[{i}] has frames of shape {list(clip.shape[1:])}, "
                    f"frames[0] of {list(clips[0].shape[1:])}"
                )
            raise TypeError(
                f"{function}: frames[{i}] is {clip.dtype} on {clip.device}, "
                f"frames[0] {clips[0].dtype} on {clips[0].device}"
            )


def _kind(clip: Tensor) -> tuple[torch.dtype, torch.device, torch.Size]:
    """What all clips of a list have in common."""
    return clip.dtype, clip.device, clip.shape[1:]


def _offset_values(function: str, offsets: Tensor, total: int) -> list[int]:
    if not isinstance(offsets, Tensor) or offsets.dtype != torch.int64:
        kind = offsets.dtype if isinstance(offsets, Tensor) else type_of(offsets)
        raise TypeError(f"{function}: offsets must be an int64 tensor, got {kind}")
    if offsets.dim() != 1 or len(offsets) < 2:
        raise ValueError(
            f"{function}: offsets must be [B + 1] with B >= 1, got {list(offsets.shape)}"
        )
    bounds = offsets.tolist()
    if bounds[0] != 0:
        raise ValueError(f"{function}: offsets must start at 0, got {bounds[0]}")
    for b, (start, end) in enumerate(pairwise(bounds)):
        if end < start:
            raise ValueError(f"{function}: offsets must not decrease, got {end} after {start}")
        if end == start:
            raise ValueError(f"{function}: clip {b} is empty")
    if bounds[-1] != total:
        raise ValueError(
            f"{function}: offsets must end at the number of frames, {total}, got {bounds[-1]}"
        )
    return bounds
