"""Makes active images and flows of clips: read, crop, resize, pool; several clips in parallel."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet.clips.active_images import check_room
from originet.clips.channels import ChannelMaker, check_sources, joined
from originet.clips.clip import MARGIN, check_face, open_clip
from originet.clips.face_models import check_models
from originet.clips.frames import frame_number, is_video
from originet.clips.video import Timed
from originet.datasets.table import ClipTable
from originet.system.channels import FLOW, sources_of
from originet.system.choices import FACES, FLOWS, SOURCES
from originet.system.errors import InputError
from originet.system.limits import LARGEST_IMAGE
from originet.system.opencv import one_thread, silence

Made = tuple[NDArray[Any], ...]
"""What a clip was made into, an image per method: [S, S] uint8; of flows [S, S, 3] float32."""

# Called as done(position in the table, the images or the error) when a clip is finished.
Done = Callable[[int, Made | InputError], None]

LARGEST_MARGIN = 10.0
"""As a share of the face's size; for the smallest detectable face this covers the whole frame."""


@dataclass(frozen=True)
class Settings:
    """How each clip is prepared.

    Attributes:
        methods: what a clip is made into, from `originet.system.choices.SOURCES`: active images by
            method, frames, flows.
        image_size: height and width of an image, in pixels, up to `LARGEST_IMAGE`.
        crop_face: crops each clip to its face first, with one box per clip.
        align_eyes: rotates each clip so that the eyes are level; requires `crop_face`.
        margin: added on each side of the face, as a share of its size, up to `LARGEST_MARGIN`.
        face_by: how `crop_face` finds the face, "viola-jones" or "landmarks"; the latter aligns
            every frame, see `originet.clips.clip.open_clip`.
    """

    methods: tuple[str, ...] = ("cumulative",)
    image_size: int = 128
    crop_face: bool = False
    align_eyes: bool = False
    margin: float = MARGIN
    face_by: str = FACES[0]

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            InputError: if one is wrong; the message names it.
        """
        object.__setattr__(self, "methods", tuple(self.methods))
        unknown = [method for method in self.methods if method not in SOURCES]
        if unknown:
            raise InputError(f"method must be one of {', '.join(SOURCES)}, got {unknown[0]!r}")
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise InputError(
                "methods must be at least one and all different, got "
                f"{', '.join(self.methods) or 'none'}"
            )
        if not 1 <= self.image_size <= LARGEST_IMAGE:
            raise InputError(f"image_size must be in 1..{LARGEST_IMAGE}, got {self.image_size}")
        if not 0 <= self.margin <= LARGEST_MARGIN:
            raise InputError(f"margin must be in 0..{LARGEST_MARGIN:g}, got {self.margin}")
        check_face(self.crop_face, self.align_eyes, self.margin, self.face_by)

    def cut(self) -> dict[str, Any]:
        """Returns how `open_clip` and `open_stream` cut frames so: their arguments by name."""
        cut = {name: value for name, value in asdict(self).items() if name != "methods"}
        cut["size"] = cut.pop("image_size")
        return cut


class Prepared(NamedTuple):
    """The active images of a table.

    Attributes:
        images: [N, S, S] uint8 by method, in the table's order, for flows [N, S, S, 3] float32; 0
            where the clip failed.
        failed: index in the table -> reason, one line that names the clip.
    """

    images: dict[str, NDArray[Any]]
    failed: dict[int, str]


def active_images(
    table: ClipTable,
    *,
    method: str = "cumulative",
    image_size: int = 128,
    crop_face: bool = False,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    face_by: str = FACES[0],
) -> NDArray[Any]:
    """Makes the active image of every clip by one method; stops at the first clip that fails.

    Args:
        table: the clips.
        method: the active-image method, one of `originet_ext.METHODS`; or what else a clip can be
            made into, or several of these by comma, see `originet.system.channels`.
        image_size: height and width of the result, in pixels.
        crop_face: crops each clip to its face first.
        jobs: how many clips are prepared at a time; None means one per core.
        progress: called as progress(done, total) after each clip.
        face_by: how `crop_face` finds the face, see `Settings`.

    Returns:
        [N, image_size, image_size] uint8, each image stretched to 0..255, in the table's order;
        for several or a flow [N, image_size, image_size, C], float32 if there is a flow.

    Raises:
        InputError: if a clip cannot be read or, with `crop_face`, shows no face; the message names
            it.
    """
    sources = sources_of(method)
    settings = Settings(sources, image_size, crop_face, face_by=face_by)
    return joined(images_by_method(table, settings, jobs=jobs, progress=progress), sources)


def images_by_method(
    table: ClipTable,
    settings: Settings,
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[Any]]:
    """Makes active images of every clip by several methods; stops at the first clip that fails.

    Args:
        table: the clips, each of which is decoded once.
        settings: how each clip is prepared.
        jobs: how many clips are prepared at a time; None means one per core.
        progress: called as progress(done, total) after each clip.

    Returns:
        [N, S, S] uint8 by method, as `active_images` returns them; for flows [N, S, S, 3] float32.

    Raises:
        InputError: if a clip cannot be used, as in `active_images`.
    """

    def refuse(position: int, result: Made | InputError) -> None:
        if isinstance(result, InputError):
            raise result

    workers = (os.cpu_count() or 1) if jobs is None else jobs
    return prepare_clips(table, settings, jobs=workers, progress=progress, done=refuse).images


def prepare_clips(
    table: ClipTable,
    settings: Settings,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    done: Done | None = None,
) -> Prepared:
    """Makes the active images of every clip; a clip that fails does not stop the others.

    Threads share the work, because decoding, face detection, resizing and summing release the GIL;
    OpenCV's own threads are disabled meanwhile. The images do not depend on the number of threads.
    Each clip in progress keeps only a few frames in memory: those being summed and those searched
    for its face.

    Args:
        table: the clips.
        settings: how each clip is prepared.
        jobs: how many clips are prepared at a time.
        progress: called as progress(done, total) after each clip, in the calling thread.
        done: called as done(index, result) when a clip is finished, in the calling thread, in
            order of completion. An exception that it raises stops the work, as an interrupt does,
            at the next frame of the clips in progress.

    Returns:
        The images, and which clips failed.

    Raises:
        InputError: if jobs is below 1, or landmarks or flows cannot be found here.
    """
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    if settings.face_by == "landmarks":
        check_models()  # else every clip would fail for this reason
    check_sources(settings.methods, settings.image_size)  # likewise
    images = {
        method: np.zeros((len(table), *image_shape(method, settings.image_size)), dtype_of(method))
        for method in settings.methods
    }
    failed: dict[int, str] = {}
    stopped = threading.Event()

    def work(span: tuple[tuple[str, ...], object, object, object]) -> Made:
        frames, *numbers = span
        onset, offset, apex = map(_optional, numbers)
        return prepare_clip(frames, onset, offset, settings, stopped, apex=apex)

    spans = table[["frames", "onset", "offset", "apex"]].itertuples(index=False, name=None)
    # `silence` covers the whole run, so that threads do not wait for each other at every frame.
    with silence, one_thread, ThreadPoolExecutor(jobs) as threads:
        try:
            running = {threads.submit(work, span): place for place, span in enumerate(spans)}
            for finished, future in enumerate(as_completed(running), start=1):
                place = running.pop(future)
                result: Made | InputError
                try:
                    result = future.result()
                except InputError as error:
                    result, failed[place] = error, str(error)
                else:
                    for method, image in zip(settings.methods, result, strict=True):
                        images[method][place] = image
                if done is not None:
                    done(place, result)
                if progress is not None:
                    progress(finished, len(table))
        except BaseException:  # such as an interrupt: clips in progress would run on for long
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return Prepared(images, dict(sorted(failed.items())))


def image_shape(method: str, side: int) -> tuple[int, ...]:
    """Returns the shape of what a clip is made into by one method."""
    return (side, side, len(FLOW)) if method in FLOWS else (side, side)


def dtype_of(method: str) -> np.dtype[Any]:
    """Returns the dtype of what a clip is made into by one method."""
    return np.dtype(np.float32 if method in FLOWS else np.uint8)


def has_annotated_apex(frames: tuple[str, ...], apex: object) -> bool:
    """Returns whether a clip's apex is annotated, and its frame is there as far as names say."""
    number = _optional(apex)
    if number is None or is_video(frames):  # a video's frames have no names
        return number is not None
    return number in map(frame_number, frames)


def estimated_apexes(table: ClipTable) -> list[int]:
    """Returns the places of the clips whose apex, where it is needed, is estimated."""
    apexes = table[["frames", "apex"]].itertuples(index=False, name=None)
    return [place for place, each in enumerate(apexes) if not has_annotated_apex(*each)]


def flat_images(table: ClipTable, images: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Finds clips whose active image is one flat grey, like that of a single frame.

    Args:
        table: the clips.
        images: [N, S, S] uint8 by method, in the table's order; for flows [N, S, S, 3] float32, of
            which those without any motion count.

    Returns:
        A line per such clip; the keys are "subject/clip".
    """
    flat: dict[str, list[str]] = {}
    for method, pictures in images.items():
        flat_values = pictures.max((1, 2)) == pictures.min((1, 2))
        spread = flat_values.reshape(len(pictures), -1).all(axis=1)
        for subject, clip in table.loc[spread, ["subject", "clip"]].itertuples(index=False):
            flat.setdefault(f"{subject}/{clip}", []).append(method)
    return {
        clip: f"the active image by {', '.join(methods)} is flat, of a single grey"
        for clip, methods in flat.items()
    }


def prepare_clip(
    frames: tuple[str, ...],
    onset: int | None,
    offset: int | None,
    settings: Settings,
    stopped: threading.Event | None = None,
    *,
    apex: int | None = None,
) -> Made:
    """Makes the active images of one clip; its frames are decoded once for all methods.

    Frames are read in grey and resized before they are pooled, so that one pixel of motion means
    the same share of the face in every clip. The frames searched for a face are kept until they are
    summed, except those of a video, which is decoded again from its start.

    Args:
        frames: image files in frame order, or one video.
        onset: number of the first frame; None means the clip's first.
        offset: number of the last frame, inclusive; None means the clip's last.
        settings: how the clip is prepared.
        stopped: once set, the work stops at the next frame.
        apex: number of the apex frame. None, or a folder without that frame, estimates it, see
            `originet.clips.channels`.

    Returns:
        One image per method: [S, S] uint8, active images stretched to 0..255; or of flows
        [S, S, 3] float32.

    Raises:
        InputError: if the clip cannot be read, shows no face with `crop_face` or no eyes with
            `align_eyes`, or a video lacks the apex; the message names the clip or file.
        InterruptedError: if `stopped` was set.
    """
    clip = open_clip(
        frames,
        start=onset,
        end=offset,
        **settings.cut(),
    )
    side = settings.image_size
    check_room(clip.name, (side, side), len(settings.methods))
    annotated = apex if has_annotated_apex(frames, apex) else None
    made = ChannelMaker(clip.name, settings.methods, annotated)
    with closing(clip.timed()) as decoded:
        frames_read = _watched(decoded, stopped)
        if settings.methods == ("telescoped",) and settings.face_by != "landmarks":
            frames_read = _ends(frames_read)
        for index, frame in enumerate(clip.cut_all(frames_read)):
            made.see(frame.pixels, clip.number(index))
    return made.result()


def _watched(frames: Iterator[Timed], stopped: threading.Event | None) -> Iterator[Timed]:
    for frame in frames:
        if stopped is not None and stopped.is_set():
            raise InterruptedError("stopped")
        yield frame


def _ends(frames: Iterator[Timed]) -> Iterator[Timed]:
    """Yields the first frame and the last two, all that `telescoped` depends on.

    The others are decoded, so that every method finds a damaged frame, but need not be resized. A
    face that is followed has to be looked for in them, too.
    """
    yield next(frames)  # a clip without frames is an error
    yield from deque(frames, maxlen=2)


def _optional(number: object) -> int | None:
    return int(number) if isinstance(number, int | np.integer) else None
