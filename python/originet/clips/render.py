"""The work of `originet image`: turns a clip into a file, and a folder of clips into a folder."""

import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips import pictures
from originet.clips.active_images import BuildUp, build_up, phases, sum_up
from originet.clips.clip import Clip, Progress, Shot, open_clip, open_stream
from originet.clips.frames import IMAGE_SUFFIXES, is_junk
from originet.clips.live import Stream
from originet.clips.pictures import Panel
from originet.clips.still import Image
from originet.clips.strays import MANIFEST, NO_CLIP, is_movie, is_picture, name_strays
from originet.clips.video import VIDEO_SUFFIXES
from originet.clips.watch import Watch
from originet.system.choices import FACES
from originet.system.errors import InputError
from originet.system.files import write_atomically
from originet.system.words import counted
from originet_ext import METHODS, NORMALIZATIONS

# What can be made from a clip, with the file name extensions, the default first.
KINDS = {
    "image": (".png", ".npy"),
    "all-methods": (".png",),
    "side-by-side": (".png",),
    "gif": (".gif", *pictures.VIDEO_SUFFIXES),
}
SPEEDS = (0.001, 1000.0)  # of an animation

# Assumed frames per second of a folder of frames without --fps.
_UNKNOWN_RATE = 25.0

_SUFFIXES = tuple(dict.fromkeys(suffix for endings in KINDS.values() for suffix in endings))


@dataclass(frozen=True)
class Options:
    """What to make from a clip, and from which frames; errors name the command's options.

    Attributes:
        kind: one of `KINDS`.
        method: one of `originet_ext.METHODS`.
        normalize: one of `originet_ext.NORMALIZATIONS`; pictures need "minmax" or "clip".
        apex: number of the apex frame for "side-by-side"; None estimates it.
        speed: playing speed of an animation; 1 is the speed of the clip.
        start, end, fps, color, crop_face, align_eyes, size, face_by: as in
            `originet.clips.clip.open_clip`.

    Raises:
        InputError: if a value is unknown, or two values exclude each other.
    """

    kind: str = "image"
    method: str = "cumulative"
    normalize: str = "minmax"
    apex: int | None = None
    speed: float = 1.0
    start: int | str | None = None
    end: int | str | None = None
    fps: float | None = None
    color: bool = False
    crop_face: bool = False
    align_eyes: bool = False
    size: int | None = None
    face_by: str = FACES[0]

    def __post_init__(self) -> None:
        for option, value, known in (
            ("kind", self.kind, KINDS),
            ("--method", self.method, METHODS),
            ("--normalize", self.normalize, NORMALIZATIONS),
        ):
            if value not in known:
                raise InputError(f"{option} must be one of {', '.join(known)}, got {value!r}")
        if self.kind != "image" and self.normalize == "none":
            raise InputError(
                f"--{self.kind} draws 0..255: --normalize must be minmax or clip, got 'none'"
            )
        if self.apex is not None and self.kind != "side-by-side":
            raise InputError(f"--apex {self.apex} is for --side-by-side only")
        if not SPEEDS[0] <= self.speed <= SPEEDS[1]:
            raise InputError(
                f"--speed must be a number from {SPEEDS[0]:g} to {SPEEDS[1]:g}, got {self.speed:g}"
            )
        if self.speed != 1 and self.kind != "gif":
            raise InputError(f"--speed {self.speed:g} is for --gif only")
        if self.align_eyes and not self.crop_face:
            raise InputError("--align-eyes needs --crop-face: eyes are searched for in the face")
        if self.align_eyes and self.face_by == "landmarks":
            raise InputError("--align-eyes is implied by --face landmarks: leave it out")


class Rendered(NamedTuple):
    """The content of a file.

    Attributes:
        data: the bytes.
        summary: a line that describes them.
        warnings: a line for each oddity of the clip or its picture.
    """

    data: bytes
    summary: str
    warnings: Sequence[str] = ()


class Report(NamedTuple):
    """What to print about a finished file: a line of summary, and lines of warning."""

    summary: str
    warnings: Sequence[str]


def render(
    source: str | Path, suffix: str, options: Options, progress: Progress | None = None
) -> Rendered:
    """Makes the content of one file from one clip.

    The clip is read once; to find the face, sampled frames are read before.

    Args:
        source: a video, or a folder of numbered frames.
        suffix: the file name extension, which determines the format.
        options: what to make.
        progress: called as progress(done, total) after each frame; the total may be None.

    Raises:
        InputError: if the extension does not fit the options, or the clip cannot be read.
    """
    _check_suffix(suffix, options)
    clip = open_clip(
        source,
        start=options.start,
        end=options.end,
        fps=options.fps,
        color=options.color,
        crop_face=options.crop_face,
        align_eyes=options.align_eyes,
        size=options.size,
        face_by=options.face_by,
    )
    return _draw(clip, suffix, options, progress)


def _draw(clip: Clip, suffix: str, options: Options, progress: Progress | None) -> Rendered:
    watch = Watch(clip.people)
    if options.kind == "all-methods":
        made = _all_methods(clip, options, progress, watch)
    elif options.kind == "side-by-side":
        made = _side_by_side(clip, options, progress, watch)
    elif options.kind == "gif":
        made = _animation(clip, suffix, options, progress, watch)
    else:
        made = _image(clip, suffix, options, progress, watch)
    return made._replace(warnings=[*watch.warnings(), *made.warnings])


def _flat(images: Mapping[str, NDArray[Any]], length: int) -> list[str]:
    """Returns a warning if active images have a single grey, with the methods and the reason."""
    flat = [method for method, image in images.items() if image.min() == image.max()]
    if not flat:
        return []
    if length == 1:
        why = "the clip has only one frame"
    elif set(flat) == {"telescoped"}:
        why = "the clip ends as it began"
    else:
        why = "nothing moves between its frames, or every pixel saturates"
    return [f"gives a flat active image by {', '.join(flat)}, of a single grey: {why}"]


def _image(
    clip: Clip, suffix: str, options: Options, progress: Progress | None, watch: Watch
) -> Rendered:
    _, images, length = sum_up(clip, [options.method], options.normalize, progress, watch)
    pixels = images[options.method]
    summary = f"{counted(length, 'frame')}, {options.method}, {options.normalize}"
    flat = _flat(images, length)
    if suffix == ".png":
        return Rendered(cv2.imencode(".png", _to_uint8(pixels))[1].tobytes(), summary, flat)
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return Rendered(buffer.getvalue(), summary, flat)


def _all_methods(clip: Clip, options: Options, progress: Progress | None, watch: Watch) -> Rendered:
    first, images, length = sum_up(clip, METHODS, options.normalize, progress, watch)
    note = f"{options.normalize}, {counted(length, 'frame')}"
    panels = [_frame_panel("onset", first)]
    panels += [Panel(name, note, _to_uint8(image)) for name, image in images.items()]
    data = pictures.png(pictures.sheet(panels, 3))
    summary = f"{counted(length, 'frame')}, {len(images)} methods, {options.normalize}"
    return Rendered(data, summary, _flat(images, length))


def _side_by_side(
    clip: Clip, options: Options, progress: Progress | None, watch: Watch
) -> Rendered:
    found = phases(clip, options.method, options.normalize, options.apex, progress, watch)
    apex = "apex (estimated)" if options.apex is None else "apex"
    panels = [
        _frame_panel("onset", found.onset),
        _frame_panel(apex, found.apex),
        _frame_panel("offset", found.offset),
        Panel("active image", f"{options.method}, {options.normalize}", _to_uint8(found.active)),
    ]
    data = pictures.png(pictures.sheet(panels, 4))
    summary = f"{counted(found.length, 'frame')}, {apex} {found.apex.number}"
    return Rendered(
        data,
        f"{summary}, {options.method}, {options.normalize}",
        _flat({options.method: found.active}, found.length),
    )


def _animation(
    clip: Clip, suffix: str, options: Options, progress: Progress | None, watch: Watch
) -> Rendered:
    built = build_up(clip, options.method, options.normalize, progress, watch)
    first = built.shots[0].number
    pages = [
        [
            _frame_panel("clip", shot),
            Panel("active image", f"{options.method}, frames {first} to {shot.number}", active),
        ]
        for shot, active in zip(built.shots, built.active, strict=True)
    ]
    times = _times(built, options.speed)
    play = pictures.playing(times, suffix)
    drawn = pictures.sheets(pages, 2)
    data = pictures.gif(drawn, play) if suffix == ".gif" else pictures.movie(drawn, play, suffix)
    shown = f"{len(play.ticks)} of {counted(built.length, 'frame')}"
    if built.step > 1:
        shown += f" (one in {built.step}, and the last)"
    if len(play.ticks) < len(pages):
        shown += f" ({suffix} cannot show more per second)"
    height, width = built.shots[0].pixels.shape[:2]
    seconds = f"{times[-1]:.2f} s" + ("" if options.speed == 1 else f" (speed {options.speed:g})")
    return Rendered(
        data,
        f"{shown}, in {seconds}, {width}x{height}, {options.method}, {options.normalize}",
        _flat({options.method: np.stack(built.active)}, built.length),
    )


def _times(built: BuildUp, speed: float) -> list[float]:
    """Returns when an animation shows each of its frames, and when it ends, in seconds."""
    first = built.shots[0]
    times = [
        (shot.number - first.number) / _UNKNOWN_RATE
        if shot.seconds is None or first.seconds is None
        else shot.seconds - first.seconds
        for shot in built.shots
    ]
    # The last frame is shown for the mean time of a frame.
    gap = times[-1] / (built.length - 1) if built.length > 1 else 1 / _UNKNOWN_RATE
    return [seconds / speed for seconds in [*times, times[-1] + gap]]


def _frame_panel(title: str, shot: Shot) -> Panel:
    note = f"frame {shot.number}"
    if shot.seconds is not None:
        note += f", {shot.seconds:.2f} s"
    return Panel(title, note, shot.pixels)


def _to_uint8(pixels: NDArray[np.float32]) -> Image:
    return pixels.round().astype(np.uint8)


def _check_suffix(suffix: str, options: Options, name: str = "the output") -> None:
    known = KINDS[options.kind]
    if suffix not in known:
        what = "" if options.kind == "image" else f" with --{options.kind}"
        raise InputError(f"{name} must end in {' or '.join(known)}{what}, got {suffix!r}")
    if suffix == ".png" and options.normalize == "none":
        raise InputError(f"{name}: a PNG holds 0..255; use --normalize minmax or clip, or a .npy")


def render_file(
    source: str | Path, out: str | Path, options: Options, progress: Progress | None = None
) -> Report:
    """Makes one file from one clip; it is written whole or not at all.

    Args:
        source: a video, or a folder of numbered frames.
        out: the file.
        options: what to make.
        progress: called as progress(done, total) after each frame; the total may be None.

    Returns:
        The summary and the warnings.

    Raises:
        InputError: as for `render`, and if the file is the clip or would become one of its frames.
        OSError: if the file cannot be written.
    """
    source, out = Path(source), Path(out)
    suffix = out.suffix.lower()
    _check_suffix(suffix, options, str(out))
    if suffix in IMAGE_SUFFIXES and out.parent.resolve() == source.resolve():
        raise InputError(f"{out} would become a frame of its own clip: write it elsewhere")
    if out.resolve() == source.resolve():
        raise InputError(f"{out} is the clip itself: write it elsewhere")
    with _named(out):
        return _write(out, render(source, suffix, options, progress))


def render_stream(
    stream: Stream, out: str | Path, options: Options, progress: Progress | None = None
) -> Report:
    """Makes one file from the frames of a camera, or of a video in a pipe.

    Args:
        stream: the source, and when to stop.
        out: the file.
        options: what to make.
        progress: called as progress(done, total) after each frame; the total is None.

    Returns:
        The summary and the warnings.

    Raises:
        InputError: as for `render`, and if an option chooses frames, which only files allow.
        OSError: if the file cannot be written.
    """
    for option, value in (("start", options.start), ("end", options.end), ("fps", options.fps)):
        if value is not None:
            raise InputError(f"--{option} {value} is for files: --seconds ends a stream")
    out = Path(out)
    suffix = out.suffix.lower()
    _check_suffix(suffix, options, str(out))
    clip = open_stream(
        stream,
        color=options.color,
        crop_face=options.crop_face,
        align_eyes=options.align_eyes,
        size=options.size,
        face_by=options.face_by,
    )
    with _named(out):
        return _write(out, _draw(clip, suffix, options, progress))


@contextmanager
def _named(out: Path) -> Iterator[None]:
    """Names the output file in the error if a temporary file for it could not be written."""
    try:
        yield
    except pictures.CannotWrite as error:
        raise OSError(error.errno, error.strerror, str(out)) from error


def _write(out: Path, made: Rendered) -> Report:
    write_atomically(out, made.data)
    return Report(made.summary, made.warnings)


@dataclass
class Found:
    """The clips found in a path.

    Attributes:
        clips: videos and folders of frames, sorted by name.
        skipped: for everything skipped, its name and the reason.
    """

    clips: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def find_clips(source: str | Path) -> Found:
    """Finds the clips in a path: the path itself if it is a clip, else the clips below it.

    A folder with pictures is one clip, and nothing below it is another clip. Elsewhere, each video
    is a clip. Pictures next to videos are not a clip, nor is a single picture next to folders of
    clips.

    Raises:
        InputError: if there is no such path, or no clip in it.
    """
    source = Path(source)
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    if not source.is_dir():
        return Found([source])
    found = _walk(source, set())
    if not found.clips:
        looked = f"{', '.join(IMAGE_SUFFIXES)} and {', '.join(VIDEO_SUFFIXES)} files"
        raise InputError(f"no frames and no clips in {source}: looked for {looked}")
    return found


def find_all(sources: Sequence[Path]) -> Found:
    """Finds the clips in several paths; raises like `find_clips`."""
    found = Found()
    for source in sources:
        inner = find_clips(source)
        found.clips += inner.clips
        found.skipped |= inner.skipped
    return found


def _walk(folder: Path, above: set[Path]) -> Found:
    if folder.resolve() in above:  # a link to a folder that contains it
        return Found()
    children = sorted(path for path in folder.iterdir() if not is_junk(path))
    below = {
        child: _walk(child, above | {folder.resolve()}) for child in children if child.is_dir()
    }
    files = [path for path in children if path not in below and path.name != MANIFEST]
    videos = [path for path in files if is_movie(path)]
    pictures = [path for path in files if is_picture(path)]
    numbered = [path for path in pictures if any(map(str.isdigit, path.stem))]
    holding = [child for child, inner in below.items() if inner.clips]
    found = Found()
    found.skipped |= name_strays(sorted({*files} - {*videos, *pictures}), NO_CLIP)
    if not children:
        found.skipped[str(folder)] = "an empty folder"
    if pictures and not videos and (len(numbered) > 1 or not holding):
        reason = f"below a folder of frames, {folder}, which is one clip"
        found.clips = [folder]
        found.skipped |= {str(child): reason for child in holding}
        return found
    beside = "videos" if videos else "folders of clips"
    found.skipped |= name_strays(pictures, f"a picture beside {beside} is not a clip")
    for child in children:
        if child in below:
            found.clips += below[child].clips
            found.skipped |= below[child].skipped
        elif child in videos:
            found.clips.append(child)
    return found


def plan_files(
    sources: Sequence[Path], clips: list[Path], out: str | Path, options: Options
) -> dict[Path, Path]:
    """Names a file for each of several clips.

    The files keep the folder tree below the source; with several sources, below their nearest
    common folder. A file is named after its clip, without a video's extension unless two clips
    would then share a name. Its own extension is .gif for "gif", .npy for "image" without
    normalisation, else .png.

    Args:
        sources: a folder, or several videos and folders.
        clips: the clips that `find_clips` found in them.
        out: the folder for the files.
        options: what to make.

    Returns:
        The file of each clip.

    Raises:
        InputError: if `out` is not a folder or lies inside a source, an option is only for one
            clip, a clip is given twice, or a file would replace a clip.
    """
    out = Path(out)
    alone = sources[0] if len(sources) == 1 else None
    if options.apex is not None:
        what = f"{alone} holds" if alone else "there are"
        raise InputError(f"--apex {options.apex} is for one clip, {what} {len(clips)}")
    if out.suffix.lower() in _SUFFIXES or out.is_file():
        what = f"{alone} is a folder of" if alone else "there are"
        raise InputError(f"{out} must be a folder: {what} {counted(len(clips), 'clip')}")
    whole = {clip: Path(os.path.abspath(clip)) for clip in clips}
    given = Counter(whole[clip] for clip in clips)
    if twice := [clip for clip, times in given.items() if times > 1]:
        raise InputError(f"{twice[0]} is given twice")
    suffix = ".npy" if options.normalize == "none" else KINDS[options.kind][0]
    home = _common_folder(sources, list(whole.values()))
    short = {clip: path if clip.is_dir() else path.with_suffix("") for clip, path in whole.items()}
    times = Counter(short.values())
    files = {
        clip: out / f"{(name if times[name] == 1 else whole[clip]).relative_to(home)}{suffix}"
        for clip, name in short.items()
    }
    for source in filter(Path.is_dir, sources):
        if out.resolve().is_relative_to(source.resolve()):
            raise InputError(f"{out} is inside {source}, which holds the clips: write elsewhere")
    written = {file.resolve(): clip for clip, file in files.items()}
    for clip in clips:
        if clip.resolve() in written:
            raise InputError(f"the output would replace the clip {clip}: write elsewhere")
    return files


def _common_folder(sources: Sequence[Path], clips: Sequence[Path]) -> Path:
    """Returns the folder below which the tree is kept."""
    if len(sources) == 1:
        return Path(os.path.abspath(sources[0]))
    return Path(os.path.commonpath([clip.parent for clip in clips]))


class Outcome(NamedTuple):
    """The outcome for several clips.

    Attributes:
        failed: for each clip without a file, the reason.
        warnings: for each other clip with oddities, lines that describe them.
    """

    failed: dict[Path, str]
    warnings: dict[Path, Sequence[str]]


def render_files(
    files: dict[Path, Path],
    options: Options,
    jobs: int,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Makes the files of several clips, a few in parallel; a bad clip does not stop the others.

    Args:
        files: the file of each clip, as `plan_files` names them.
        options: what to make.
        jobs: number of threads. Decoding and summing release the GIL.
        progress: called as progress(done, total) after each clip.

    Returns:
        The failed clips and those with warnings, in the order of `files`.

    Raises:
        InputError: if jobs is below 1.
    """
    if jobs < 1:
        raise InputError(f"--jobs must be at least 1, got {jobs}")
    stopped = threading.Event()

    def watch(done: int, total: int | None) -> None:
        if stopped.is_set():
            raise InterruptedError("stopped")

    failed: dict[Path, str] = {}
    odd: dict[Path, Sequence[str]] = {}
    with ThreadPoolExecutor(jobs) as threads:
        try:
            running = {
                threads.submit(render_file, clip, file, options, watch): clip
                for clip, file in files.items()
            }
            for done, future in enumerate(as_completed(running), start=1):
                try:
                    odd[running[future]] = future.result().warnings
                except (InputError, OSError) as error:
                    failed[running[future]] = str(error)
                if progress is not None:
                    progress(done, len(files))
        except BaseException:  # such as an interrupt: running jobs would take long to finish
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return Outcome(
        {clip: failed[clip] for clip in files if clip in failed},
        {clip: odd[clip] for clip in files if odd.get(clip)},
    )
