"""Makes a survey of annotated clips and the frames on disk: ranges, corrections, unusable clips.

Frame numbers are coded by hand. A zero offset means the apex; a zero apex means the middle of the
clip. Some rows are known to be wrong, and published loaders correct them from the folders of
frames. Copies of the workbooks differ in their rows, ranges and corrections. Therefore another
copy's range or a known correction replaces the coded range only if the coded range does not fit the
frames on disk and the replacement does. A clip whose first or last coded frame is missing cannot be
used: the remaining frames would be the wrong part of it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from originet.clips.frames import IMAGE_SUFFIXES, frame_number, list_frames
from originet.clips.video import video_info
from originet.datasets.bounds import quoted
from originet.datasets.survey import Correction, Omission, Survey, find_gap
from originet.datasets.table import ClipRow, make_table
from originet.datasets.tasks import check_task, class_of, is_listed
from originet.system.errors import InputError


class CodedClip(NamedTuple):
    """A row of an annotation workbook.

    Attributes:
        where: file, sheet and row, counted as a spreadsheet program does.
        row: index among the rows of data, from 0.
        subject: the subject's name in the clip table.
        clip: the clip's name.
        onset: first frame; None if the cell says that it is missing.
        apex: strongest frame; 0 for the middle, None if missing.
        offset: last frame; 0 for the apex, None if missing.
        action_units: as written, "" if missing.
        emotion: normalised by `normalize_label`.
        label: the eliciting video's class, "" if the data set has none.
        notes: remarks for the clip table.
        folder: name of the folder of its frames, "" if it is the clip's name.
        fps: frame rate, in frames per second; None if it is that of the whole data set.
    """

    where: str
    row: int
    subject: str
    clip: str
    onset: int | None
    apex: int | None
    offset: int | None
    action_units: str
    emotion: str
    label: str = ""
    notes: str = ""
    folder: str = ""
    fps: float | None = None

    @property
    def on_disk(self) -> tuple[str, str]:
        """The subject, and the name that the clip has on disk."""
        return self.subject, self.folder or self.clip


class KnownError(NamedTuple):
    """A row that is wrong in some copies of a workbook.

    Attributes:
        row: index among the rows of data, from 0, in the copy where the error was found.
        onset: correct values; several if sources disagree, none if the coded one is correct.
        apex: likewise.
        offset: likewise.
    """

    row: int
    onset: tuple[int, ...] = ()
    apex: tuple[int, ...] = ()
    offset: tuple[int, ...] = ()


_ZEROS = {"apex": "0 means the middle", "offset": "0 means the apex"}


class _Unusable(Exception):
    """A clip cannot be used; the message gives the reason."""


class _Range(NamedTuple):
    onset: int | None
    apex: int | None
    offset: int | None


@dataclass(frozen=True)
class _Footage:
    """The files of a clip on disk: images by frame number, or a video and its length."""

    path: Path
    images: dict[int, str]
    length: int | None = None

    @property
    def numbers(self) -> range | list[int]:
        return range(1, self.length + 1) if self.length else sorted(self.images)


def assemble(
    dataset: str,
    task: str,
    coded: Sequence[CodedClip],
    find: Callable[[CodedClip], Path | None],
    *,
    fps: float,
    cropped: bool,
    annotations: Path | None,
    frames: Path,
    cut: bool = False,
    midway: bool = False,
    known: Sequence[KnownError] = (),
    copies: Sequence[CodedClip] = (),
    corrections: Sequence[Correction] = (),
    unusable: Sequence[Omission] = (),
    remarks: Sequence[str] = (),
) -> Survey:
    """Finds the frames of coded clips and accounts for each clip.

    Args:
        dataset: the data set's name.
        task: one of `tasks.TASKS`.
        coded: the rows.
        find: returns the folder of a clip's frames or the video that contains them; None if
            neither exists.
        fps: frame rate, in frames per second; NaN if it is not known.
        cropped: whether the frames show only the face.
        annotations: the workbook; None if the rows were made from the names of folders.
        frames: the folder of the frames.
        cut: whether a clip's folder contains only the clip. Its first and last frames then replace
            a range that does not fit.
        midway: whether the middle of a clip serves as its apex where none is coded.
        known: rows that are wrong in some copies of the workbook.
        copies: the rows of other copies of the workbook, whose ranges may differ.
        corrections: corrections that the caller made.
        unusable: clips that the caller found unusable, such as rows with a wrong cell.
        remarks: remarks by the caller.

    Raises:
        InputError: if the data set has no such task.
    """
    check_task(dataset, task)
    rows: list[ClipRow] = []
    changes, gaps = list(corrections), []
    bad, left_out = list(unusable), []
    seen: dict[tuple[str, str], str] = {}
    on_disk = cache(_footage)  # a recording may hold many clips
    others: dict[tuple[str, str], list[CodedClip]] = defaultdict(list)
    for copy in copies:
        others[_name(copy)].append(copy)
    for clip in coded:
        omission = Omission(clip.where, clip.subject, clip.clip, clip.emotion, "")
        label = class_of(dataset, task, clip.emotion, clip.label)
        if label is None:
            reason = (
                f"task {task} has no class for {quoted(clip.emotion or clip.label or 'no emotion')}"
            )
            left_out.append(omission._replace(reason=reason))
            continue
        if not is_listed(dataset, task, clip.subject, clip.clip):
            reason = f"it is not on the published list of task {task}"
            left_out.append(omission._replace(reason=reason))
            continue
        try:
            earlier = seen.setdefault((clip.subject, clip.clip), clip.where)
            if earlier != clip.where:
                raise _Unusable(f"the same subject and clip as in {earlier}")
            path = find(clip)
            if path is None:
                raise _Unusable(f"no frames for it in {frames}")
            footage = on_disk(path)
            span, changed = _correct(clip, footage, known, others[_name(clip)], cut)
            listed = _within(span, footage)
        except (_Unusable, InputError) as error:
            bad.append(omission._replace(reason=str(error)))
            continue
        if annotations is not None:
            changes += changed
        notes = clip.notes
        if midway and clip.apex is None:
            span = _plain(span._replace(apex=0))
            notes = "; ".join(filter(None, (notes, "apex midway")))
        gap = find_gap(clip.subject, clip.clip, _numbers_within(span, footage))
        if gap is not None:
            gaps.append(gap)
        rows.append(
            ClipRow(
                dataset=dataset,
                subject=clip.subject,
                clip=clip.clip,
                emotion=clip.emotion,
                label=label,
                onset=span.onset,
                apex=span.apex,
                offset=span.offset,
                action_units=clip.action_units,
                fps=fps if clip.fps is None else clip.fps,
                frames=listed,
                notes=notes,
            )
        )
    return Survey(
        dataset=dataset,
        task=task,
        table=make_table(sorted(rows, key=lambda row: (row["subject"], row["clip"]))),
        cropped=cropped,
        annotations=annotations,
        frames=frames,
        corrections=tuple(changes),
        unusable=tuple(sorted(bad, key=lambda entry: (entry.subject, entry.clip))),
        left_out=tuple(left_out),
        gaps=tuple(gaps),
        remarks=tuple(remarks),
    )


def _name(clip: CodedClip) -> tuple[str, str]:
    """Returns a clip's name as all copies of a workbook have it."""
    return clip.subject, clip.clip.strip().lower()


def _footage(path: Path) -> _Footage:
    if not path.is_dir():
        length = video_info(path).length
        if length is None:
            raise _Unusable(f"{path} does not state its number of frames")
        return _Footage(path, {}, length)
    images = {frame_number(image): image for image in list_frames(path)}
    if not images:
        raise _Unusable(f"no frames in {path}: looked for {', '.join(IMAGE_SUFFIXES)} files")
    return _Footage(path, images)


def _correct(
    clip: CodedClip,
    footage: _Footage,
    known: Sequence[KnownError],
    copies: Sequence[CodedClip],
    cut: bool,
) -> tuple[_Range, list[Correction]]:
    """Interprets zeros, corrects a range that does not fit, and drops an apex outside the clip."""
    coded = _range(clip)
    span, reason = coded, ""
    low, high = footage.numbers[0], footage.numbers[-1]
    misfit = f"the coded frames do not fit those on disk ({low} to {high})"
    copy = _fitting_copy(coded, footage, copies)
    if copy is not None:
        span, reason = _range(copy), f"{misfit}, but those of {copy.where} do"
    elif not _fits(_plain(coded), footage):
        span = next(_candidates(clip.row, coded, footage, known), coded)
        reason = f"known error: {misfit}"
    if cut and not _has_ends(_plain(span), footage):
        span = span._replace(onset=low, offset=high)
        reason = f"{misfit}, and the folder contains only the clip"
    changes = _changes(clip, coded, span, reason)
    plain = _plain(span)
    changes += [entry._replace(reason=_ZEROS[entry.field]) for entry in _changes(clip, span, plain)]
    if plain.apex is not None and not _within_ends(plain.apex, plain):
        span = plain._replace(apex=None)
        changes += _changes(clip, plain, span, "the apex is not between onset and offset")
        plain = span
    return plain, changes


def _range(clip: CodedClip) -> _Range:
    return _Range(clip.onset, clip.apex, clip.offset)


def _fitting_copy(
    coded: _Range, footage: _Footage, copies: Sequence[CodedClip]
) -> CodedClip | None:
    """Returns the row of another copy whose range is on disk, if the coded range is not."""
    plain = _plain(coded)
    if plain.onset is None or not plain.offset or _has_ends(plain, footage):
        return None
    return next((copy for copy in copies if _has_ends(_plain(_range(copy)), footage)), None)


def _plain(span: _Range) -> _Range:
    """Replaces the zeros that mean an apex or a midpoint by frame numbers."""
    if span.offset == 0 and span.apex:
        span = span._replace(offset=span.apex)
    if span.apex == 0 and span.onset is not None and span.offset:
        span = span._replace(apex=(span.onset + span.offset) // 2)
    return span


def _candidates(
    row: int, coded: _Range, footage: _Footage, known: Sequence[KnownError]
) -> Iterator[_Range]:
    """Yields known corrections of a range that fit the frames on disk.

    Row numbers differ between copies. Another row's correction is therefore used if the corrected
    range starts and ends with the frames on disk, as in releases with only the clips' frames.
    """
    for error in sorted(known, key=lambda error: error.row != row):
        for onset, apex, offset in product(
            error.onset or (coded.onset,),
            error.apex or (coded.apex,),
            error.offset or (coded.offset,),
        ):
            right = _Range(onset, apex, offset)
            plain = _plain(right)
            ends = (footage.numbers[0], footage.numbers[-1])
            whole = (plain.onset, plain.offset) == ends
            if _fits(plain, footage) and (error.row == row or whole):
                yield right


def _fits(span: _Range, footage: _Footage) -> bool:
    """Returns whether a range is in order, including its apex, and its ends are on disk."""
    return _has_ends(span, footage) and (span.apex is None or _within_ends(span.apex, span))


def _has_ends(span: _Range, footage: _Footage) -> bool:
    """Returns whether the ends of a range are in order and on disk."""
    if span.onset is None or not span.offset:
        return False
    numbers = footage.numbers
    return span.onset <= span.offset and span.onset in numbers and span.offset in numbers


def _within_ends(number: int, span: _Range) -> bool:
    if span.onset is None or span.offset is None:
        return False
    return span.onset <= number <= span.offset


def _within(span: _Range, footage: _Footage) -> tuple[str, ...]:
    """Lists the files of the frames from onset to offset; both ends must exist."""
    for name, value in (("onset", span.onset), ("offset", span.offset or None)):
        if value is None:
            raise _Unusable(f"{name} is missing")
    onset, offset = span.onset, span.offset
    assert onset is not None and offset is not None
    if onset > offset:
        raise _Unusable(f"onset {onset} is after offset {offset}")
    low, high = footage.numbers[0], footage.numbers[-1]
    coded = f"frames {onset} to {offset}"
    found = f"{footage.path} has {low} to {high}"
    listed: tuple[str, ...]
    if footage.length is not None:
        if not low <= onset <= offset <= high:
            raise _Unusable(f"{coded} are coded, but {found}")
        listed = (str(footage.path),)
        count = offset - onset + 1
    else:
        listed = tuple(footage.images[n] for n in _numbers_within(span, footage))
        count = len(listed)
    if count == 0:
        raise _Unusable(f"none of {coded} exists; {found}")
    for name, number in (("onset", onset), ("offset", offset)):
        if number not in footage.numbers:
            raise _Unusable(f"{coded} are coded, but {found}: the {name} is missing")
    if count == 1:
        raise _Unusable(f"a single frame shows no motion: only one of {coded} exists")
    return listed


def _numbers_within(span: _Range, footage: _Footage) -> list[int]:
    return [number for number in footage.numbers if _within_ends(number, span)]


def _changes(clip: CodedClip, before: _Range, after: _Range, reason: str = "") -> list[Correction]:
    def text(value: int | None) -> str:
        return "" if value is None else str(value)

    return [
        Correction(clip.where, clip.subject, clip.clip, name, text(old), text(new), reason)
        for name, old, new in zip(_Range._fields, before, after, strict=True)
        if old != new
    ]
