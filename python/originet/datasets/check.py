"""`originet check`: compares a data set with its annotations and with the paper's counts.

The survey covers annotations and folders; this module also reads the pictures themselves.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from originet.clips.frames import is_video, iter_frames
from originet.clips.still import read_image
from originet.datasets.faults import evaluation_faults
from originet.datasets.survey import Correction, Omission, Survey
from originet.datasets.table import clip_list_hash, people
from originet.datasets.tasks import PAPER_SUBJECTS, published
from originet.system.errors import InputError
from originet.system.files import sha256
from originet.system.words import counted, printable


class Fault(NamedTuple):
    """A faulty picture or video.

    Attributes:
        subject: the clip's subject.
        clip: its name.
        reason: what is wrong, with the file's name.
    """

    subject: str
    clip: str
    reason: str


@dataclass(frozen=True)
class Validation:
    """A survey, and the faults found while reading the pictures.

    Attributes:
        found: the survey.
        faults: unreadable pictures, and frame sizes that change within a clip; None if the
            pictures were not read.
    """

    found: Survey
    faults: Sequence[Fault] | None

    @property
    def refused(self) -> list[str]:
        """The reasons why leave-one-subject-out refuses the clips."""
        return list(evaluation_faults(self.found.table))

    @property
    def sound(self) -> bool:
        """Whether every annotated clip of the task is usable and complete, and can be evaluated."""
        found = self.found
        return not (found.unusable or found.gaps or self.faults or self.refused)


def validate(
    found: Survey,
    *,
    pictures: bool = True,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Validation:
    """Reads every picture of a survey's clips.

    Args:
        found: the survey.
        pictures: False leaves them unread.
        jobs: how many threads read.
        progress: called as progress(done, total) after each clip.

    Raises:
        InputError: if jobs is below 1.
    """
    if jobs < 1:
        raise InputError(f"--jobs must be at least 1, got {jobs}")
    if not pictures:
        return Validation(found, None)
    clips = found.table[["subject", "clip", "frames", "onset", "offset"]]
    faults: dict[int, list[Fault]] = {}
    with ThreadPoolExecutor(jobs) as threads:
        running = {
            threads.submit(_faults, *row): index
            for index, row in enumerate(clips.itertuples(index=False, name=None))
        }
        try:
            for done, future in enumerate(as_completed(running), start=1):
                faults[running[future]] = future.result()
                if progress is not None:
                    progress(done, len(running))
        except BaseException:  # such as an interrupt
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return Validation(found, [fault for index in sorted(faults) for fault in faults[index]])


def _faults(subject: str, clip: str, frames: Sequence[str], onset: int, offset: int) -> list[Fault]:
    return [Fault(subject, clip, reason) for reason in _reasons(frames, onset, offset)]


def _reasons(frames: Sequence[str], onset: int, offset: int) -> Iterator[str]:
    if is_video(frames):
        first, last = (None if pd.isna(number) else number for number in (onset, offset))
        try:
            for _ in iter_frames(frames, first, last):
                pass
        except InputError as error:
            yield str(error)
        return
    size = None
    for path in frames:
        try:
            height, width = read_image(path).shape
        except InputError as error:
            yield str(error)
            continue
        if size is not None and size != (width, height):
            yield f"frame size changes at {path}: {width}x{height} after {size[0]}x{size[1]}"
        size = (width, height)


def count_clips(found: Survey) -> pd.DataFrame:
    """Counts a survey's clips by subject and class.

    Returns:
        One row per subject, then "total". Where counts were published, also a row of them under
        the publication's name ("paper" for Table II) and "difference" (total minus published). One
        column per class, including the publication's, then "total".
    """
    table = found.table
    counts = pd.crosstab(people(table), table["label"]).astype(int)
    reference = published(found.dataset, found.task)
    classes = {*counts.columns, *(reference.clips if reference else ())}
    counts = counts.reindex(columns=sorted(classes), fill_value=0)
    counts.loc["total"] = counts.sum()
    if reference is not None:
        counts.loc[reference.source] = pd.Series(reference.clips).reindex(
            counts.columns, fill_value=0
        )
        counts.loc["difference"] = counts.loc["total"] - counts.loc[reference.source]
    counts["total"] = counts.sum(axis=1)
    return counts.rename_axis(index="subject", columns=None).astype(int)


def to_text(result: Validation) -> str:
    """Formats a validation as lines of text; control characters in names are escaped."""
    found = result.found
    subjects = people(found.table).nunique()
    reference = published(found.dataset, found.task)
    source = reference.source if reference else "paper"
    count = reference.subjects if reference else PAPER_SUBJECTS.get(found.dataset)
    paper = "" if count is None else f" ({source}: {count})"
    lines = [
        f"{found.dataset}, task {found.task}: {counted(len(found.table), 'usable clip')} of "
        f"{counted(subjects, 'subject')}{paper}"
    ]
    if found.annotations is not None:
        lines.append(f"annotations: {found.annotations} (SHA-256 {sha256(found.annotations)})")
    lines += found.remarks
    lines += ["", *count_clips(found).to_string().split("\n"), ""]
    sections = [
        _section("corrections", [_correction(entry) for entry in found.corrections]),
        _section("left out by the task", [_omission(entry) for entry in found.left_out]),
    ]
    if found.skipped:
        skipped = [f"{name}: {reason}" for name, reason in found.skipped.items()]
        sections.append(_section("skipped", skipped))
    problems = [
        _section("unusable clips", [_omission(entry) for entry in found.unusable]),
        _missing_frames(found),
        _faulty_pictures(result.faults),
        _section("reasons for loso to refuse the clips", result.refused),
    ]
    # "none" next to problems of another kind would read as if there were no problems at all.
    sections += [part for part in problems if result.sound or not part[0].endswith(": none")]
    lines += [line for part in sections for line in part]
    lines.append(f"clip list SHA-256: {clip_list_hash(found.table)}")
    return "\n".join(printable(line).rstrip() for line in lines)


def to_json(result: Validation) -> dict[str, Any]:
    """Returns a validation as JSON types."""
    found = result.found
    counts = count_clips(found)
    rows = counts.to_dict(orient="index")
    reference = published(found.dataset, found.task)
    return {
        "dataset": found.dataset,
        "task": found.task,
        "annotations": found.annotations and str(found.annotations),
        "annotations_sha256": found.annotations and sha256(found.annotations),
        "frames": str(found.frames),
        "clips_file": found.clips_file and str(found.clips_file),
        "clips_file_sha256": found.clips_file_sha256,
        "cropped": found.cropped,
        "clips": len(found.table),
        "subjects": {name: rows[name] for name in rows if name in set(people(found.table))},
        "classes": rows["total"],
        "paper": rows.get("paper"),
        "published": reference and reference._asdict(),
        "difference": rows.get("difference"),
        "faults": None if result.faults is None else [fault._asdict() for fault in result.faults],
        "refused": result.refused,
        "clip_list_sha256": clip_list_hash(found.table),
        **found.account(),
    }


def _faulty_pictures(faults: Sequence[Fault] | None) -> list[str]:
    if faults is None:
        return ["pictures: not read"]
    return _section(
        "unreadable pictures and changing sizes",
        [f"{fault.subject}/{fault.clip}: {fault.reason}" for fault in faults],
    )


def _missing_frames(found: Survey) -> list[str]:
    """Lists the gaps. Videos are not searched: their frames have no numbers."""
    gaps = [f"{gap.subject}/{gap.clip}: {gap.missing} ({gap.numbers})" for gap in found.gaps]
    title, *lines = _section("frames missing between onset and offset", gaps)
    videos = sum(map(is_video, found.table["frames"]))
    if videos and videos == len(found.table):
        title = "frames missing between onset and offset: not checked in videos"
    elif videos:
        title += f" (not checked in {counted(videos, 'video')})"
    return [title, *lines]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}: {len(lines) or 'none'}", *(f"  {line}" for line in lines)]


def _correction(entry: Correction) -> str:
    return (
        f"{entry.where} ({entry.subject}/{entry.clip}): {entry.field} "
        f"{entry.coded or 'missing'} -> {entry.used or 'missing'}: {entry.reason}"
    )


def _omission(entry: Omission) -> str:
    clip = ", ".join(filter(None, (f"{entry.subject}/{entry.clip}", entry.emotion)))
    return f"{entry.where} ({clip}): {entry.reason}"
