"""Writes small copies of CAS(ME)^2 as users have it on disk: layout, oddities, own pictures."""

from typing import NamedTuple

import numpy as np
from clips import write_video
from trees_casme import write_frames
from workbooks import write_workbook

WORKBOOK = "CAS(ME)^2code_final.xlsx"
SHEETS = ("CASFEcode_final", "naming rule1", "naming rule2")

# Subject index in the workbook -> number in the names of folders and videos.
SUBJECTS = {1: 15, 2: 16, 3: 19, 7: 23}

# Eliciting video -> name of the raw video behind the subject's number.
VIDEOS = {
    "disgust1": "0101disgustingteeth",
    "disgust2": "0102eatingworms",
    "anger1": "0401girlcrashing",
    "anger2": "0402beatingpregnantwoman",
    "happy1": "0502funnyerrors",
    "happy2": "0503unnyfarting",
    "happy3": "0505funnyinnovations",
    "happy4": "0507climbingthewall",
    "happy5": "0508funnydunkey",
}


class Row(NamedTuple):
    """What the workbook says of one clip."""

    index: int
    clip: str
    onset: int | str
    apex: int | str
    offset: int | str
    action_units: str | int
    emotion: str
    kind: str = "macro-expression"
    reported: str = "happiness"


# Clip names repeat across subjects; one clip is a micro-expression that has no offset.
ROWS = (
    Row(1, "anger1_1", 8, 10, 12, "4+L10", "negative", reported="anger"),
    Row(1, "disgust1_2", 3, 4, 6, 4, "others", reported="disgust"),
    Row(2, "anger1_1", 5, 7, 0, "4", "Negative ", "micro-expression", "anger"),
    Row(2, "happy5_10", 9, 10, 11, "6+12", "positive"),
    Row(3, "happy1_1", 2, 3, 4, "12", "positive"),
    Row(7, "happy1_1", 7, 8, 9, "?", "surprise", "micro-expression", "surprise"),
)


def write_cas_me2(
    root,
    rows=ROWS,
    *,
    trees=("selectedpic",),
    workbook=WORKBOOK,
    sheets=SHEETS,
    order=(0, 1, 2),
    codes=str,
    missing=(),
):
    """Writes the workbook and the frames of its clips.

    Args:
        root: the folder to write into.
        rows: the clips.
        trees: of "selectedpic", "cropped", "rawpic" and "rawvideo", those to write.
        workbook: where the workbook is, below `root`.
        sheets: names of the sheets of clips, of subjects and of videos.
        order: which of them comes first, second, third.
        codes: what the cells of the videos' codes are: `str` for the text 0101, `int` for 101.
        missing: (number of the subject, clip) of those that `cropped` lacks.

    Returns:
        The root.
    """
    contents = (
        [tuple(row) for row in rows],
        [(number, f"s{number}", index) for index, number in SUBJECTS.items()],
        [(codes(name[:4]), video) for video, name in VIDEOS.items()],
    )
    write_workbook(root / workbook, {sheets[place]: contents[place] for place in order})
    for tree in trees:
        _WRITERS[tree](root / tree / tree if tree != "rawvideo" else root / tree, rows, missing)
    return root


def _write_selected(tree, rows, missing):
    for row in rows:
        _write_clip(tree / f"s{SUBJECTS[row.index]}" / row.clip, row)


def _write_cropped(tree, rows, missing):
    for row in rows:
        number = SUBJECTS[row.index]
        if (number, row.clip) not in missing:
            _write_clip(tree / str(number) / row.clip, row)


def _write_clip(folder, row):
    numbers = range(row.onset, (row.offset or row.apex) + 1)
    names = {number: f"img{number}.jpg" for number in numbers}
    names[row.apex] += ".jpg"  # as in img2977.jpg.jpg
    write_frames(folder, names.values())


def _write_raw_pictures(tree, rows, missing):
    for folder, length in _raw(tree, rows).items():
        write_frames(folder, (f"img{number:03d}.jpg" for number in range(1, length + 1)))


def _write_raw_videos(tree, rows, missing):
    for folder, length in _raw(tree, rows).items():
        # Enough grey between neighbours to tell them apart behind the encoder.
        frames = [np.full((16, 32), 10 * number, np.uint8) for number in range(1, length + 1)]
        write_video(folder.with_name(folder.name + ".avi"), frames, fps=30)


def _raw(tree, rows):
    """Returns raw video -> its number of frames; one of subject 23 lies among those of 19."""
    videos = {}
    for row in rows:
        number, video = SUBJECTS[row.index], row.clip.partition("_")[0]
        home = 19 if (number, video) == (23, "happy1") else number
        videos[tree / f"s{home}" / f"{number}_{VIDEOS[video]}"] = 14
    return videos


_WRITERS = {
    "selectedpic": _write_selected,
    "cropped": _write_cropped,
    "rawpic": _write_raw_pictures,
    "rawvideo": _write_raw_videos,
}
