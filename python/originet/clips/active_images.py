"""Active images of a clip, made while it is read: only a few frames are in memory at a time.

Each function reads the clip once and returns arrays. `originet.clips.pictures` draws them.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.apex import ApexFinder
from originet.clips.clip import Clip, Progress, Shot
from originet.clips.still import Image
from originet.clips.watch import Watch
from originet.system.errors import InputError
from originet.system.memory import check_memory
from originet.system.words import counted
from originet_ext import METHODS, ActiveImageAccumulator

# An animation with more or larger frames loads slowly and shows no more.
ANIMATION_FRAMES = 100
ANIMATION_SIDE = 256  # pixels

# Bytes per value of a frame that an `ActiveImageAccumulator` takes at most: 17 frames, the first
# one, three sums and the image. And the bytes it takes in addition while it computes one image.
_SUM_BYTES = 18 + 3 * 8 + 4
_RESULT_BYTES = 50


class Phases(NamedTuple):
    """A clip as in the paper's Fig. 2: three frames and the active image."""

    onset: Shot
    apex: Shot
    offset: Shot
    active: NDArray[np.float32]
    length: int


class BuildUp(NamedTuple):
    """A clip and its active image up to each frame.

    Attributes:
        shots: the kept frames: every `step`-th, and the last.
        active: for each kept frame, the active image of all frames up to it, uint8.
        length: number of frames in the clip.
        step: 1 if every frame is kept.
    """

    shots: list[Shot]
    active: list[Image]
    length: int
    step: int


def sum_up(
    clip: Clip,
    methods: Sequence[str] = METHODS,
    normalize: str = "minmax",
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> tuple[Shot, dict[str, NDArray[np.float32]], int]:
    """Makes active images by several methods, reading the clip once.

    Args:
        clip: the clip to read.
        methods: some of `originet_ext.METHODS`.
        normalize: one of `originet_ext.NORMALIZATIONS`.
        progress: called as progress(done, total) after each frame.
        watch: sees each frame and collects warnings.

    Returns:
        The first frame; the active images by method, [H, W] or [H, W, 3] float32; and the number of
        frames.

    Raises:
        InputError: if the clip cannot be read; the message names the file.
    """
    sums = {method: ActiveImageAccumulator(method, normalize) for method in methods}
    first: Shot | None = None
    for shot in _watched(clip, len(sums), progress, watch):
        first = first or shot
        for accumulator in sums.values():
            accumulator.update(shot.pixels)
    assert first is not None  # a clip without frames is an InputError
    images = {method: accumulator.result() for method, accumulator in sums.items()}
    return first, images, next(iter(sums.values())).count


def phases(
    clip: Clip,
    method: str = "cumulative",
    normalize: str = "minmax",
    apex: int | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Phases:
    """Picks the onset, apex and offset frames and makes the active image.

    The clip is read once. If the estimated apex is not the frame that differs most from the first,
    the apex is read again.

    Args:
        clip: the clip to read.
        method: one of `originet_ext.METHODS`.
        normalize: one of `originet_ext.NORMALIZATIONS`.
        apex: number of the apex frame. None estimates it, see `originet.clips.apex`: of the frames
            that show the same as the first, the one with the largest mean absolute difference from
            it, and of several such frames the earliest.
        progress: called as progress(done, total) after each frame.
        watch: sees each frame and collects warnings.

    Returns:
        The three frames, the active image and the number of frames.

    Raises:
        InputError: if the clip cannot be read or has no frame `apex`; the message names the clip.
    """
    accumulator = ActiveImageAccumulator(method, normalize)
    onset = best = last = None
    largest = -math.inf
    finder = ApexFinder()
    for last in _watched(clip, 1, progress, watch):
        accumulator.update(last.pixels)
        onset = onset or last
        if apex is not None:
            best = last if last.number == apex else best
        elif (difference := finder.see(last.pixels)) > largest:
            best, largest = last, difference
    assert onset is not None and last is not None  # a clip without frames is an InputError
    if best is None:
        raise InputError(
            f"apex {apex} is not among frames {onset.number} to {last.number} of {clip.name}"
        )
    if apex is None and (number := clip.number(finder.apex())) != best.number:
        best = next(shot for shot in (onset, last, *clip.one(number)) if shot.number == number)
    return Phases(onset, best, last, accumulator.result(), accumulator.count)


def build_up(
    clip: Clip,
    method: str = "cumulative",
    normalize: str = "minmax",
    progress: Progress | None = None,
    watch: Watch | None = None,
    *,
    frames: int = ANIMATION_FRAMES,
    side: int = ANIMATION_SIDE,
) -> BuildUp:
    """Makes the active image up to each frame, for an animation.

    If a clip has more than `frames` frames, every second, fourth, eighth ... is kept, with the
    smallest step that suffices, and also the last. All images share one mapping to 0..255 ("minmax"
    uses the smallest and largest value of them all), so that a grey level means the same
    throughout.

    Args:
        clip: the clip to read.
        method: one of `originet_ext.METHODS`.
        normalize: "clip" or "minmax".
        progress: called as progress(done, total) after each frame.
        watch: sees each frame and collects warnings.
        frames: most frames to keep, not counting the last.
        side: frames and images with a longer side than this, in pixels, are shrunk to it.

    Returns:
        The kept frames and their active images.

    Raises:
        InputError: if the clip cannot be read; the message names the file.
    """
    accumulator = ActiveImageAccumulator(method)
    shots: list[Shot] = []
    images: list[NDArray[np.float32]] = []
    step = 1

    def keep(shot: Shot) -> None:
        shots.append(shot._replace(pixels=shrink(shot.pixels, side)))
        images.append(shrink(accumulator.result(), side))

    for index, shot in enumerate(_watched(clip, 1, progress, watch)):
        accumulator.update(shot.pixels)
        if index % step == 0 and len(shots) == frames:
            step *= 2
            del shots[1::2], images[1::2]
        if index % step == 0:
            keep(shot)
    if index % step:
        keep(shot)
    return BuildUp(shots, _to_uint8(images, normalize), accumulator.count, step)


def shrink(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    """Shrinks [H, W] or [H, W, 3] so that its longer side has at most `side` pixels."""
    scale = side / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    height, width = (max(1, round(scale * length)) for length in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def _to_uint8(images: list[NDArray[np.float32]], normalize: str) -> list[Image]:
    """Maps images to 0..255 with one common scale."""
    low, high = 0.0, 255.0
    if normalize == "minmax":
        low = min(float(image.min()) for image in images)
        high = max(float(image.max()) for image in images)
    scale = 255 / (high - low) if high > low else 0.0
    return [((image.clip(low, high) - low) * scale).round().astype(np.uint8) for image in images]


def check_room(name: str, shape: tuple[int, ...], methods: int) -> None:
    """Refuses active images that do not fit into memory, before the first frame is summed.

    Args:
        name: name of the clip.
        shape: shape of a frame, [H, W] or [H, W, 3].
        methods: number of active images.

    Raises:
        InputError: if memory is short; the message names the clip, its size and the memory needed.
    """
    what = f"{name}: {counted(methods, 'active image')} of {shape[1]}x{shape[0]}"
    check_memory(what, (methods * _SUM_BYTES + _RESULT_BYTES) * math.prod(shape))


def _watched(
    clip: Clip, methods: int, progress: Progress | None, watch: Watch | None
) -> Iterator[Shot]:
    done = 0
    with closing(clip.shots()) as shots:
        for done, shot in enumerate(shots, start=1):
            if done == 1:
                check_room(clip.name, shot.pixels.shape, methods)
            if watch is not None:
                watch.see(*shot)
            yield shot
            if progress is not None:
                progress(done, clip.length)
    if progress is not None and done != clip.length:  # the file's count was missing or wrong
        progress(done, done)
