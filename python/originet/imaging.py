"""Active images of clips as they are read: a few frames are in memory at a time, however many.

A `Clip` says which frames of which source are read and what is done to each; the functions read it
once and give arrays. `originet.pictures` draws them.
"""

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet import faces, video
from originet.apex import ApexFinder
from originet.live import Stream, iter_stream
from originet.span import find_span
from originet.system.errors import InputError
from originet.system.limits import check_frame
from originet.system.memory import check_memory
from originet.system.words import counted
from originet.video import Image
from originet.watch import Watch
from originet_ext import METHODS, ActiveImageAccumulator

# Called as progress(done, total) after each frame; a video may not tell how many there are.
Progress = Callable[[int, int | None], None]

# An animation of more or larger frames is slow to load and shows no more.
ANIMATION_FRAMES = 100
ANIMATION_SIDE = 256  # pixels

# Frames a second that a clip may have: one in twelve days, and what no camera reaches.
RATES = (1e-6, 1e6)

# Bytes that each value of a frame takes in an `ActiveImageAccumulator`, at most: 17 frames, the
# first one, three sums and the image; and besides, while one image is made of the sums.
_SUM_BYTES = 18 + 3 * 8 + 4
_RESULT_BYTES = 50

_SOON_COUNTED = 5  # frames
_STREAM_SAMPLES = 16  # frames of a stream that the face is looked for in


@dataclass(frozen=True)
class Clip:
    """Which frames are read, and what is done to each; made by `open_clip`.

    Attributes:
        frames: the image files, or the one video.
        onset: number of the first frame of a video; None means its first.
        offset: number of the last, inclusive; None means its last.
        length: how many frames there are; of a video, as its file says, None if it does not.
        origin: number of the source's first frame, at time 0.
        fps: frames a second, as the caller says; None where time stamps tell, or nothing does.
        color: three channels (blue, green, red) in place of grey.
        box: what is cut out of each frame, or None.
        angle: of the line of the eyes, which the cut levels, in degrees; 0 leaves frames upright.
        size: height and width that each frame is resized to, or None.
        people: how many faces were seen where a face is cut out; None where none is looked for.
        stream: the frames of a stream, which can be read once; None reads files.
        samples: by image file, the frames that the face was looked for in, not to be read twice.
    """

    frames: tuple[str, ...]
    onset: int | None
    offset: int | None
    length: int | None
    origin: int
    fps: float | None
    color: bool
    box: faces.Box | None
    angle: float
    size: int | None
    people: int | None = None
    stream: Generator[video.Timed, None, None] | None = field(
        default=None, compare=False, repr=False
    )
    samples: Mapping[str, Image] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The path that the clip was opened from."""
        path = Path(self.frames[0])
        return str(path if video.is_video(self.frames) else path.parent)

    def number(self, index: int) -> int:
        """Returns the number of the frame at an index from 0."""
        if video.is_video(self.frames):
            return (self.onset or 1) + index
        return video.frame_number(self.frames[index])

    def __iter__(self) -> Generator[Image, None, None]:
        """Reads and cuts the frames, [H, W] or [H, W, 3] uint8; a thread reads ahead."""
        with closing(self.shots()) as shots:
            for shot in shots:
                yield shot.pixels

    def shots(self) -> Generator["Shot", None, None]:
        """Reads and cuts the frames, each with its number and time; a thread reads ahead."""
        return video.read_ahead(self._shots())

    def _shots(self) -> Generator["Shot", None, None]:
        with closing(self._timed()) as frames:
            for index, (pixels, seconds) in enumerate(frames):
                number = self.number(index)
                if self.fps is not None:
                    seconds = (number - self.origin) / self.fps
                yield Shot(number, self.cut(pixels), seconds)

    def one(self, number: int) -> Iterator["Shot"]:
        """Reads one frame again, by its number.

        Raises:
            InputError: if the clip is a stream.
        """
        if self.stream is not None:
            raise InputError(f"frame {number} of {self.name} is the apex, and gone: give --apex")
        if video.is_video(self.frames):
            clip = replace(self, onset=number, offset=number)
        else:
            clip = replace(self, frames=tuple(video.select_frames(self.frames, number, number)))
        return clip._shots()

    def decode(self) -> Generator[Image, None, None]:
        """Reads the frames as they are."""
        with closing(self._timed()) as frames:
            for frame in frames:
                yield frame.pixels

    def _timed(self) -> Generator[video.Timed, None, None]:
        if self.stream is not None:
            return self.stream
        return video.iter_timed(
            self.frames, self.onset, self.offset, color=self.color, known=self.samples
        )

    def cut(self, frame: Image) -> Image:
        """Cuts the face out of a frame, where that was asked for, and resizes it."""
        if self.box is not None:
            frame = faces.cut(frame, self.box, self.angle)
        return frame if self.size is None else video.resize(frame, self.size)


def open_clip(
    source: str | Path | Sequence[str],
    *,
    start: int | str | None = None,
    end: int | str | None = None,
    fps: float | None = None,
    color: bool = False,
    crop_face: bool = False,
    align_eyes: bool = False,
    margin: float = 0.1,
    size: int | None = None,
) -> Clip:
    """Finds out what will be read; of the frames, only those that the face is looked for in are.

    Args:
        source: a video, or a folder of numbered frames; or the clip's frames, as
            `video.clip_frames` gives them.
        start: the first frame: its number, or a time after the source's first frame, as in "12.5s"
            or "1:02:03.5". A time means the first frame then or later; those of a video are found
            by its time stamps, for which it is decoded up to them, before it is read.
        end: the last frame, likewise; a time means the last frame then or earlier.
        fps: frames a second, where a video's time stamps are wrong and for folders, which have
            none.
        color: keeps three channels.
        crop_face: cuts out the face, with one box for all frames: the median of those found in 5
            to 16 frames spread over the clip. Those of image files are kept with the clip, not to
            be read again; in a video they are sought, and decoded again when it is read.
        align_eyes: with `crop_face`, turns all frames by one angle, so that the eyes are level.
        margin: added on each side of the face, as a share of its size.
        size: resizes each frame to so many pixels in height and width, after the cut.

    Raises:
        InputError: naming the source or value, if there is no such clip, a value is not of these
            forms or outside the clip, a time is given where the rate is not known, frames are
            larger than the limit (see `originet.system.limits`), or no face or no eyes are found.
    """
    if fps is not None and not RATES[0] <= fps <= RATES[1]:
        raise InputError(f"fps must be a number from {RATES[0]:g} to {RATES[1]:g}, got {fps:g}")
    _check_size(size)
    frames = video.clip_frames(source) if isinstance(source, str | Path) else tuple(source)
    if video.is_video(frames):
        name, first, last = frames[0], 1, video.video_info(frames[0]).length
    else:
        name = str(Path(frames[0]).parent)
        first, last = (video.frame_number(frames[index]) for index in (0, -1))
    onset, offset = find_span(name, start, end, first, fps, stamped=video.is_video(frames))
    if onset is not None and offset is not None and onset > offset:
        raise InputError(
            f"start {start} (frame {onset}) is after end {end} (frame {offset}) in {name}"
        )
    if video.is_video(frames):
        # The file's own count may be an estimate, so it refuses nothing.
        last = offset or last
        length = None if last is None or last < (onset or 1) else last - (onset or 1) + 1
    else:
        frames = tuple(video.select_frames(frames, onset, offset))
        length, onset, offset = len(frames), None, None
    clip = Clip(frames, onset, offset, length, first, fps, color, None, 0.0, size)
    return _with_face(clip, margin, align_eyes) if crop_face else clip


def open_stream(
    stream: Stream,
    *,
    color: bool = False,
    crop_face: bool = False,
    align_eyes: bool = False,
    size: int | None = None,
) -> Clip:
    """Opens a camera or a pipe; arguments are those of `open_clip`.

    The face is looked for in the first 16 frames, which then are the clip's first.

    Raises:
        InputError: if nothing comes, or no face or no eyes are found.
    """
    _check_size(size)
    frames = iter_stream(stream, color=color)
    clip = Clip((stream.name,), None, None, None, 1, None, color, None, 0.0, size, stream=frames)
    if not crop_face:
        return clip
    first = list(itertools.islice(frames, _STREAM_SAMPLES))
    clip = _cut_to_face(clip, [frame.pixels for frame in first], 0.1, align_eyes)
    return replace(clip, stream=_rejoined(first, frames))


def _check_size(size: int | None) -> None:
    if size is None:
        return
    if size < 1:
        raise InputError(f"size must be at least 1, got {size}")
    check_frame(f"size {size}", size, size)


def _rejoined(
    first: list[video.Timed], others: Generator[video.Timed, None, None]
) -> Generator[video.Timed, None, None]:
    with closing(others):
        yield from first
        yield from others


class Shot(NamedTuple):
    """A frame of a clip.

    Attributes:
        number: its number in the clip.
        pixels: [H, W] or [H, W, 3] (blue, green, red) uint8.
        seconds: when it is shown, after the source's first frame; None if not known.
    """

    number: int
    pixels: Image
    seconds: float | None


class Phases(NamedTuple):
    """What the paper's Fig. 2 shows of a clip: three frames and the active image."""

    onset: Shot
    apex: Shot
    offset: Shot
    active: NDArray[np.float32]
    length: int


class BuildUp(NamedTuple):
    """A clip and its active image up to each frame.

    Attributes:
        shots: the frames that are kept: every `step`-th, and the last.
        active: the active image of all frames up to each of them, uint8.
        length: how many frames the clip has.
        step: 1 if all are kept.
    """

    shots: list[Shot]
    active: list[Image]
    length: int
    step: int


def active_images(
    clip: Clip,
    methods: Sequence[str] = METHODS,
    normalize: str = "minmax",
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> tuple[Shot, dict[str, NDArray[np.float32]], int]:
    """Makes active images by several methods, reading the clip once.

    Args:
        clip: what is read.
        methods: some of `originet_ext.METHODS`.
        normalize: one of `originet_ext.NORMALIZATIONS`.
        progress: called as progress(done, total) after each frame.
        watch: sees each frame, to warn of what is odd.

    Returns:
        The first frame; [H, W] or [H, W, 3] float32 by method; and the number of frames.

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
    """Picks onset, apex and offset frames and makes the active image.

    The clip is read once; where the estimated apex is not the frame that differs most from the
    first, that frame is read again.

    Args:
        clip: what is read.
        method: one of `originet_ext.METHODS`.
        normalize: one of `originet_ext.NORMALIZATIONS`.
        apex: number of the apex frame; None takes the frame that differs most from the first, in
            the mean of the absolute difference (the earliest of them), among those that show what
            the first does: see `originet.apex`.
        progress: called as progress(done, total) after each frame.
        watch: sees each frame, to warn of what is odd.

    Raises:
        InputError: if the clip cannot be read or has no frame `apex`; the message names it.
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

    Of a clip of more than `frames` frames every second, fourth, eighth ... is kept, whichever is
    the first to suffice, and the last. All images are mapped to 0..255 alike, "minmax" by the
    smallest and largest value among them, so that a grey means the same throughout.

    Args:
        clip: what is read.
        method: one of `originet_ext.METHODS`.
        normalize: "clip" or "minmax".
        progress: called as progress(done, total) after each frame.
        watch: sees each frame, to warn of what is odd.
        frames: how many frames are kept at most, besides the last.
        side: frames and images whose longer side has more pixels are shrunk to it.

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
    """Maps images to 0..255 with one scale for all."""
    low, high = 0.0, 255.0
    if normalize == "minmax":
        low = min(float(image.min()) for image in images)
        high = max(float(image.max()) for image in images)
    scale = 255 / (high - low) if high > low else 0.0
    return [((image.clip(low, high) - low) * scale).round().astype(np.uint8) for image in images]


def check_room(name: str, shape: tuple[int, ...], methods: int) -> None:
    """Refuses active images that there is no memory for, before the first frame is summed.

    Args:
        name: the clip.
        shape: of a frame, [H, W] or [H, W, 3].
        methods: how many are made of it.

    Raises:
        InputError: naming the clip, its size, and how much memory there would have to be.
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
    if progress is not None and done != clip.length:  # the file did not tell, or was wrong
        progress(done, done)


def _with_face(clip: Clip, margin: float, align_eyes: bool) -> Clip:
    """Finds out what is to be cut out of a clip."""
    length = clip.length or 0
    if video.is_video(clip.frames) and length < _SOON_COUNTED:  # the file may be wrong, as .mpg
        length = sum(1 for _ in clip.decode())
    indices = faces.sample_indices(length)
    samples: dict[str, Image] = {}
    if video.is_video(clip.frames):
        frames = [*video.read_frames_at(clip.frames[0], [clip.number(i) for i in indices])]
    else:
        paths = [clip.frames[index] for index in indices]
        frames = video.keep(video.iter_frames(paths, color=clip.color), clip.name)
        samples = dict(zip(paths, frames, strict=True))
    return replace(_cut_to_face(clip, frames, margin, align_eyes), samples=samples)


def _cut_to_face(clip: Clip, frames: Sequence[Image], margin: float, align_eyes: bool) -> Clip:
    """Finds the face that is to be cut out, in some of a clip's frames."""
    try:
        box = faces.stable_box(frames, margin=margin)
        angle = faces.eye_angle(frames, box) if align_eyes else 0.0
    except InputError as error:
        raise InputError(f"{error}: {clip.name}") from error
    return replace(clip, box=box, angle=angle, people=faces.count_faces(frames))
