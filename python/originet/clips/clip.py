"""One clip: which frames of which source are read, and how each is processed.

Frames are read during iteration, so only a few are in memory at a time.
"""

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from originet.clips import faces, video
from originet.clips.face_models import check_models
from originet.clips.follow import ClipFace, find_face_of, follow
from originet.clips.frames import (
    clip_frames,
    frame_number,
    is_video,
    iter_frames,
    iter_timed,
    keep,
    resize,
    select_frames,
)
from originet.clips.live import Stream, iter_stream
from originet.clips.read_ahead import read_ahead
from originet.clips.span import find_span
from originet.clips.still import Image
from originet.system.choices import FACES
from originet.system.errors import InputError
from originet.system.limits import check_frame

# Called as progress(done, total) after each frame; the total is None if a video does not state it.
Progress = Callable[[int, int | None], None]

# Frame rates that a clip may have: from one frame in twelve days to more than any camera reaches.
RATES = (1e-6, 1e6)

MARGIN = 0.1
"""Around a face found by Viola-Jones, on each side, as a share of its size."""

_SOON_COUNTED = 5  # frames
_STREAM_SAMPLES = 16  # frames of a stream in which the face is detected


@dataclass(frozen=True)
class Clip:
    """Which frames are read, and how each is processed; made by `open_clip`.

    Attributes:
        frames: the image files, or the one video.
        onset: number of a video's first frame to read; None means its first.
        offset: number of the last frame to read, inclusive; None means its last.
        length: number of frames; for a video, what its file states, None if it states nothing.
        origin: number of the source's first frame, at time 0.
        fps: frames per second, given by the caller; None if time stamps are used or times unknown.
        color: keeps three channels (blue, green, red) instead of grey.
        box: the box to cut out of each frame; None if there is none, or the face is followed.
        angle: tilt of the line between the eyes in degrees, which the cut removes; 0 for no turn.
        size: height and width that each frame is resized to, or None.
        face: the face that is followed by landmarks, or None.
        people: number of faces in the picture if a face is cut out; else None.
        stream: the frames of a stream, which can be read only once; None reads files.
        samples: by image file, the frames used for face detection, kept to avoid reading them
            twice.
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
    face: ClipFace | None = None
    people: int | None = None
    stream: Generator[video.Timed, None, None] | None = field(
        default=None, compare=False, repr=False
    )
    samples: Mapping[str, Image] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The path that the clip was opened from."""
        path = Path(self.frames[0])
        return str(path if self._is_video else path.parent)

    @cached_property
    def _is_video(self) -> bool:
        # Once, since `number` is called for each frame, and parsing a path takes time and memory.
        return is_video(self.frames)

    def number(self, index: int) -> int:
        """Returns the number of the frame at an index from 0."""
        if self._is_video:
            return (self.onset or 1) + index
        return frame_number(self.frames[index])

    def __iter__(self) -> Generator[Image, None, None]:
        """Reads and crops the frames, [H, W] or [H, W, 3] uint8; a thread reads ahead."""
        with closing(self.shots()) as shots:
            for shot in shots:
                yield shot.pixels

    def shots(self) -> Generator["Shot", None, None]:
        """Reads and crops the frames, each with its number and time; a thread reads ahead."""
        return read_ahead(self._shots())

    def _shots(self) -> Generator["Shot", None, None]:
        with closing(self.timed()) as frames:
            for index, (pixels, seconds) in enumerate(self.cut_all(frames)):
                yield Shot(self.number(index), pixels, seconds)

    def one(self, number: int) -> Iterator["Shot"]:
        """Reads one frame again, by its number.

        Raises:
            InputError: if the clip is a stream.
        """
        if self.stream is not None:
            raise InputError(
                f"frame {number} of {self.name} is the apex, but a stream cannot be read again: "
                "give --apex"
            )
        if self.face is not None:  # followed from the first frame on
            return (shot for shot in self._shots() if shot.number == number)
        if is_video(self.frames):
            clip = replace(self, onset=number, offset=number)
        else:
            clip = replace(self, frames=tuple(select_frames(self.frames, number, number)))
        return clip._shots()

    def decode(self) -> Generator[Image, None, None]:
        """Reads the frames without cropping or resizing."""
        with closing(self.timed()) as frames:
            for frame in frames:
                yield frame.pixels

    def timed(self) -> Generator[video.Timed, None, None]:
        """Reads likewise; each frame has its time after the source's first frame, if known."""
        if self.stream is not None:
            yield from self.stream
            return
        frames = iter_timed(
            self.frames, self.onset, self.offset, color=self.color, known=self.samples
        )
        with closing(frames):
            for index, frame in enumerate(frames):
                if self.fps is not None:
                    frame = frame._replace(seconds=(self.number(index) - self.origin) / self.fps)
                yield frame

    def cut_all(self, frames: Iterable[video.Timed]) -> Iterator[video.Timed]:
        """Crops frames to the face and resizes them, as far as requested.

        Args:
            frames: all frames of the clip in their order, as `timed` reads them. If the face is not
                followed, each is treated alike, so they may also be some of them.

        Yields:
            Each frame cropped, before the next is taken.
        """
        if self.face is not None:
            yield from follow(frames, self.face, self.size)
            return
        for frame in frames:
            pixels = frame.pixels
            if self.box is not None:
                pixels = faces.cut(pixels, self.box, self.angle)
            if self.size is not None:
                pixels = resize(pixels, self.size)
            yield frame._replace(pixels=pixels)


def open_clip(
    source: str | Path | Sequence[str],
    *,
    start: int | str | None = None,
    end: int | str | None = None,
    fps: float | None = None,
    color: bool = False,
    crop_face: bool = False,
    align_eyes: bool = False,
    margin: float = MARGIN,
    size: int | None = None,
    face_by: str = FACES[0],
) -> Clip:
    """Decides which frames will be read; reads only those needed for face detection.

    Args:
        source: a video, or a folder of numbered frames; or the clip's frames, as
            `originet.clips.frames.clip_frames` returns them.
        start: the first frame: its number, or a time after the source's first frame, as in "12.5s"
            or "1:02:03.5". A time means the first frame at or after it. In a video, it is found by
            the time stamps; to get them, the video is decoded up to that time.
        end: the last frame, likewise; a time means the last frame at or before it.
        fps: frames per second: for videos with wrong time stamps, and for folders, which have none.
        color: keeps three channels.
        crop_face: crops to the face, the largest of 5 to 16 frames spread over the clip. If the
            frames are image files, these are kept with the clip and not read again. In a video they
            are decoded again later.
        align_eyes: with "viola-jones", rotates all frames by one angle, so that the eyes are level.
        margin: with "viola-jones", added on each side of the face, as a share of its size.
        size: resizes each frame to this height and width in pixels, after the crop.
        face_by: how a face is cropped to: "viola-jones" with one box for all frames, the median of
            those found; "landmarks" warps every frame so that the eyes stay where they are, see
            `originet.clips.follow`.

    Returns:
        The clip.

    Raises:
        InputError: if there is no such clip, a value has the wrong form or is outside the clip, a
            time is given but the rate is unknown, frames are larger than the limit (see
            `originet.system.limits`), no face or no eyes are found, or landmarks cannot be found
            here. The message names the source or the value.
    """
    _check_cut(crop_face, align_eyes, margin, face_by)
    if fps is not None and not RATES[0] <= fps <= RATES[1]:
        raise InputError(f"fps must be a number from {RATES[0]:g} to {RATES[1]:g}, got {fps:g}")
    _check_size(size)
    frames = clip_frames(source) if isinstance(source, str | Path) else tuple(source)
    if is_video(frames):
        name, first, last = frames[0], 1, video.video_info(frames[0]).length
    else:
        name = str(Path(frames[0]).parent)
        first, last = (frame_number(frames[index]) for index in (0, -1))
    onset, offset = find_span(name, start, end, first, fps, stamped=is_video(frames))
    if onset is not None and offset is not None and onset > offset:
        raise InputError(
            f"start {start} (frame {onset}) is after end {end} (frame {offset}) in {name}"
        )
    if is_video(frames):
        # The file's own count may be an estimate, so nothing is refused because of it.
        last = offset or last
        length = None if last is None or last < (onset or 1) else last - (onset or 1) + 1
    else:
        frames = tuple(select_frames(frames, onset, offset))
        length, onset, offset = len(frames), None, None
    clip = Clip(frames, onset, offset, length, first, fps, color, None, 0.0, size)
    return _with_face(clip, margin, align_eyes, face_by) if crop_face else clip


def open_stream(
    stream: Stream,
    *,
    color: bool = False,
    crop_face: bool = False,
    align_eyes: bool = False,
    margin: float = MARGIN,
    size: int | None = None,
    face_by: str = FACES[0],
) -> Clip:
    """Opens a camera or a pipe; the options are those of `open_clip`.

    The face is detected in the first 16 frames, which are part of the clip as well.

    Raises:
        InputError: if no frames arrive, or no face or no eyes are found.
    """
    _check_cut(crop_face, align_eyes, margin, face_by)
    _check_size(size)
    frames = iter_stream(stream, color=color)
    clip = Clip((stream.name,), None, None, None, 1, None, color, None, 0.0, size, stream=frames)
    if not crop_face:
        return clip
    first = list(itertools.islice(frames, _STREAM_SAMPLES))
    clip = _cut_to_face(clip, [frame.pixels for frame in first], margin, align_eyes, face_by)
    return replace(clip, stream=_rejoined(first, frames))


def check_face(crop_face: bool, align_eyes: bool, margin: float, face_by: str) -> None:
    """Checks how a face shall be cropped to; see `open_clip`.

    Raises:
        InputError: if a value is unknown, or two values exclude each other.
    """
    if face_by not in FACES[:2]:
        raise InputError(f"face_by must be {' or '.join(FACES[:2])}, got {face_by!r}")
    if align_eyes and not crop_face:
        raise InputError("align_eyes needs crop_face: eyes are searched for in the face")
    if face_by == FACES[0]:
        return
    if not crop_face:
        raise InputError(f"face_by {face_by!r} needs crop_face")
    if align_eyes:
        raise InputError("align_eyes is for viola-jones: landmarks level the eyes of every frame")
    if margin != MARGIN:
        raise InputError(f"margin {margin:g} is for viola-jones: landmarks place the eyes")


def _check_cut(crop_face: bool, align_eyes: bool, margin: float, face_by: str) -> None:
    check_face(crop_face, align_eyes, margin, face_by)
    if face_by == "landmarks":
        check_models()


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
        seconds: its time after the source's first frame; None if unknown.
    """

    number: int
    pixels: Image
    seconds: float | None


def _with_face(clip: Clip, margin: float, align_eyes: bool, face_by: str) -> Clip:
    """Returns the clip with the box to cut out of its frames."""
    length = clip.length or 0
    if is_video(clip.frames) and length < _SOON_COUNTED:  # the file may be wrong, as with .mpg
        length = sum(1 for _ in clip.decode())
    indices = faces.sample_indices(length)
    samples: dict[str, Image] = {}
    if is_video(clip.frames):
        frames = [*video.read_frames_at(clip.frames[0], [clip.number(i) for i in indices])]
    else:
        paths = [clip.frames[index] for index in indices]
        frames = keep(iter_frames(paths, color=clip.color), clip.name)
        samples = dict(zip(paths, frames, strict=True))
    return replace(_cut_to_face(clip, frames, margin, align_eyes, face_by), samples=samples)


def _cut_to_face(
    clip: Clip, frames: Sequence[Image], margin: float, align_eyes: bool, face_by: str
) -> Clip:
    """Finds the face to cut out in some of a clip's frames."""
    try:
        if face_by == "landmarks":
            face = find_face_of(frames)
            return replace(clip, face=face, people=face.people)
        box = faces.stable_box(frames, margin=margin)
        angle = faces.eye_angle(frames, box) if align_eyes else 0.0
    except InputError as error:
        raise type(error)(f"{error}: {clip.name}") from error
    return replace(clip, box=box, angle=angle, people=faces.count_faces(frames))
