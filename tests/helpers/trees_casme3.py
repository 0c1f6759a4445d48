"""Writes small trees in the shape of CAS(ME)^3's parts A and C, with our own pictures and codes."""

from typing import NamedTuple

from trees_casme import write_frames
from workbooks import write_workbook

WORKBOOK = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
HEADER_C = ("sub", "count", "onset", "offset", "au", "emotion")


class Coded(NamedTuple):
    """A row as it is coded; numbers are text, as in the set."""

    subject: str
    video: str
    onset: object
    apex: object
    offset: object
    action_units: object
    objective: object
    emotion: str
    name: str  # in the table


# The same emotion and range in two videos of a subject; a letter in capitals; an offset of 0; an
# apex that is the onset.
CLIPS = (
    Coded("spNO.1", "a", "355", "360", "366", "4+L10", 3, "disgust", "a_355_366"),
    Coded("spNO.1", "a", "400", "400", "405", "4", 3, "Others", "a_400_405"),
    Coded("spNO.1", "b", "355", "360", "366", "4+L10", 3, "disgust", "b_355_366"),
    Coded("spNO.2", "C", "9", "11", "0", 12, 1, "Happy", "c_9_11"),
    Coded("spNO.10", "a", 998, 1000, 1003, "?", 7, "others", "a_998_1003"),
)
PART_C = (
    Coded("spNO.1", "1", 5, None, 9, 4, None, "fear", "1_5_9"),
    Coded("spNO.1", "2", 5, None, 9, "1+2", None, "Surprise", "2_5_9"),
)


def write_casme3(root, *, rows=CLIPS, workbook=WORKBOOK, without=(), tree="part_A/part_A"):
    """Writes the workbook of part A and the frames: videos in color, beside which depth is.

    Args:
        root: a folder.
        rows: `Coded` rows.
        workbook: name of the file.
        without: (subject, video) of which there are no frames.
        tree: the folder of the subjects' folders.

    Returns:
        The workbook.
    """
    videos = {}
    for row in rows:
        low, high = int(row.onset), int(row.offset) or int(row.apex)
        videos.setdefault((row.subject, row.video.lower()), set()).update(range(low - 3, high + 4))
    for (subject, video), numbers in videos.items():
        if (subject, video) not in without:
            folder = root / tree / subject / video
            write_frames(folder / "color", (f"{number}.jpg" for number in sorted(numbers)))
            write_frames(folder / "depth", (f"{number}.png" for number in sorted(numbers)))
    return write_workbook(root / workbook, {"label": [HEADER, *(row[:8] for row in rows)]})


def write_part_c(root, *, rows=PART_C, workbook="part_C.xlsx", inner="color"):
    """Writes the workbook of part C and a folder of frames for each clip.

    Args:
        root: a folder.
        rows: `Coded` rows.
        workbook: name of the file.
        inner: the folder within a clip's that has the frames, "" for none.

    Returns:
        The workbook.
    """
    for row in rows:
        folder = root / "part_C" / row.subject / row.video / inner
        write_frames(folder, (f"{number}.jpg" for number in range(row.onset, row.offset + 1)))
    cells = [(row.subject, int(row.video), row.onset, row.offset, *row[5:8:2]) for row in rows]
    return write_workbook(root / workbook, {"Sheet1": [HEADER_C, *cells]})
