"""DFME: three parts, each with a workbook and a folder of clips; see docs/data.md.

Clips lie side by side, as `DFME_train/sub0003_01/00109.png`. The workbook has a frame rate for
each: 200, 300 or 500 per second.
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

_CLIP = re.compile(r"sub([0-9]{1,6})_[0-9]+", re.IGNORECASE)


def _subject(text: str) -> str | None:
    """Returns the subject of a cell: "sub0003" for sub0003, 0003 and 3."""
    number = re.fullmatch(r"(?:sub)?0*([1-9][0-9]{0,5})", text.strip(), re.IGNORECASE)
    return f"sub{int(number[1]):04d}" if number else None


def _place(folder: Path) -> Place | None:
    name = _CLIP.fullmatch(folder.name.strip())
    subject = _subject(name[1]) if name else None
    return Place(subject, folder.name, folder.parent) if subject else None


def _adapt(clip: CodedClip, cells: Mapping[str, str]) -> CodedClip:
    """Checks that a clip's name is that of its subject, and reads its frame rate."""
    name = _CLIP.fullmatch(clip.clip)
    if name is None:
        raise InputError(f"{quoted(clip.clip)} is not a clip such as sub0003_01")
    if _subject(name[1]) != clip.subject:
        raise InputError(f"clip {clip.clip} is not one of subject {clip.subject}, by its name")
    rate = cells["fps"]
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", rate) and float(rate) > 0:
        return clip._replace(fps=float(rate))
    if rate in ("", "/", "-"):
        return clip._replace(fps=math.nan)
    raise InputError(f"{quoted(rate)} is not a number of frames per second")


survey_dfme = partial(
    survey_sheet,
    SheetFormat(
        dataset="dfme",
        workbooks=(),  # our sources do not state its name
        columns={
            "subject": ("Subject",),
            "clip": ("Filename",),
            "onset": ("OnsetFrame",),
            "apex": ("ApexFrame",),
            "offset": ("OffsetFrame",),
            "action_units": ("AU",),
            "emotion": ("Emotion",),
            "fps": ("Fps",),
        },
        optional=(),
        subject_of=_subject,
        layout="DFME_train/sub0003_01/00109.png",
        frame=r"[0-9]+\.",
        fps=math.nan,  # `_adapt` has that of each clip
        place_of=_place,
        adapt=_adapt,
        published="1,856, 474 and 299 rows in its three parts",
    ),
)
