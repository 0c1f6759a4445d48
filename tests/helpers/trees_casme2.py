"""Writes small trees in the shape of CASME II, with pictures and codes of our own."""

from typing import NamedTuple

from trees_casme import around, write_frames
from workbooks import write_workbook

HEADER = (
    *("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None),
    *("Action Units", "Estimated Emotion"),
)
LAYOUTS = {
    "raw": "CASME2_RAW_selected/CASME2_RAW_selected",
    "cropped": "Cropped/Cropped",
    "updated": "Cropped-updated/Cropped",  # here the subjects' folders are bare numbers
}


class Coded(NamedTuple):
    """A row as it is coded, and the numbers of the frames from its onset to its offset."""

    subject: object
    clip: str
    onset: object
    apex: object
    offset: object
    action_units: object
    emotion: str
    frames: range


CLIPS = (
    Coded(1, "EP02_01f", 46, 59, 66, "4+L10", "happiness", range(46, 67)),
    Coded(1, "EP09f", 97, "/", 103, 4, "disgust", range(97, 104)),
    Coded(2, "EP01_2", 5, 9, 11, "R12 or R15", "Others", range(5, 12)),
    Coded(2, "EP08_1", 7, 9, 12, "?", "repression", range(7, 13)),
    Coded(2, "EP09f", 3, 4, 6, 1, "surprise", range(3, 7)),
    Coded(17, "EP06_02_01", "21", "23.0", "26", 4, "Fear", range(21, 27)),
    Coded(17, "EP06_02_02", 40, 44, 0, 15, "sadness ", range(40, 45)),
)

# What is right of the 0-based row 60, which copies of the workbook have wrong.
KNOWN_ROW, KNOWN_FRAMES = 60, range(85, 92)


def numbered_rows(count, offset=19, at=KNOWN_ROW):
    """Returns the clips, then ordinary ones up to `count` rows; the known one's offset is given."""
    rows = list(CLIPS)
    for row in range(len(CLIPS), count):
        subject, name = 1 + row % 26, f"EP{row:02d}_03"
        if row == at:
            rows.append(Coded(subject, name, 85, 88, offset, 4, "others", KNOWN_FRAMES))
        else:
            rows.append(Coded(subject, name, 10, 11, 12, 4, "others", range(10, 13)))
    return rows


def write_casme2(
    root,
    *,
    rows=CLIPS,
    workbook="CASME2-coding-20140508.xlsx",
    layout="cropped",
    header=HEADER,
    doubled=(),
    without=(),
    extra=(),
):
    """Writes the workbook and the frames.

    Args:
        root: a folder.
        rows: `Coded` rows.
        workbook: name of the file; its suffix says the format.
        layout: one of `LAYOUTS`. Raw frames are three more at both ends.
        header: cells of the first row.
        doubled: (subject, clip) whose folder holds one of the same name.
        without: (subject, clip) of which there are no frames.
        extra: rows of raw cells to append to the sheet.

    Returns:
        The workbook.
    """
    for row in rows:
        if (row.subject, row.clip) in without:
            continue
        subject = str(row.subject) if layout == "updated" else f"sub{row.subject:02d}"
        folder = root / LAYOUTS[layout] / subject / row.clip
        if (row.subject, row.clip) in doubled:
            folder = folder / row.clip
        start = "img" if layout == "raw" else "reg_img"
        write_frames(folder, (f"{start}{n}.jpg" for n in around(row.frames, layout != "raw")))
    cells = [(*row[:2], None, *row[2:5], None, *row[5:7]) for row in rows]
    return write_workbook(root / workbook, {"Sheet1": [header, *cells, *extra]})


def write_objective_classes(root):
    """Writes the workbook of objective classes, which some users keep beside the codes."""
    cells = [[row.subject, row.clip, 1] for row in CLIPS]
    return write_workbook(
        root / "CASME2-ObjectiveClasses.xlsx",
        {"Sheet1": [["Subject", "Filename", "Objective Class"], *cells]},
    )
