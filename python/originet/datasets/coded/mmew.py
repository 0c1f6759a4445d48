"""MMEW: its workbook has CASME II's headings and remarks; see docs/data.md.

Clips are filed by emotion, `Micro_Expression/happiness/S01-01-001/15.jpg`; the subject is in the
clip's name alone.
"""

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from originet.datasets.bounds import quoted
from originet.datasets.coded.assemble import CodedClip
from originet.datasets.coded.frame_tree import Place
from originet.datasets.coded.sheet import SheetFormat, survey_sheet
from originet.system.errors import InputError

_CLIP = re.compile(r"S([0-9]{1,3})-[0-9]+-[0-9]+", re.IGNORECASE)


def _subject(text: str) -> str | None:
    """Returns the subject of a cell: "S01" for S01, 01 and 1."""
    number = re.fullmatch(r"S?0*([1-9][0-9]{0,2})", text.strip(), re.IGNORECASE)
    return f"S{int(number[1]):02d}" if number else None


def _place(folder: Path) -> Place | None:
    name = _CLIP.fullmatch(folder.name.strip())
    subject = _subject(name[1]) if name else None
    return Place(subject, folder.name, folder.parent.parent) if subject else None


def _adapt(clip: CodedClip, cells: Mapping[str, str]) -> CodedClip:
    """Checks that a clip's name is that of its subject."""
    name = _CLIP.fullmatch(clip.clip)
    if name is None:
        raise InputError(f"{quoted(clip.clip)} is not a clip such as S01-01-001")
    if _subject(name[1]) != clip.subject:
        raise InputError(f"clip {clip.clip} is not one of subject {clip.subject}, by its name")
    return clip


survey_mmew = partial(
    survey_sheet,
    SheetFormat(
        dataset="mmew",
        workbooks=("MMEW_Micro_Exp.xlsx",),
        columns={
            "subject": ("Subject",),
            "clip": ("Filename",),
            "onset": ("OnsetFrame",),
            "apex": ("ApexFrame",),
            "offset": ("OffsetFrame",),
            "action_units": ("Action Units", "AU"),
            "emotion": ("Estimated Emotion", "Emotion"),
            "notes": ("remarks",),
        },
        optional=("notes",),
        subject_of=_subject,
        layout="Micro_Expression/happiness/S01-01-001/15.jpg",
        frame=r"[0-9]+\.",
        fps=math.nan,
        place_of=_place,
        adapt=_adapt,
        published="300 clips, 30 subjects, 7 emotions",
    ),
)
