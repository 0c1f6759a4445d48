"""Writes small trees in the shape of CASME, with pictures and codes of our own."""

from typing import NamedTuple

import cv2
import numpy as np
from workbooks import write_workbook

HEADER = (
    *("Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None),
    *("Onset (ms)", "Total (ms)", "AU", "Emotion"),
)
MISSING = "\\"


class Coded(NamedTuple):
    """A row as it is coded, and the numbers of the frames from its onset to its offset."""

    subject: object
    clip: str
    onset: object
    apexes: tuple[object, object]
    offset: object
    action_units: object
    emotion: str
    frames: range


CLIPS = (
    Coded(1, "EP01_12", 73, (81, MISSING), 91, 4, "tense", range(73, 92)),
    Coded(1, "EP01_5", 113, (121, 125), 133, 12, "happiness", range(113, 134)),
    # the second apex where the first is missing, and neither
    Coded(1, "EP03_1", 97, (MISSING, 100), 103, "4+L10", " Disgust ", range(97, 104)),
    Coded(2, "EP01_5", 57, (MISSING, MISSING), 60, "?", "sad", range(57, 61)),
    # zeros: the offset is the apex, the apex midway
    Coded(2, "EP02_1", 20, (26, MISSING), 0, "R12 or R15", "surprise", range(20, 27)),
    Coded(2, "EP02_2", 30, (0, MISSING), 38, MISSING, "contempt", range(30, 39)),
    # numbers typed as text
    Coded("3", "EP04_1", "7", ("9.0", MISSING), " 12 ", "1+2", "repression", range(7, 13)),
    Coded(17, "EP05_9", 8, (9, MISSING), 11, 14, "Fear", range(8, 12)),
)

# 0-based row of the copy with 189 rows -> onset, apex and offset: as coded there (made up), right.
KNOWN = {
    40: ((1, 2, 3), (100, 120, 149)),
    42: ((1, 2, 3), (101, 110, 119)),
    43: ((157, 165, 3), (57, 65, 74)),
    54: ((30, 35, 140), (30, 35, 40)),
    140: ((130, 135, 42), (130, 135, 142)),
}


def numbered_rows(count, known=KNOWN, mended=False):
    """Returns the clips, then ordinary ones up to `count` rows, among them the known errors."""
    rows = list(CLIPS)
    for row in range(len(CLIPS), count):
        coded, right = known.get(row, ((10, 11, 12), (10, 11, 12)))
        onset, apex, offset = right if mended else coded
        frames = range(right[0], right[2] + 1)
        name = f"EP{row:02d}_1"
        rows.append(Coded(1 + row % 19, name, onset, (apex, MISSING), offset, 4, "tense", frames))
    return rows


def write_casme(
    root,
    *,
    rows=CLIPS,
    workbook="CASME-coded-20190721.xls",
    cropped=True,
    sections=False,
    header=HEADER,
    without=(),
    extra=(),
):
    """Writes the workbook and the frames.

    Args:
        root: an empty folder.
        rows: `Coded` rows.
        workbook: name of the file; its suffix says the format.
        cropped: whether frames are `reg_EP01_5-113.jpg`, from onset to offset alone; else there
            are three more at both ends.
        sections: whether the subjects lie in `Section A` and `Section B`.
        header: cells of the first row.
        without: (subject, clip) of which there are no frames.
        extra: rows of raw cells to append to the sheet.

    Returns:
        The workbook.
    """
    cells = []
    for row in rows:
        frames = (row.onset, *row.apexes, row.offset)
        cells.append((row.subject, row.clip, None, *frames, *[None] * 3, *row[5:7]))
    for row in rows:
        subject = int(row.subject)
        if (subject, row.clip) in without:
            continue
        section = f"Section {'A' if subject < 10 else 'B'}" if sections else ""
        folder = root / "frames" / section / f"sub{subject:02d}" / row.clip
        # The first part of the set does not pad its numbers.
        digits = 1 if subject == 1 else 3
        start = "reg_" if cropped else ""
        write_frames(
            folder,
            (f"{start}{row.clip}-{n:0{digits}}.jpg" for n in around(row.frames, cropped)),
        )
    return write_workbook(root / workbook, {"Sheet1": [header, *cells, *extra]})


def around(frames, cropped):
    """Returns the numbers that a raw tree holds: more than the coded ones."""
    return frames if cropped else range(max(1, frames.start - 3), frames.stop + 3)


def write_frames(folder, names):
    """Writes one small JPEG for all names, and the junk that file managers leave."""
    folder.mkdir(parents=True)
    picture = cv2.imencode(".jpg", np.full((6, 8), 128, np.uint8))[1].tobytes()
    names = list(names)
    for name in names:
        (folder / name).write_bytes(picture)
    for junk in ("Thumbs.db", "frames 1.lnk", f"._{names[0]}"):
        (folder / junk).write_bytes(b"junk")
