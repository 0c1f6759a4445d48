"""Batches of clips of unequal length, packed and as a list, compared with equal lengths.

"fused" uses packed frames with offsets. "equal" runs the same kernel on the same bytes, cut into
clips of equal length. The ratio of their times shows the cost of raggedness alone.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

import originet_ext
from originet.bench import rivals
from originet.bench.active_image import (
    METHODS_TIMED,
    check_timed_method,
    random_frames,
    tolerance,
)
from originet.system.clock import Call, Case, Job, check_close, sampled
from originet.system.errors import InputError
from originet_ext import MOTION_METHODS, reference

CLIPS = (1, 16, 256)

_SHORTEST, _LONGEST = 8, 120  # frames; a micro-expression at 60 to 200 fps
_SIZE = 128  # rows and columns of a grey frame
_PADDED = 16  # clips; with 256, eager PyTorch would need 8 GB for the padding
_CHECKED = 16  # clips of a large batch to compare


class Batch(NamedTuple):
    """The clips in all forms that the providers take."""

    frames: Tensor
    """uint8 [sum T, H, W]."""
    offsets: Tensor
    """int64 [B + 1]: the ragged clips."""
    equal: Tensor
    """int64 [B + 1]: the same number of clips, equal in length to within a frame."""
    clips: list[Tensor]
    """The ragged clips, views of `frames`."""


BatchFunction = Callable[[Batch], Tensor]


def ragged_batch(clips: int, device: torch.device, size: int = _SIZE) -> Batch:
    """Make clips of 8 to 120 frames of random bytes, the same each time."""
    lengths = np.random.default_rng(0).integers(_SHORTEST, _LONGEST + 1, clips)
    total = int(lengths.sum())
    frames = random_frames((total, size, size), device)
    offsets = torch.from_numpy(np.concatenate([[0], lengths.cumsum()]))
    equal = torch.arange(clips + 1) * total // clips
    return Batch(frames, offsets, equal, list(frames.split(lengths.tolist())))


def ragged_providers(method: str, batch: Batch) -> dict[str, BatchFunction]:
    """Return the ways to compute a batch of active images, by name.

    "eager" loops over the clips. "padded" computes on clips padded beforehand, with weights that
    are 0 after each clip's end; it is limited to 16 clips. "equal" computes clips of equal length.
    "read", the lower bound, sums the bytes.
    """
    providers: dict[str, BatchFunction] = {
        "fused": lambda batch: originet_ext.active_image(batch.frames, batch.offsets, method),
        "list": lambda batch: originet_ext.active_image(batch.clips, method=method),
        "equal": lambda batch: originet_ext.active_image(batch.frames, batch.equal, method),
        "eager": functools.partial(_clip_by_clip, method=method),
        "read": lambda batch: rivals.read_once(batch.frames),
    }
    if len(batch.clips) <= _PADDED:
        padded = pad_sequence(batch.clips, batch_first=True)  # [B, longest, H, W]
        weights = _padded_weights(batch, method)
        providers["padded"] = lambda _: _padded_images(padded, weights, method)
    return providers


def ragged_case(
    clips: int,
    *,
    method: str = "absolute",
    device: str | torch.device = "cpu",
    size: int = _SIZE,
    providers: Mapping[str, BatchFunction] | None = None,
) -> Case:
    """Prepare a batch of clips of 8 to 120 grey uint8 frames, checked against the reference.

    The case's shape is [clips, frames in total, rows, columns].

    Args:
        clips: Number of clips, 1 or more.
        method: One of `originet_ext.METHODS`.
        device: Where to run.
        size: Rows and columns of a frame.
        providers: Functions of the batch by name; default `ragged_providers(...)`.

    Raises:
        InputError: Unknown method, or no clips.
        RuntimeError: A provider's images are wrong.
    """
    check_timed_method(method)
    if clips < 1:
        raise InputError(f"clips must be at least 1, got {clips}")
    device = torch.device(device)
    batch = ragged_batch(clips, device, size)
    functions = ragged_providers(method, batch) if providers is None else providers
    _check(functions, batch, method)
    calls: dict[str, Call] = {
        name: functools.partial(function, batch) for name, function in functions.items()
    }
    read = batch.frames.nbytes if method != "telescoped" else 3 * clips * size**2
    moved = read + 4 * clips * size**2
    shape = (clips, *batch.frames.shape)
    return Case(f"ragged_{method}", "forward", device, torch.uint8, shape, "packed", moved, calls)


def ragged_jobs(device: torch.device, *, threads: Sequence[int], quick: bool = False) -> list[Job]:
    """List the cases: 1, 16 and 256 clips, by the methods that read all frames.

    Args:
        device: Where to run.
        threads: Numbers of CPU threads; (0,) for a GPU.
        quick: Only 16 clips and one method.
    """
    methods = [method for method in METHODS_TIMED if method != "telescoped"]
    return [
        Job(
            functools.partial(ragged_case, clips, method=method, device=device),
            threads=count,
            budget=0.5 if quick else 1.0,
        )
        for count, clips, method in itertools.product(threads, CLIPS, methods)
        if not quick or (clips, method) == (16, "absolute")
    ]


def _clip_by_clip(batch: Batch, *, method: str) -> Tensor:
    return torch.stack([rivals.eager_active_image(clip, method=method) for clip in batch.clips])


def _padded_weights(batch: Batch, method: str) -> Tensor:
    """Return the weights of the frames, [B, longest], or of differences, [B, longest - 1]."""
    lengths = batch.offsets.diff().tolist()
    rows = []
    for length in lengths:
        if method in MOTION_METHODS:
            weights = torch.full((length - 1,), 2.0)
            weights[-1] = 1  # the last difference counts once
        else:
            index, chosen = rivals.terms(method, length, torch.device("cpu"))
            weights = torch.zeros(length)
            weights[slice(None) if index is None else index] = chosen
        rows.append(weights)
    return pad_sequence(rows, batch_first=True).to(batch.frames.device)


def _padded_images(padded: Tensor, weights: Tensor, method: str) -> Tensor:
    terms = padded.float()
    if method in MOTION_METHODS:
        terms = terms.diff(dim=1)
        terms = terms.abs() if method == "absolute" else terms.relu()
    return torch.einsum("bt,bthw->bhw", weights, terms)


def _check(functions: Mapping[str, BatchFunction], batch: Batch, method: str) -> None:
    # Each provider runs on all clips; of a large batch, only some are compared.
    count = len(batch.clips)
    sample = sorted({*range(0, count, max(1, count // _CHECKED)), count - 1})
    equal = batch.frames.tensor_split(batch.equal[1:-1])
    expected = {
        cut: torch.stack([reference.active_image(clips[i], method=method) for i in sample])
        for cut, clips in (("ragged", batch.clips), ("equal", equal))
    }
    allowed = tolerance(method, max(map(len, batch.clips)))
    for name, function in functions.items():
        if name != "read":  # the lower bound, which computes something else
            want = expected["equal" if name == "equal" else "ragged"]
            what = f"ragged batch {method!r}"
            check_close(what, name, sampled(function(batch), count, sample), want, allowed)
