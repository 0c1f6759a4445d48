"""Writes small trees in the shape of MMEW, with pictures and codes of our own."""

from typing import NamedTuple

from trees_casme import around, write_frames
from workbooks import write_workbook

WORKBOOK = "MMEW_Micro_Exp.xlsx"
HEADER = (
    *("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame"),
    *("Action Units", "Estimated Emotion", "remarks"),
)


class Coded(NamedTuple):
    """A row as it is coded; the emotion is also the folder's name."""

    subject: object
    clip: str
    onset: object
    apex: object
    offset: object
    action_units: object
    emotion: str
    remarks: str | None = None


CLIPS = (
    Coded(1, "S01-01-001", 15, 20, 26, "12+6", "happiness"),
    Coded(1, "S01-02-001", 8, "/", 14, 4, "disgust", "weak"),
    Coded("S02", "S02-01-002", "98", "99", "102", "R4", "Others"),
    Coded("30", "S30-07-010", 5, 9, 0, 1, "sadness "),
)


def write_mmew(root, *, rows=CLIPS, workbook=WORKBOOK, filed=None, header=HEADER):
    """Writes the workbook, and the frames with three more at both ends.

    Args:
        root: a folder.
        rows: `Coded` rows.
        workbook: name of the file.
        filed: clip -> emotions in whose folders its frames are, if not in that of its own.
        header: cells of the first row.

    Returns:
        The workbook.
    """
    for row in rows:
        frames = range(int(row.onset), int(row.offset or row.apex) + 1)
        for emotion in (filed or {}).get(row.clip, [row.emotion.strip().lower()]):
            folder = root / "Micro_Expression" / emotion / row.clip
            write_frames(folder, (f"{number}.jpg" for number in around(frames, False)))
    return write_workbook(root / workbook, {"Sheet1": [header, *rows]})
