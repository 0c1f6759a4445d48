"""What `originet image` does: a clip becomes the bytes of a file, a folder of clips a folder."""

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
from originet.system.errors import InputError
from originet.system.files import write_atomically
from originet.system.words import counted
from originet_ext import METHODS, NORMALIZATIONS

# What can be made of a clip, and the endings of such files, the usual one first.
KINDS = {
    "image": (".png", ".npy"),
    "all-methods": (".png",),
    "side-by-side": (".png",),
    "gif": (".gif", *pictures.VIDEO_SUFFIXES),
}
SPEEDS = (0.001, 1000.0)  # of an animation

# Frames a second of a folder of frames, of which --fps tells nothing.
_UNKNOWN_RATE = 25.0

_SUFFIXES = tuple(dict.fromkeys(suffix for endings in KINDS.values() for suffix in endings))


@dataclass(frozen=True)
class Options:
    """What is made of a clip, and of which frames; errors speak of the command's options.

    Attributes:
        kind: one of `KINDS`.
        method: one of `originet_ext.METHODS`.
        normalize: one of `originet_ext.NORMALIZATIONS`; pictures need "minmax" or "clip".
        apex: number of the apex frame for "side-by-side"; None estimates it.
        speed: how fast an animation is played; 1 is as fast as the clip.
        start, end, fps, color, crop_face, align_eyes, size: as in `imaging.open_clip`.

    Raises:
        InputError: if a value is unknown, or two do not go together.
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
            raise InputError("--align-eyes needs --crop-face: eyes are looked for in the face")


class Rendered(NamedTuple):
    """The bytes of a file.

    Attributes:
        data: the bytes.
        summary: a line that tells what is in them.
        warnings: lines that tell what is odd about the clip or the picture of it.
    """

    data: bytes
    summary: str
    warnings: Sequence[str] = ()


class Report(NamedTuple):
    """What is told of a file that was made: a line of summary, and lines of warning."""

    summary: str
    warnings: Sequence[str]


def render(
    source: str | Path, suffix: str, options: Options, progress: Progress | None = None
) -> Rendered:
    """Makes one file of one clip, reading it once (and sampled frames before, for the face).

    Args:
        source: a video, or a folder of numbered frames.
        suffix: the file's ending, which says its format.
        options: what to make.
        progress: called as progress(done, total) after each frame; the total may be None.

    Raises:
        InputError: if the ending does not fit the options, or the clip cannot be read.
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
    """Warns of active images of one grey: of the method and why, in a line."""
    flat = [method for method, image in images.items() if image.min() == image.max()]
    if not flat:
        return []
    if length == 1:
        why = "there is one frame only"
    elif set(flat) == {"telescoped"}:
        why = "the clip ends as it began"
    else:
        why = "nothing moves between its frames, or all of it saturates"
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
        shown += f" (no more than {suffix} can show a second)"
    height, width = built.shots[0].pixels.shape[:2]
    seconds = f"{times[-1]:.2f} s" + ("" if options.speed == 1 else f" (speed {options.speed:g})")
    return Rendered(
        data,
        f"{shown}, in {seconds}, {width}x{height}, {options.method}, {options.normalize}",
        _flat({options.method: np.stack(built.active)}, built.length),
    )


def _times(built: BuildUp, speed: float) -> list[float]:
    """Tells when an animation shows each of its frames, and when it ends, in seconds."""
    first = built.shots[0]
    times = [
        (shot.number - first.number) / _UNKNOWN_RATE
        if shot.seconds is None or first.seconds is None
        else shot.seconds - first.seconds
        for shot in built.shots
    ]
    # The last frame is shown for as long as frames are on average.
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
    """Makes one file of one clip; it is written whole or not at all.

    Args:
        source: a video, or a folder of numbered frames.
        out: the file.
        options: what to make.
        progress: called as progress(done, total) after each frame; the total may be None.

    Returns:
        What was made, and what is odd about it.

    Raises:
        InputError: as `render`, and if the file is the clip, or would become a frame of it.
        OSError: if it cannot be written.
    """
    source, out = Path(source), Path(out)
    suffix = out.suffix.lower()
    _check_suffix(suffix, options, str(out))
    if suffix in IMAGE_SUFFIXES and out.parent.resolve() == source.resolve():
        raise InputError(f"{out} would become a frame of its own clip: write it elsewhere")
    if out.resolve() == source.resolve():
        raise InputError(f"{out} is the clip itself: write elsewhere")
    with _named(out):
        return _write(out, render(source, suffix, options, progress))


def render_stream(
    stream: Stream, out: str | Path, options: Options, progress: Progress | None = None
) -> Report:
    """Makes one file of a camera's frames, or of a video that comes through a pipe.

    Args:
        stream: where from, and until when.
        out: the file.
        options: what to make.
        progress: called as progress(done, total) after each frame; the total is None.

    Returns:
        What was made, and what is odd about it.

    Raises:
        InputError: as `render`, and if an option chooses frames, as of a file.
        OSError: if it cannot be written.
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
    )
    with _named(out):
        return _write(out, _draw(clip, suffix, options, progress))


@contextmanager
def _named(out: Path) -> Iterator[None]:
    """Names the file that was to be made where something else could not be written for it."""
    try:
        yield
    except pictures.CannotWrite as error:
        raise OSError(error.errno, error.strerror, str(out)) from error


def _write(out: Path, made: Rendered) -> Report:
    write_atomically(out, made.data)
    return Report(made.summary, made.warnings)


@dataclass
class Found:
    """What a path holds.

    Attributes:
        clips: videos and folders of frames, in the order of their names.
        skipped: the reason by what was not taken.
    """

    clips: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def find_clips(source: str | Path) -> Found:
    """Finds the clips that a path holds: the path itself if it is one, else those below it.

    A folder that holds pictures is one clip, and nothing below it is another; elsewhere each video
    is a clip. Pictures beside videos are no clip, nor is a single one beside folders of clips.

    Raises:
        InputError: if there is no such path, or no clip.
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
    """Finds the clips that several paths hold; raises as `find_clips`."""
    found = Found()
    for source in sources:
        inner = find_clips(source)
        found.clips += inner.clips
        found.skipped |= inner.skipped
    return found


def _walk(folder: Path, above: set[Path]) -> Found:
    if folder.resolve() in above:  # a link to a folder that holds it
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
    found.skipped |= name_strays(pictures, f"a picture beside {beside} is no clip")
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

    The tree below a folder is kept, of several sources that below their nearest common folder. A
    file is named after its clip, without the ending of a video unless two clips would then have
    one name. Its own ending is .gif for "gif", .npy for "image" without normalisation, else .png.

    Args:
        sources: a folder, or several videos and folders.
        clips: those that `find_clips` found in them.
        out: the folder for the files.
        options: what is made.

    Returns:
        The file by clip.

    Raises:
        InputError: if `out` is no folder or lies inside of a source, an option is for one clip
            only, a clip is given twice, or a file would replace a clip.
    """
    out = Path(out)
    alone = sources[0] if len(sources) == 1 else None
    if options.apex is not None:
        what = f"{alone} holds" if alone else "there are"
        raise InputError(f"--apex {options.apex} is for one clip, {what} {len(clips)}")
    if out.suffix.lower() in _SUFFIXES or out.is_file():
        what = f"{alone} is a folder of" if alone else "there are"
        raise InputError(f"{out} must be a folder, for {what} {counted(len(clips), 'clip')}")
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
            raise InputError(f"{out} lies in {source}, where clips are read: write elsewhere")
    written = {file.resolve(): clip for clip, file in files.items()}
    for clip in clips:
        if clip.resolve() in written:
            raise InputError(f"{clip} would be replaced by what is made of it: write elsewhere")
    return files


def _common_folder(sources: Sequence[Path], clips: Sequence[Path]) -> Path:
    """Returns the folder whose tree is kept."""
    if len(sources) == 1:
        return Path(os.path.abspath(sources[0]))
    return Path(os.path.commonpath([clip.parent for clip in clips]))


class Outcome(NamedTuple):
    """What became of several clips.

    Attributes:
        failed: the reason by clip that has no file.
        warnings: lines by clip that has one, of what is odd about it.
    """

    failed: dict[Path, str]
    warnings: dict[Path, Sequence[str]]


def render_files(
    files: dict[Path, Path],
    options: Options,
    jobs: int,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Makes the files of several clips, some at a time; a bad clip does not stop the others.

    Args:
        files: the file by clip, as `plan_files` names them.
        options: what to make.
        jobs: how many threads work at a time. Decoding and summing release the GIL.
        progress: called as progress(done, total) after each clip.

    Returns:
        Which clips failed and which are odd, in the order of `files`.

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
        except BaseException:  # such as an interrupt: what is under way would go on for long
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return Outcome(
        {clip: failed[clip] for clip in files if clip in failed},
        {clip: odd[clip] for clip in files if odd.get(clip)},
    )
