"""Writes small trees in the shape of DFME, with pictures and codes of our own."""

from typing import NamedTuple

from trees_casme import around, write_frames
from workbooks import write_workbook

HEADER = (
    *("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame"),
    *("Emotion", "EmotionId", "Fps", "AU"),
)


class Coded(NamedTuple):
    """A row as it is coded."""

    subject: object
    clip: str
    onset: object
    apex: object
    offset: object
    emotion: str
    emotion_id: int
    fps: object
    action_units: object


CLIPS = (
    Coded("sub0003", "sub0003_01", 109, 115, 121, "happiness", 1, 500, "12"),
    Coded("sub0003", "sub0003_02", 9, 12, 14, "Disgust", 2, 200, "4+L10"),
    Coded("sub0017", "sub0017_01", "99998", "100000", "100002", "fear", 3, "300", 4),
    Coded("sub0671", "sub0671_11", 5, 9, 0, "surprise", 4, None, None),
)


def write_dfme(root, *, rows=CLIPS, workbook="train.xlsx", tree="DFME_train", without=()):
    """Writes the workbook, and the frames with three more at both ends.

    Args:
        root: a folder.
        rows: `Coded` rows.
        workbook: name of the file.
        tree: the folder of the clips' folders.
        without: clips of which there are no frames.

    Returns:
        The workbook.
    """
    for row in rows:
        if row.clip not in without:
            frames = range(int(row.onset), int(row.offset or row.apex) + 1)
            names = (f"{number:05d}.png" for number in around(frames, False))
            write_frames(root / tree / row.clip, names)
    return write_workbook(root / workbook, {"Sheet1": [HEADER, *rows]})
