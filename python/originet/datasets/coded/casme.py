"""CASME (the first of the three): 60 frames per second, 19 subjects; see docs/data.md.

The workbook has two columns for the apex; a row may fill either. Frames are named
`sub01/EP01_5/EP01_5-113.jpg` or, if cropped, `reg_EP01_5-113.jpg`; some numbers are zero-padded.
"""

import re
from functools import partial

from originet.datasets.coded.assemble import KnownError
from originet.datasets.coded.sheet import SheetFormat, survey_sheet


def subject_of(text: str) -> str | None:
    """Returns the subject of a cell or folder: "sub01" for 1, 01 and sub01; None for others."""
    number = re.fullmatch(r"(?:sub)?0*([1-9][0-9]?)", text.strip(), re.IGNORECASE)
    return f"sub{int(number[1]):02d}" if number else None


survey_casme = partial(
    survey_sheet,
    SheetFormat(
        dataset="casme",
        workbooks=("CASME-coded-20190721.xls", "casme.xlsx"),
        columns={
            "subject": ("Subject",),
            "clip": ("Filename",),
            "onset": ("OnsetF", "OnsetFrame"),
            "apex": ("ApexF1", "ApexFrame"),
            "apex2": ("ApexF2",),
            "offset": ("OffsetF", "OffsetFrame"),
            "action_units": ("AU", "Action Units"),
            "emotion": ("Emotion",),
        },
        optional=("apex2",),
        subject_of=subject_of,
        layout="sub01/EP01_5/EP01_5-113.jpg",
        frame=r"(reg_)?EP.*-[0-9]+",
        fps=60.0,
        # Corrections published by others, who compared the copy of 189 rows with the frames.
        known=(
            KnownError(40, onset=(100,), apex=(120,), offset=(149,)),
            KnownError(42, onset=(101,), apex=(110,), offset=(119,)),
            KnownError(43, onset=(57,), apex=(65,), offset=(74,)),
            KnownError(54, offset=(40,)),
            KnownError(140, offset=(142,)),
        ),
    ),
)
