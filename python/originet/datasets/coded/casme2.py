"""CASME II: 200 frames per second, 26 subjects; see docs/data.md.

Frames are named `sub01/EP02_01f/img46.jpg` or, if cropped, `reg_img46.jpg`; in one common layout
the subject's folder is a bare number.
"""

from functools import partial

from originet.datasets.coded.assemble import KnownError
from originet.datasets.coded.casme import subject_of
from originet.datasets.coded.sheet import SheetFormat, survey_sheet

survey_casme2 = partial(
    survey_sheet,
    SheetFormat(
        dataset="casme2",
        # Versions differ in a few emotions; most published results are based on the first.
        workbooks=(
            "CASME2-coding-20140508.xlsx",
            "CASME2-coding-20190701.xlsx",
            "CASME2-coding-updated.xlsx",
            "CASME2_label_Ver_2.xls",
        ),
        columns={
            "subject": ("Subject",),
            "clip": ("Filename",),
            "onset": ("OnsetFrame",),
            "apex": ("ApexFrame",),
            "offset": ("OffsetFrame",),
            "action_units": ("Action Units", "AU"),
            "emotion": ("Estimated Emotion", "Emotion"),
        },
        optional=(),
        subject_of=subject_of,
        layout="sub01/EP02_01f/img46.jpg or 1/EP02_01f/reg_img46.jpg",
        frame=r"(reg_)?img[0-9]+",
        fps=200.0,
        known=(KnownError(60, offset=(91,)),),
    ),
)
