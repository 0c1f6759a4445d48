"""Writes small trees in the shape of 4DME, with names, pictures and codes of our own."""

from typing import NamedTuple

from trees_casme import around, write_frames
from workbooks import write_workbook

WORKBOOK = "4DME_Labelling_Micro_release v1.xlsx"
HEADER = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")


class Coded(NamedTuple):
    """A row as it is coded, and the folders of its subject and frames."""

    subject: object
    clip: object
    emotion: str
    onset: object
    apex: object
    offset: object
    action_units: object
    folder: str


# Several emotions in several spellings; numbers that lost their zeros.
CLIPS = (
    Coded("P01", "Clip_1", "Negative", 10, 14, 19, "4+7", "P01/Clip_1"),
    Coded("P01", "clip_2", "surprise, Negative", 30, "/", 36, "R12", "p01/clip_2"),
    Coded(2, 1, "Repression / negative", "98", "100", "102", 4, "002/001"),
    Coded(2, 10, "Happy", 5, 9, 0, "?", "002/010"),
    Coded("11", "a", "Positive & Others", 3, 4, 6, None, "11/a"),
)


def write_fourdme(root, *, rows=CLIPS, workbook=WORKBOOK, without=()):
    """Writes the workbook, and grey and colour frames with three more at both ends.

    Args:
        root: a folder.
        rows: `Coded` rows.
        workbook: name of the file.
        without: folders of which there are no frames.

    Returns:
        The workbook.
    """
    for row in rows:
        if row.folder not in without:
            frames = around(range(int(row.onset), int(row.offset or row.apex) + 1), False)
            for tree in ("gray_micro", "a_color"):
                folder = root / "4DME" / tree / row.folder
                write_frames(folder, (f"{number:04d}.jpg" for number in frames))
    return write_workbook(root / workbook, {"Sheet1": [HEADER, *(row[:7] for row in rows)]})
