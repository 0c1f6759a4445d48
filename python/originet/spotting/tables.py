"""frames.csv and intervals.csv: what was measured in each frame, and the movements found in it."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from originet.spotting.intervals import Interval
from originet.spotting.regions import REGIONS
from originet.spotting.scene import Row
from originet.system.csv_cells import guarded
from originet.system.files import write_atomically

FRAME_COLUMNS = (
    *("frame", "timestamp", "face", "confidence", "success", "x", "y", "size"),
    *REGIONS,
    "rigid",
)
INTERVAL_COLUMNS = (
    *("video", "face", "onset", "apex", "offset"),
    *("onset_seconds", "apex_seconds", "offset_seconds", "kind", "regions", "score", "energy"),
    *("label", "confidence", "note"),
)


def frame_lines(rows: Iterable[Row], numbers: Sequence[int]) -> str:
    """Returns lines of frames.csv.

    Args:
        rows: What is known of frames.
        numbers: Their numbers.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for row, number in zip(rows, numbers, strict=True):
        place = ("", "", "") if row.box is None else row.box
        energies = [""] * (len(REGIONS) + 1)
        if row.energies is not None:
            energies = [f"{value:.3f}" for value in row.energies]
        face = "" if row.face is None else row.face
        seen = (face, f"{row.confidence:.3f}", int(row.face is not None))
        writer.writerow([number, f"{row.seconds:.4f}", *seen, *place, *energies])
    return written.getvalue()


def interval_cells(video: str, interval: Interval) -> list[str | int]:
    """Returns a row of intervals.csv."""
    times = (interval.onset_seconds, interval.apex_seconds, interval.offset_seconds)
    return [
        guarded(video),
        interval.face,
        *(interval.onset, interval.apex, interval.offset),
        *(f"{seconds:.4f}" for seconds in times),
        interval.kind,
        " ".join(interval.regions),
        f"{interval.score:.2f}",
        f"{interval.energy:.3f}",
        guarded(interval.label),
        "" if interval.confidence is None else f"{interval.confidence:.4f}",
        interval.note,
    ]


def write_intervals(path: Path, found: Iterable[tuple[str, Sequence[Interval]]]) -> None:
    """Writes intervals.csv.

    Args:
        path: The file.
        found: Names of videos, and the movements in them.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(INTERVAL_COLUMNS)
    for video, intervals in found:
        writer.writerows(interval_cells(video, interval) for interval in intervals)
    write_atomically(path, written.getvalue().encode())
