"""SAMM: one workbook, and a folder of grey frames for each clip (960x650, 200 a second).

Copies of the workbook differ in the lines of text above its header, and in whether a subject is the
text 006 or the number 6. Frames are at `006/006_1_2/006_05562.jpg`: the subject and the frame's
number, not the clip's name. They show more than the face, except in cropped copies such as
`SAMM_CROP`.
"""

import re
from pathlib import Path

from originet.datasets.coded.assemble import KnownError
from originet.datasets.coded.sheet import SheetFormat, survey_sheet
from originet.datasets.survey import Survey


def _subject(name: str) -> str | None:
    """Pads a number to the three digits of the folders, for spreadsheet programs drop zeros."""
    return name.zfill(3) if re.fullmatch(r"[0-9]{1,3}", name) else None


_FORMAT = SheetFormat(
    dataset="samm",
    workbooks=("SAMM_Micro_FACS_Codes_v2.xlsx",),
    columns={
        "subject": ("Subject",),
        "clip": ("Filename",),
        "onset": ("Onset Frame",),
        "apex": ("Apex Frame",),
        "offset": ("Offset Frame",),
        "action_units": ("Action Units",),
        "emotion": ("Estimated Emotion",),
        "notes": ("Notes",),
    },
    optional=("notes",),
    subject_of=_subject,
    layout="006/006_1_2/006_05562.jpg",
    frame=r"[0-9]{3}_[0-9]+",
    fps=200.0,
    # One row's offset is mistyped. Published loaders put 5793 in its place, or 5739: the frames
    # decide. The larger comes first, for where its frame is on disk, so is the smaller's.
    known=(KnownError(56, offset=(5793, 5739)),),
)


def survey_samm(
    root: Path,
    *,
    annotations: Path | None = None,
    sheet: str | None = None,
    frames: Path | None = None,
    task: str = "paper",
) -> Survey:
    """Surveys SAMM as its users unpack it; arguments and errors are those of `survey_sheet`."""
    return survey_sheet(_FORMAT, root, annotations, sheet, frames, task)
