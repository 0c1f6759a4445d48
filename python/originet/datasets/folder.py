"""Your own clips, as a folder tree or as a CSV file.

The tree is `root/<emotion>/<subject>/<clip>/<frames>` or `root/<emotion>/<subject>/<clip>.mp4`
(or another suffix of `video.VIDEO_SUFFIXES`). The CSV file has the columns
`path, subject, emotion[, onset, apex, offset, fps, au, clip, dataset]` and one row per clip. Paths
are folders of frames or videos, relative to the CSV file. Onset, apex and offset are frame numbers
or, if the frame rate is known, times after the first frame, such as "0.5s" or "1:02.5". A row that
cannot be used is listed and does not stop the others.

A path must lie in the CSV file's folder or in the root; it may be absolute or contain `..`. Without
this rule, somebody else's CSV file could copy pictures from any folder into a store or a report,
which you may then pass on. If your clips are elsewhere, pass their folder as the root and the CSV
file as its annotations. Symbolic links are followed.

A set is called "folder" unless you name it. Sets that are evaluated together need different names,
because the set's and the subject's name together identify a person. The column `dataset` names the
set of each row.

A clip is named by the column `clip`, or else after its folder or file. If a subject has two clips
of the same name, the emotion is put in front (`happiness-clip1`); if that is not enough, the frame
range is appended (`happiness-clip1-10-40`). Clips whose names still clash are listed as unusable.
"""

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec

from originet.clips.frames import (
    IMAGE_SUFFIXES,
    clip_frames,
    frame_number,
    is_junk,
    is_video,
    select_frames,
)
from originet.clips.span import find_span
from originet.clips.strays import MANIFEST, NO_CLIP, is_movie, is_picture, name_strays
from originet.clips.times import seconds_of
from originet.clips.video import VIDEO_SUFFIXES, video_info
from originet.datasets.bounds import check_name, quoted
from originet.datasets.coded.workbook import frame_cell
from originet.datasets.csv_rows import BadRow, read_rows
from originet.datasets.survey import Correction, Omission, Survey, find_gap
from originet.datasets.table import ClipRow, make_table, normalize_label
from originet.datasets.tasks import check_task, class_of
from originet.system.choices import DATASETS
from originet.system.errors import InputError
from originet.system.files import named_errors
from originet.system.json_files import read_json

GENERATOR = "originet.synth"
SEMI_SYNTHETIC = "semi-synthetic"

_LAYOUT = (
    "<emotion>/<subject>/<clip>/<frames> "
    f"({', '.join(IMAGE_SUFFIXES)}) or <emotion>/<subject>/<clip>({'|'.join(VIDEO_SUFFIXES)})"
)
# With these limits every frame number fits into 64 bits.
_LONGEST = 1e6  # seconds of a clip: eleven days
_FASTEST = 1e6  # frames a second

_REQUIRED = ("path", "subject", "emotion")
_OPTIONAL = {
    **{name: () for name in ("onset", "apex", "offset", "fps")},
    "au": ("aus", "actionunits"),
    "clip": (),
    "dataset": (),
}


@dataclass(frozen=True)
class Manifest:
    """Properties that all clips of a tree share."""

    name: str = "folder"
    fps: float = math.nan


class _SynthManifest(TypedDict):
    """The fields read from a `dataset.json` that `originet synth` wrote."""

    name: Literal["semi-synthetic"]
    fps: Annotated[float, msgspec.Meta(gt=0, le=_FASTEST)]


@dataclass(frozen=True)
class _Clip:
    """A clip as the tree or the CSV file names it; `cells` holds the optional columns."""

    where: str
    path: Path
    subject: str
    emotion: str
    cells: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        if given := self.cells.get("clip"):
            return given
        return self.path.name if os.path.isdir(self.path) else self.path.stem


def survey_folder(
    root: Path,
    *,
    annotations: Path | None = None,
    task: str = "original",
    set_name: str | None = None,
) -> Survey:
    """Surveys clips in a folder tree or a CSV file.

    A tree written by `originet synth` is recognized by its `dataset.json`. Its name is
    "semi-synthetic", which also goes in front of a name given by the user.

    Args:
        root: the folder, or a CSV file.
        annotations: a CSV file to read instead of the tree.
        task: one of `tasks.TASKS` except "paper"; "original" makes each emotion a class.
        set_name: the set's name; None means "folder".

    Raises:
        InputError: if there are no clips, the CSV file is not UTF-8 or misses a column, or the
            name is not allowed.
    """
    check_task("folder", task)
    if not root.exists():
        raise InputError(f"no such file or folder: {root}")
    if annotations is None and not root.is_dir():
        if root.suffix.lower() != ".csv":
            raise InputError(f"{root} is neither a folder nor a CSV file")
        annotations = root
    unusable: list[Omission] = []
    remarks: list[str] = []
    skipped: dict[str, str] = {}
    if annotations is not None:
        home = root if root.is_dir() else root.parent
        clips, unusable, remarks = _read_csv(annotations, home)
    else:
        home = root = unwrap(root)
        clips, unusable, skipped = _walk(root)
        if not clips:
            reasons = {omission.where: omission.reason for omission in unusable} | skipped
            why = "".join(f"; {name}: {reason}" for name, reason in [*reasons.items()][:1])
            raise InputError(f"no clips in {root}: looked for {_LAYOUT}{why}")
    manifest = read_manifest(home)
    own_name = called(set_name, manifest)
    made: list[tuple[_Clip, ClipRow]] = []
    corrections: list[Correction] = []
    left_out = []
    for clip in clips:
        emotion = normalize_label(clip.emotion)
        omission = Omission(clip.where, clip.subject, clip.name, emotion, "")
        label = class_of("folder", task, emotion)
        if label is None:
            reason = f"task {task} has no class for {quoted(emotion)}"
            left_out.append(omission._replace(reason=reason))
            continue
        try:
            row, changes = _row(manifest, clip, emotion, label, own_name)
        except InputError as error:
            unusable.append(omission._replace(reason=str(error)))
        else:
            made.append((clip, row))
            corrections += changes
    _name_apart([row for _, row in made])
    rows, repeated = _without_repeated(made)
    gaps = (
        find_gap(row["subject"], row["clip"], [frame_number(path) for path in row["frames"]])
        for row in rows
        if not is_video(row["frames"])
    )
    return Survey(
        dataset="+".join(sorted({row["dataset"] for row in rows} or {own_name})),
        task=task,
        table=make_table(sorted(rows, key=_key)),
        cropped=True,  # unknown: faces are cropped on request
        annotations=annotations,
        frames=home,
        corrections=tuple(corrections),
        unusable=(*unusable, *repeated),
        left_out=tuple(left_out),
        gaps=tuple(sorted(filter(None, gaps))),
        skipped=skipped,
        remarks=tuple(remarks),
    )


def unwrap(root: Path) -> Path:
    """Returns the inner folder if a folder holds only one of its own name, as archives often do."""
    inner = root / root.resolve().name
    return inner if _children(root) == [inner] and inner.is_dir() else root


def read_manifest(folder: Path) -> Manifest:
    """Reads `dataset.json`; ignores one that `originet synth` did not write.

    Raises:
        InputError: if it is not a regular file, not JSON, or misses a field that `originet synth`
            writes.
    """
    path = folder / MANIFEST
    if not path.exists():
        return Manifest()
    content: Any = read_json(path, object)
    if not isinstance(content, dict) or content.get("generator") != GENERATOR:
        return Manifest()
    fields = read_json(path, _SynthManifest)
    return Manifest(name=fields["name"], fps=fields["fps"])


def called(name: str | None, manifest: Manifest) -> str:
    """Returns the name of a set, given the user's name for it or None.

    Raises:
        InputError: if the name is empty, reserved, or has a character that lists of names use.
    """
    if name is None:
        return manifest.name
    name = name.strip()
    taken = (*(other for other in DATASETS if other != "folder"), SEMI_SYNTHETIC)
    if not name or set(name) & set("+/") or not name.isprintable() or name.lower() in taken:
        raise InputError(
            f"a data set cannot be called {quoted(name)}: choose a name without + and /, other "
            f"than {', '.join(taken)}"
        )
    # The name marks artificial clips in every report.
    return f"{SEMI_SYNTHETIC}-{name}" if manifest.name == SEMI_SYNTHETIC else name


def is_semi_synthetic(dataset: str) -> bool:
    """Returns whether a data set, or a part of a composite, is semi-synthetic by its name."""
    return any(
        name == SEMI_SYNTHETIC or name.startswith(f"{SEMI_SYNTHETIC}-")
        for name in dataset.split("+")
    )


def _children(folder: Path) -> list[Path]:
    with named_errors(folder):
        return sorted(path for path in folder.iterdir() if not is_junk(path))


class _Tree(NamedTuple):
    """The clips of a tree, and the other files in it."""

    clips: list[_Clip]
    unusable: list[Omission]
    skipped: dict[str, str]


def _walk(root: Path) -> _Tree:
    tree = _Tree([], [], {})
    strays: list[Path] = []
    for emotion in _folders(root, strays):
        for subject in _folders(emotion, strays):
            for clip in _children(subject):
                if not (clip.is_dir() or is_movie(clip)):
                    strays.append(clip)
                    continue
                tree.clips.append(_Clip(str(clip), clip, subject.name.strip(), emotion.name))
                if clip.is_dir():
                    tree.skipped.update(_beside_frames(clip))
    _sort_out([path for path in strays if path != root / MANIFEST], tree)
    return tree


def _folders(folder: Path, strays: list[Path]) -> list[Path]:
    children = _children(folder)
    strays += [path for path in children if not path.is_dir()]
    return [path for path in children if path.is_dir()]


def _sort_out(strays: list[Path], tree: _Tree) -> None:
    """Sorts strays into misplaced clips, which are unusable, and files that are not clips."""

    def misplace(path: Path, what: str) -> None:
        reason = f"{what} at the wrong level: expected <emotion>/<subject>/<clip>"
        tree.unusable.append(Omission(str(path), "?", path.stem, "?", reason))

    pictures: dict[Path, list[Path]] = {}
    for path in strays:
        if is_movie(path):
            misplace(path, "a video")
        elif is_picture(path):
            pictures.setdefault(path.parent, []).append(path)
    for folder, files in pictures.items():
        if len(files) > 1:
            misplace(folder, f"{len(files)} pictures")
        else:
            tree.skipped[str(files[0])] = "a single picture is not a clip"
    others = [path for path in strays if not (is_movie(path) or is_picture(path))]
    tree.skipped.update(name_strays(others, NO_CLIP))


def _beside_frames(clip: Path) -> dict[str, str]:
    """Lists what else is in a folder of frames, with the reason for skipping it."""
    others = [path for path in _children(clip) if not is_picture(path)]
    folders = [path for path in others if path.is_dir()]
    files = [path for path in others if path not in folders]
    reason = f"inside {clip}, whose pictures are the frames of one clip"
    return {str(path): reason for path in folders} | name_strays(files, reason)


@dataclass(frozen=True)
class _Footage:
    """The frames of a clip: which exist, and how a time becomes a frame number."""

    path: Path
    files: tuple[str, ...]
    fps: float
    stamped: bool  # a video without a given rate: its own time stamps count

    @cached_property
    def numbers(self) -> range | list[int]:
        """The frame numbers, ascending; unbounded for a video of unknown length."""
        if is_video(self.files):
            return range(1, (video_info(self.files[0]).length or sys.maxsize - 1) + 1)
        return [frame_number(path) for path in self.files]

    def place(self, name: str, text: str, whole: Callable[[float], int]) -> int | None:
        """Reads a frame number or a time; None if it is missing."""
        seconds = seconds_of(text)
        if seconds is not None and seconds > _LONGEST:
            raise InputError(f"{name} {quoted(text)} is beyond the end of any clip")
        if seconds is not None and self.stamped:
            if name == "onset":
                return find_span(self.files[0], text, None, 1, None, stamped=True)[0]
            # The frame shown at this time.
            return find_span(self.files[0], None, text, 1, None, stamped=True)[1]
        if seconds is not None:
            if math.isnan(self.fps):
                raise InputError(f"{name} {text} is a time, but the fps of {self.path} is unknown")
            # Rounded first: 0.1 s at 30 fps is 3 frames, despite floating-point error.
            number = self.numbers[0] + whole(round(seconds * self.fps, 6))
            # A clip of 2 s ends at 2 s, together with its last frame.
            return number - 1 if number == self.numbers[-1] + 1 else number
        try:
            return frame_cell(text, name)
        except InputError:
            form = "a frame number or a time such as 0.5s or 1:02.5"
            raise InputError(f"{name} must be {form}, got {quoted(text)}") from None

    def check(self, onset: int | None, offset: int | None) -> None:
        """Checks that a range is in order and that both of its ends exist."""
        if onset is not None and offset is not None and onset > offset:
            raise InputError(f"onset {onset} is after offset {offset}")
        low, high = self.numbers[0], self.numbers[-1]
        for name, value in (("onset", onset), ("offset", offset)):
            if value is not None and value not in self.numbers:
                raise InputError(f"{name} {value}: no such frame in {self.path} ({low} to {high})")
        if (low if onset is None else onset) == (high if offset is None else offset):
            raise InputError(f"a single frame shows no motion: onset and offset are {onset or low}")

    def holds(self, number: int, onset: int | None, offset: int | None) -> bool:
        """Returns whether a frame is in a range; an end that is None is the clip's."""
        low = self.numbers[0] if onset is None else onset
        return low <= number <= (self.numbers[-1] if offset is None else offset)


def _row(
    manifest: Manifest, clip: _Clip, emotion: str, label: str, own_name: str
) -> tuple[ClipRow, list[Correction]]:
    cells = dict.fromkeys(_OPTIONAL, "") | dict(clip.cells)
    files = clip_frames(clip.path)
    fps = _rate(cells["fps"]) or manifest.fps
    stamped = math.isnan(fps) and is_video(files)
    footage = _Footage(clip.path, files, fps, stamped)
    if stamped and any(seconds_of(cells[name]) is not None for name in ("onset", "apex", "offset")):
        fps = video_info(files[0]).fps or math.nan
    onset = footage.place("onset", cells["onset"], math.ceil)
    apex = footage.place("apex", cells["apex"], round)
    offset = footage.place("offset", cells["offset"], math.floor)
    if onset is not None or offset is not None:  # a whole video need not be opened
        footage.check(onset, offset)
    changes = []
    if apex is not None and not footage.holds(apex, onset, offset):
        reason = "the apex is not between onset and offset"
        changes.append(
            Correction(clip.where, clip.subject, clip.name, "apex", cells["apex"], "", reason)
        )
        apex = None
    row = ClipRow(
        dataset=called(cells["dataset"], manifest) if cells["dataset"] else own_name,
        subject=clip.subject,
        clip=clip.name,
        emotion=emotion,
        label=label,
        onset=onset,
        apex=apex,
        offset=offset,
        action_units=cells["au"],
        fps=fps,
        frames=files if is_video(files) else tuple(select_frames(files, onset, offset)),
        notes="",
    )
    return row, changes


def _rate(text: str) -> float | None:
    """Reads a frame rate in frames per second; None if it is missing."""
    try:
        fps = float(text) if text else None
    except ValueError:
        fps = math.nan
    if fps is not None and not 0 < fps <= _FASTEST:
        raise InputError(f"fps must be above 0 and at most {_FASTEST:,.0f}, got {quoted(text)}")
    return fps


def _read_csv(path: Path, root: Path) -> tuple[list[_Clip], list[Omission], list[str]]:
    """Reads the rows of a CSV file; a bad one becomes an omission."""
    rows = read_rows(path, _REQUIRED, _OPTIONAL)
    homes = list(dict.fromkeys(os.path.abspath(folder) for folder in (path.parent, root)))
    clips, bad = [], list(rows.bad)
    for where, cells in rows.good:
        try:
            for column in ("subject", "clip", "emotion"):
                check_name(cells[column])
        except InputError as error:
            bad.append(BadRow(where, cells, str(error)))
            continue
        place = Path(os.path.normpath(path.parent / cells["path"]))
        if any(place.absolute().is_relative_to(home) for home in homes):
            clips.append(_Clip(where, place, cells["subject"], cells["emotion"], cells))
        else:
            reason = f"{quoted(cells['path'])} is not in {' or '.join(homes)}: pass a root with it"
            bad.append(BadRow(where, cells, reason))
    omitted = []
    for row in bad:
        read = row.cells
        names = (read["subject"], read["clip"] or Path(read["path"]).stem, read["emotion"])
        subject, clip, emotion = (name or "?" for name in names)
        omitted.append(Omission(row.where, subject, clip, normalize_label(emotion), row.reason))
    unread = [f"columns not read: {', '.join(rows.unread)}"] if rows.unread else []
    return clips, omitted, unread


def _name_apart(rows: list[ClipRow]) -> None:
    """Makes clip names unique within a subject (see the module's docstring) and notes changes."""

    def repeated() -> list[ClipRow]:
        count = Counter(map(_key, rows))
        return [row for row in rows if count[_key(row)] > 1]

    for row in repeated():
        row["notes"] = f"renamed: the subject has more than one {row['clip']}"
        row["clip"] = f"{row['emotion']}-{row['clip']}"
    for row in repeated():
        if row["onset"] is not None or row["offset"] is not None:
            span = (row["onset"], row["offset"])
            row["clip"] += "".join(f"-{'' if value is None else value}" for value in span)


def _key(row: ClipRow) -> tuple[str, str, str]:
    return row["dataset"], row["subject"], row["clip"]


def _without_repeated(
    made: Sequence[tuple[_Clip, ClipRow]],
) -> tuple[list[ClipRow], list[Omission]]:
    """Leaves out clips whose names still clash."""
    first: dict[tuple[str, str, str], str] = {}
    rows, repeated = [], []
    for clip, row in made:
        earlier = first.setdefault(_key(row), clip.where)
        if earlier == clip.where:
            rows.append(row)
        else:
            reason = f"the same subject and clip as in {earlier}"
            repeated.append(
                Omission(clip.where, row["subject"], row["clip"], row["emotion"], reason)
            )
    return rows, repeated


def survey_synthetic(root: Path, *, task: str = "original", set_name: str | None = None) -> Survey:
    """Surveys a set written by `originet synth`; its `dataset.json` is required.

    Raises:
        InputError: as `survey_folder`, and if the manifest is missing or not by `originet synth`.
    """
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    if read_manifest(unwrap(root)).name != SEMI_SYNTHETIC:
        raise InputError(f"{root} has no {MANIFEST} written by `originet synth`")
    return survey_folder(root, task=task, set_name=set_name)
