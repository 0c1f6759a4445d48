"""Spots movements into a folder: tables, subtitles, an annotated video and a page."""

import os
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from originet.deploy.model import Model
from originet.spotting.annotate import annotate
from originet.spotting.intervals import Interval
from originet.spotting.progress import Progress, identify, read_progress
from originet.spotting.recognise import recognised
from originet.spotting.scene import Row
from originet.spotting.settings import Settings
from originet.spotting.snapshots import FOLDER, Snapshots
from originet.spotting.source import Frame, Source
from originet.spotting.spot import STRETCH, Found, Spotter, spot_frames
from originet.spotting.spot_page import write_page
from originet.spotting.subtitles import eaf, vtt
from originet.spotting.tables import FRAME_COLUMNS, frame_lines, write_intervals
from originet.spotting.trackers import BACKENDS, open_tracker
from originet.system.errors import InputError, one_line
from originet.system.files import safe_name, write_atomically, writing
from originet.system.lock import held

LONG = 120.0
"""Seconds: a longer video is not written again with annotations, unless that is asked for."""

Progressed = Callable[[int, int | None], None]

_RECENT = 2.0  # seconds after which a movement is known at the latest, besides its own length


@dataclass(frozen=True)
class Plan:
    """How videos are spotted."""

    model: Model | None = None
    model_name: str = ""
    face: str = BACKENDS[0]
    fps: float | None = None
    settings: Settings = field(default_factory=Settings)
    video: bool | None = None
    """Whether an annotated video is written; None decides by length."""
    stretch: float = STRETCH


@dataclass(frozen=True)
class Report:
    """What came of a video."""

    folder: Path
    intervals: list[Interval]
    frames: int
    faces: int
    ended: str = ""
    """Why it broke off; empty if it did not."""


def spot_file(
    path: Path,
    folder: Path,
    plan: Plan,
    *,
    tell: Callable[[Interval], None] | None = None,
    progress: Progressed | None = None,
) -> Report:
    """Spots movements in a video, and resumes where an earlier run was ended.

    Args:
        path: A video, or a folder of numbered frames.
        folder: For the results of this video.
        plan: How it is spotted.
        tell: Called with each movement as soon as it is found.
        progress: Called as progress(done, total) after each frame; total is None if unknown.

    Returns:
        What was found. A video that breaks off gives what was found until there.

    Raises:
        InputError: If the video cannot be read at all, or the folder holds other results.
        OSError: If the folder cannot be written to.
    """
    source = Source(path, plan.fps)
    open_tracker(plan.face)  # refused before anything is written
    with held(folder):
        made_of = identify(path.resolve()) | {
            "fps": source.fps,
            "face": plan.face,
            "model": plan.model_name,
            "settings": asdict(plan.settings),
            "stretch": plan.stretch,
        }
        state = read_progress(folder, made_of)
        if not state.complete:
            with writing(folder):
                state = _Run(source, folder, plan, state).run(tell, progress)
    return Report(folder, state.intervals, state.frames, state.faces, state.ended)


def spot_live(
    frames: Iterable[Frame],
    fps: float,
    name: str,
    folder: Path,
    plan: Plan,
    *,
    tell: Callable[[Interval], None] | None = None,
    progress: Progressed | None = None,
) -> Report:
    """Spots movements in what a camera or a pipe shows; see `spot_file`.

    Args:
        frames: The frames, as they come.
        fps: Frames per second.
        name: Of the source.
        folder: For the results; what it held is replaced.
        plan: How it is spotted.
        tell: Called with each movement as soon as it is found.
        progress: Called as progress(done, None) after each frame.
    """
    plan = replace(plan, settings=plan.settings.live())
    with held(folder):
        run = _Run(_Live(frames, fps, name), folder, plan, Progress({"video": name}))
        with writing(folder):
            state = run.run(tell, progress)
    return Report(folder, state.intervals, state.frames, state.faces)


@dataclass
class _Live:
    """A stream, with what `_Run` asks of a `Source`."""

    stream: Iterable[Frame]
    fps: float
    path: str
    length: None = None

    def frames(self, start: int = 0) -> Generator[Frame, None, None]:
        assert start == 0
        yield from self.stream

    def number(self, index: int) -> int:
        return index + 1

    def numbered(self, interval: Interval) -> Interval:
        return interval


class _Run:
    """The work on one video."""

    def __init__(self, source: Source | _Live, folder: Path, plan: Plan, state: Progress) -> None:
        self._source, self._folder, self._plan, self._state = source, folder, plan, state
        live = isinstance(source, _Live)
        self._spotter = Spotter(
            lambda: open_tracker(plan.face),
            plan.settings,
            source.fps,
            stretch=None if live else plan.stretch,
            finished=state.finished,
            places=state.boxes(),
        )
        seconds = None if source.length is None else source.length / source.fps
        recent = round((plan.settings.longest + _RECENT) * source.fps)
        self._pictures = Snapshots(folder / FOLDER, seconds, recent)
        # With the index of the apex: numbers in a folder of frames may be any.
        self._found = [(-1, interval) for interval in state.intervals]
        self._starts: dict[int, int] = {}  # bytes of frames.csv before each stretch
        self._faces = set(range(state.faces))
        self._seen = 0

    def run(
        self,
        tell: Callable[[Interval], None] | None,
        progress: Progressed | None,
    ) -> Progress:
        table = self._folder / "frames.csv"
        if self._state.finished == 0:
            table.write_bytes((",".join(FRAME_COLUMNS) + "\n").encode())
            self._state.bytes = table.stat().st_size
        else:
            os.truncate(table, self._state.bytes)
        with (
            open(table, "ab") as file,
            closing(self._frames(progress)) as frames,
            closing(spot_frames(self._spotter, frames)) as steps,
        ):
            for step in steps:
                self._write_rows(file, step.rows)
                self._take(step, tell)
                if step.finished is not None:
                    file.flush()
                    os.fsync(file.fileno())
                    self._save(step)
        self._finish()
        return self._state

    def _frames(self, progress: Progressed | None) -> Generator[Frame, None, None]:
        """Yields the frames until the end, or until where the video breaks off."""
        first = True
        try:
            with closing(self._source.frames(self._spotter.start)) as frames:
                for frame in frames:
                    first = False
                    self._pictures.see(frame)
                    self._seen = frame.index + 1
                    yield frame
                    if progress is not None:
                        progress(self._seen, self._source.length)
        except InputError as error:
            if first:
                raise
            self._state.ended = one_line(error)

    def _write_rows(self, file: BinaryIO, rows: list[Row]) -> None:
        length = self._spotter.length
        for row in rows:
            if length is not None:
                self._starts.setdefault(row.index // length, file.tell())
            if row.face is not None:
                self._faces.add(row.face)
            file.write(frame_lines([row], [self._source.number(row.index)]).encode())

    def _take(self, step: Found, tell: Callable[[Interval], None] | None) -> None:
        for spotted in step.spotted:
            self._pictures.keep(spotted)
            known = recognised(spotted, self._plan.model, self._source.fps)
            interval = self._source.numbered(known)
            self._found.append((spotted.interval.apex - 1, interval))
            if tell is not None:
                tell(interval)

    def _save(self, step: Found) -> None:
        """Writes down that a stretch is finished: the next run begins with the one after it."""
        assert step.finished is not None and self._spotter.length is not None
        end = self._spotter.length * step.finished
        state = self._state
        state.finished, state.bytes = step.finished, self._starts[step.finished]
        state.put(step.places or {})
        # Movements in the next stretch will be found again.
        state.intervals = [interval for apex, interval in self._found if apex < end]
        state.faces = len(state.places)
        state.write(self._folder)

    def _finish(self) -> None:
        state, folder, plan, source = self._state, self._folder, self._plan, self._source
        state.intervals = sorted(
            (each for _, each in self._found), key=lambda each: (each.onset, each.face)
        )
        state.frames, state.faces = self._seen, len(self._faces)
        name = str(source.path)
        write_intervals(folder / "intervals.csv", [(name, state.intervals)])
        write_atomically(folder / "intervals.vtt", vtt(state.intervals).encode())
        write_atomically(folder / "intervals.eaf", eaf(name, state.intervals))
        wanted = plan.video
        if wanted is None:
            wanted = state.frames <= LONG * source.fps
        if wanted and isinstance(source, Source):
            annotate(
                source,
                folder / "frames.csv",
                state.intervals,
                folder / "annotated.webm",
                state.frames,
            )
        write_page(folder, name, state, source.fps, self._pictures)
        state.complete = True
        state.write(folder)
        shutil.rmtree(folder / FOLDER, ignore_errors=True)


def folders_of(videos: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Names a folder for the results of each of several videos, after the videos.

    Raises:
        InputError: If a video is given twice.
    """
    folders: dict[Path, Path] = {}
    taken: set[Path] = set()
    for video in videos:
        if video in folders:
            raise InputError(f"{video} is given twice")
        name = safe_name(video.stem if video.is_file() else video.resolve().name) or "video"
        folder, number = out / name, 1
        while folder in taken:
            number += 1
            folder = out / f"{name}-{number}"
        taken.add(folder)
        folders[video] = folder
    return folders
