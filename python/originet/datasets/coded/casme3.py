"""CAS(ME)^3, parts A and C; see docs/data.md.

Part A has `part_A/spNO.1/a/color/355.jpg`, 30 frames per second: a letter stands for one of a
subject's videos, and a video has several clips. A clip is therefore named after its video and its
range: a_355_366. Part C counts the clips of a subject instead, and has no apex.
"""

import math
import re
from collections.abc import Mapping
from functools import partial

from originet.datasets.bounds import quoted
from originet.datasets.coded.assemble import CodedClip
from originet.datasets.coded.sheet import SheetFormat, survey_sheet
from originet.system.errors import InputError


def _subject(text: str) -> str | None:
    """Returns the subject of a cell or folder: "spNO.1" for spNO.1, spno.01 and 1."""
    number = re.fullmatch(r"(?:spNO\.)?0*([1-9][0-9]{0,3})", text.strip(), re.IGNORECASE)
    return f"spNO.{number[1]}" if number else None


def _adapt(clip: CodedClip, cells: Mapping[str, str]) -> CodedClip:
    """Names a clip after its video, or its number in part C, and its range."""
    video = clip.clip.lower()
    if not re.fullmatch(r"[a-z]|[0-9]+", video):
        raise InputError(f"{quoted(clip.clip)} is neither a video's letter nor a clip's number")
    ends = (clip.onset, clip.offset or clip.apex)
    objective = cells.get("objective", "")
    return clip._replace(
        clip="_".join([video, *(str(end) for end in ends if end is not None)]),
        folder=video,
        notes=f"objective class {objective}" if objective else "",
        fps=30.0 if video.isalpha() else math.nan,
    )


survey_casme3 = partial(
    survey_sheet,
    SheetFormat(
        dataset="casme3",
        workbooks=("cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",),
        columns={
            "subject": ("Subject", "sub"),
            "clip": ("Filename", "count"),
            "onset": ("Onset",),
            "apex": ("Apex",),
            "offset": ("Offset",),
            "action_units": ("AU",),
            "emotion": ("emotion",),
            "objective": ("Objective class",),
        },
        optional=("apex", "objective"),
        subject_of=_subject,
        layout="spNO.1/a/color/355.jpg",
        frame=r"[0-9]+\.",
        fps=math.nan,  # `_adapt` has that of part A
        adapt=_adapt,
        published="part A: 860 rows, 94 subjects",
    ),
)
