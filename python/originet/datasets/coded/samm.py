"""SAMM: one workbook, and a folder of grey frames per clip (960x650, 200 frames per second).

Copies of the workbook differ in the lines of text above the header, and in whether a subject is the
text 006 or the number 6. A frame such as `006/006_1_2/006_05562.jpg` is named after the subject and
its own number, not after the clip. Frames show more than the face, except in cropped copies such as
`SAMM_CROP`.
"""

import re
from functools import partial

from originet.datasets.coded.assemble import KnownError
from originet.datasets.coded.sheet import SheetFormat, survey_sheet


def _subject(name: str) -> str | None:
    """Pads a number to three digits, as folders have; spreadsheet programs drop the zeros."""
    return name.zfill(3) if re.fullmatch(r"[0-9]{1,3}", name) else None


survey_samm = partial(
    survey_sheet,
    SheetFormat(
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
        # One row's offset is mistyped. Published loaders replace it by 5793 or 5739; the frames on
        # disk decide. The larger comes first: where its frame exists, the smaller's exists too.
        known=(KnownError(56, offset=(5793, 5739)),),
    ),
)
