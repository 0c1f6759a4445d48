"""SAMM: one workbook, and a folder of grey frames for each clip (960x650, 200 a second).

`SAMM_Micro_FACS_Codes_v2.xlsx` has one sheet. Copies differ in the lines of text above its header,
and in whether a subject is the text 006 or the number 6. Frames are at
`SAMM/006/006_1_2/006_05562.jpg`: the subject and the frame's number, not the clip's name. They show
more than the face, except in cropped copies such as `SAMM_CROP`.
"""

import re
from pathlib import Path

from originet.datasets.coded import KnownError, assemble
from originet.datasets.coded_sheet import code_rows, describe_coding
from originet.datasets.frame_tree import choose_tree, find_trees
from originet.datasets.survey import Survey
from originet.datasets.workbook import Coding, Sheet, choose_workbook, find_coding

WORKBOOKS = ("SAMM_Micro_FACS_Codes_v2.xlsx",)
_LAYOUT = "006/006_1_2/006_05562.jpg"
_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("Onset Frame",),
    "apex": ("Apex Frame",),
    "offset": ("Offset Frame",),
    "action_units": ("Action Units",),
    "emotion": ("Estimated Emotion",),
    "notes": ("Notes",),
}

# One row's offset is mistyped. Published loaders put 5793 in its place, or 5739: the frames decide.
# The larger comes first, for where its frame is on disk, so is the smaller's.
_KNOWN = (KnownError(row=56, offset=(5793, 5739)),)


def survey_samm(
    root: Path,
    *,
    annotations: Path | None = None,
    frames: Path | None = None,
    task: str = "paper",
) -> Survey:
    """Surveys SAMM.

    Args:
        root: what was unpacked; the workbook and the frames are searched below it.
        annotations: the workbook, in place of the search.
        frames: a folder to search for frames in place of `root`.
        task: one of `originet.datasets.tasks.TASKS`.

    Raises:
        InputError: if there is no workbook of SAMM, no tree of frames, or no such task.
    """
    path, coding, remarks = choose_workbook(
        "samm",
        root,
        annotations,
        WORKBOOKS,
        _recognise,
        looks_for="columns Subject, Filename, Onset Frame, Apex Frame, Offset Frame, Action Units, "
        "Estimated Emotion, below any text",
    )
    coded, unusable = code_rows(path, coding, _subject)
    trees = find_trees(frames or root, _subject, looks_for=_LAYOUT)
    tree, others = choose_tree(trees, [(clip.subject, clip.clip) for clip in coded])
    return assemble(
        "samm",
        task,
        coded,
        lambda clip: tree.find(clip.subject, clip.clip),
        fps=200.0,
        cropped=tree.cropped,
        annotations=path,
        frames=tree.root,
        known=_KNOWN,
        unusable=unusable,
        remarks=[describe_coding(path, coding), *remarks, *others],
    )


def _recognise(sheets: list[Sheet]) -> Coding | None:
    return find_coding(sheets, _COLUMNS, optional=("notes",))


def _subject(name: str) -> str | None:
    """Pads a number to the three digits of the folders, for spreadsheet programs drop zeros."""
    return name.zfill(3) if re.fullmatch(r"[0-9]{1,3}", name) else None
