"""What a data set has on disk: the usable clips, and an account of all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from originet.datasets.table import ClipTable


class Correction(NamedTuple):
    """A value of an annotation that was changed before use.

    Attributes:
        where: file, sheet and row, as in "CASME2.xlsx, sheet Sheet1, row 62".
        subject: the clip's subject.
        clip: its name.
        field: "onset", "apex", "offset", "emotion", ...
        coded: the annotated value.
        used: the value used instead.
        reason: why.
    """

    where: str
    subject: str
    clip: str
    field: str
    coded: str
    used: str
    reason: str


class Omission(NamedTuple):
    """An annotated clip that is not in the table.

    Attributes:
        where: file, sheet and row.
        subject: the clip's subject.
        clip: its name.
        emotion: as annotated.
        reason: why.
    """

    where: str
    subject: str
    clip: str
    emotion: str
    reason: str


class Gap(NamedTuple):
    """Frames missing from a usable clip between its onset and its offset.

    Attributes:
        subject: the clip's subject.
        clip: its name.
        missing: how many frames are missing.
        numbers: which, as in "46-49, 60".
    """

    subject: str
    clip: str
    missing: int
    numbers: str


def find_gap(subject: str, clip: str, numbers: Sequence[int]) -> Gap | None:
    """Finds a clip's missing frames, given the numbers of its existing ones in ascending order."""
    holes = [(low + 1, high - 1) for low, high in pairwise(numbers) if high > low + 1]
    if not holes:
        return None
    missing = sum(high - low + 1 for low, high in holes)
    spans = (str(low) if low == high else f"{low}-{high}" for low, high in holes)
    return Gap(subject, clip, missing, ", ".join(spans))


@dataclass(frozen=True)
class Survey:
    """A data set as it lies on disk.

    Attributes:
        dataset: its name, as `load_dataset` takes it.
        task: how emotions become classes, see `originet.datasets.tasks`.
        table: the clips that can be used, sorted by subject and clip; may be empty.
        cropped: whether the frames show the face alone, as in a cropped release.
        annotations: the file with the annotations; None if folder names give them.
        frames: the folder with the frames.
        corrections: changes to the annotations.
        unusable: clips that cannot be used.
        left_out: clips whose emotion has no class in the task.
        gaps: usable clips with missing frames.
        skipped: files and folders that are not annotated clips -> the reason they were skipped.
        remarks: choices made between alternatives, and other notes for the reader.
        clips_file: the list that the clips were restricted to (see
            `originet.datasets.clip_list`); None for all clips.
        clips_file_sha256: hash of that list's content, as it was read.
    """

    dataset: str
    task: str
    table: ClipTable
    cropped: bool
    annotations: Path | None
    frames: Path
    corrections: Sequence[Correction] = ()
    unusable: Sequence[Omission] = ()
    left_out: Sequence[Omission] = ()
    gaps: Sequence[Gap] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    clips_file: Path | None = None
    clips_file_sha256: str | None = None

    def account(self) -> dict[str, Any]:
        """Returns what was corrected, left out, missing and chosen, as JSON types."""
        return {
            "corrections": [entry._asdict() for entry in self.corrections],
            "unusable": [entry._asdict() for entry in self.unusable],
            "left_out": [entry._asdict() for entry in self.left_out],
            "gaps": [entry._asdict() for entry in self.gaps],
            "skipped": dict(self.skipped),
            "remarks": list(self.remarks),
        }
