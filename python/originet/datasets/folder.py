"""Anyone's own clips, as a folder tree or as a CSV file.

The tree is `root/<emotion>/<subject>/<clip>/<frames>` or `root/<emotion>/<subject>/<clip>.mp4`
(also .avi, .mov). The CSV has the columns `path, subject, emotion[, onset, offset]`, one row a
clip; paths are folders of frames or videos, relative to the CSV file.

A clip is named after its folder or file. Where a subject has that name twice, the emotion goes in
front of it (`happiness-clip1`), and where that is not enough, the frame range behind it
(`happiness-clip1-10-40`); what is still the same after that is an error.
"""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from originet.datasets.survey import Omission, Survey, find_gap
from originet.datasets.table import ClipRow, make_table, normalize_label
from originet.datasets.tasks import check_task, class_of
from originet.errors import InputError
from originet.video import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    clip_frames,
    frame_number,
    is_junk,
    is_video,
    list_frames,
)

MANIFEST = "dataset.json"
GENERATOR = "originet.synth"
SEMI_SYNTHETIC = "semi-synthetic"

_LAYOUT = (
    "<emotion>/<subject>/<clip>/<frames> "
    f"({', '.join(IMAGE_SUFFIXES)}) or <emotion>/<subject>/<clip>({'|'.join(VIDEO_SUFFIXES)})"
)
_REQUIRED = ("path", "subject", "emotion")


@dataclass(frozen=True)
class Manifest:
    """What `dataset.json` says about every clip below it."""

    name: str = "folder"
    fps: float = math.nan


@dataclass(frozen=True)
class _Clip:
    """A clip as the tree or the CSV file names it."""

    where: str
    path: Path
    subject: str
    emotion: str
    onset: int | None = None
    offset: int | None = None

    @property
    def name(self) -> str:
        return self.path.name if self.path.is_dir() else self.path.stem


def survey_folder(root: Path, *, annotations: Path | None = None, task: str = "original") -> Survey:
    """Surveys clips in a folder tree or a CSV file.

    A tree written by `originet synth` is known by its `dataset.json` and keeps its name,
    "semi-synthetic".

    Args:
        root: the folder, or a CSV file.
        annotations: a CSV file to read in place of the tree.
        task: one of `tasks.TASKS` but "paper"; "original" makes each emotion a class.

    Raises:
        InputError: if there are no clips, frames or videos lie at the wrong level, two clips have
            one name, or a CSV row is wrong.
    """
    check_task("folder", task)
    if not root.exists():
        raise InputError(f"no such file or folder: {root}")
    if annotations is None and root.is_file():
        if root.suffix.lower() != ".csv":
            raise InputError(f"{root} is neither a folder nor a CSV file")
        annotations = root
    if annotations is not None:
        home = root if root.is_dir() else root.parent
        clips = list(_read_csv(annotations))
    else:
        home = root = unwrap(root)
        clips = list(_walk(root))
        if not clips:
            raise InputError(f"no clips in {root}: looked for {_LAYOUT}")
    manifest = read_manifest(home)
    rows: list[ClipRow] = []
    unusable, left_out, gaps = [], [], []
    for clip in clips:
        emotion = normalize_label(clip.emotion)
        omission = Omission(clip.where, clip.subject, clip.name, emotion, "")
        label = class_of("folder", task, emotion)
        if label is None:
            reason = f"task {task} has no class for {emotion!r}"
            left_out.append(omission._replace(reason=reason))
            continue
        try:
            rows.append(_row(manifest, clip, emotion, label))
        except InputError as error:
            unusable.append(omission._replace(reason=str(error)))
    _name_apart(rows)
    for row in rows:
        numbers = () if is_video(row["frames"]) else map(frame_number, row["frames"])
        gap = find_gap(row["subject"], row["clip"], tuple(numbers))
        if gap is not None:
            gaps.append(gap)
    return Survey(
        dataset=manifest.name,
        task=task,
        table=make_table(sorted(rows, key=lambda row: (row["subject"], row["clip"]))),
        cropped=True,  # as far as anyone knows: faces are cut out on demand
        annotations=annotations,
        frames=home,
        unusable=tuple(unusable),
        left_out=tuple(left_out),
        gaps=tuple(sorted(gaps)),
    )


def unwrap(root: Path) -> Path:
    """Enters a folder that holds nothing but a folder of its own name, as archives often unpack."""
    inner = root / root.resolve().name
    return inner if _children(root) == [inner] and inner.is_dir() else root


def read_manifest(folder: Path) -> Manifest:
    """Reads `dataset.json`; one that `originet synth` did not write is somebody else's file."""
    path = folder / MANIFEST
    if not path.is_file():
        return Manifest()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("generator") != GENERATOR:
            return Manifest()
        return Manifest(name=str(content["name"]), fps=float(content["fps"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"unreadable manifest {path}: {error}") from error


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not is_junk(path))


def _walk(root: Path) -> Iterator[_Clip]:
    for emotion in filter(Path.is_dir, _children(root)):
        for subject in _children(emotion):
            _refuse_stray(subject, IMAGE_SUFFIXES + VIDEO_SUFFIXES)
            if not subject.is_dir():
                continue
            for clip in _children(subject):
                _refuse_stray(clip, IMAGE_SUFFIXES)
                if clip.is_dir() or clip.suffix.lower() in VIDEO_SUFFIXES:
                    yield _Clip(str(clip), clip, subject.name.strip(), emotion.name)


def _refuse_stray(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuses a frame or video above the level where clips are: it would be dropped silently."""
    if path.is_file() and path.suffix.lower() in suffixes:
        raise InputError(f"{path} is at the wrong level: expected {_LAYOUT}")


def _row(manifest: Manifest, clip: _Clip, emotion: str, label: str) -> ClipRow:
    return ClipRow(
        dataset=manifest.name,
        subject=clip.subject,
        clip=clip.name,
        emotion=emotion,
        label=label,
        onset=clip.onset,
        apex=None,
        offset=clip.offset,
        action_units="",
        fps=manifest.fps,
        frames=_within(clip.path, clip.onset, clip.offset),
        notes="",
    )


def _within(clip: Path, onset: int | None, offset: int | None) -> tuple[str, ...]:
    """Lists a clip's files, for a folder only those with onset <= number <= offset."""
    if not clip.is_dir():
        return clip_frames(clip)
    frames = {frame_number(path): path for path in list_frames(clip)}
    if not frames:
        raise InputError(f"no frames in {clip}: looked for {', '.join(IMAGE_SUFFIXES)} files")
    for name, value in (("onset", onset), ("offset", offset)):
        if value is not None and value not in frames:
            low, high = min(frames), max(frames)
            raise InputError(f"{name} {value}: no such frame in {clip} ({low} to {high})")
    low = min(frames) if onset is None else onset
    high = max(frames) if offset is None else offset
    return tuple(path for number, path in frames.items() if low <= number <= high)


def _read_csv(path: Path) -> Iterator[_Clip]:
    if not path.is_file():
        raise InputError(f"no such annotation file: {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            header = [name.strip().lower() for name in reader.fieldnames or ()]
            lines = [(reader.line_num, line) for line in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if missing := [name for name in _REQUIRED if name not in header]:
        found = ", ".join(header) or "nothing"
        raise InputError(f"{path} lacks the column {', '.join(missing)}: its header has {found}")
    if not lines:
        raise InputError(f"no clips in {path}: it holds only the header")
    for number, line in lines:
        where = f"{path}, line {number}"
        if None in line or None in line.values():
            raise InputError(f"{where}: {len(header)} fields expected, as in the header")
        cells = dict(zip(header, (str(cell).strip() for cell in line.values()), strict=True))
        for name in _REQUIRED:
            if not cells[name]:
                raise InputError(f"{where}: {name} is empty")
        onset, offset = (_number(cells.get(name, ""), name, where) for name in ("onset", "offset"))
        if onset is not None and offset is not None and onset > offset:
            raise InputError(f"{where}: onset {onset} is after offset {offset}")
        clip = path.parent / cells["path"]
        if not clip.exists():
            raise InputError(f"{where}: no such file or folder: {clip}")
        yield _Clip(where, clip, cells["subject"], cells["emotion"], onset, offset)


def _number(text: str, name: str, where: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise InputError(f"{where}: {name} must be a frame number, got {text!r}")
    return int(text)


def _name_apart(rows: list[ClipRow]) -> None:
    """Makes clip names unique within a subject, as the module says, and notes what it changed."""

    def repeated() -> list[ClipRow]:
        count = Counter((row["subject"], row["clip"]) for row in rows)
        return [row for row in rows if count[row["subject"], row["clip"]] > 1]

    for row in repeated():
        row["notes"] = f"named apart: the subject has more than one {row['clip']}"
        row["clip"] = f"{row['emotion']}-{row['clip']}"
    for row in repeated():
        if row["onset"] is not None or row["offset"] is not None:
            span = (row["onset"], row["offset"])
            row["clip"] += "".join(f"-{'' if value is None else value}" for value in span)
