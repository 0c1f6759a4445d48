"""4DME: its grey videos, of which a clip may show several emotions; see docs/data.md.

Frames are in `gray_micro/<sub_ID>/<fold_name>/`, which the workbook has as columns. The form of
these names is not known here: any are taken, and numbers are compared without leading zeros.
"""

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from originet.datasets.coded.assemble import CodedClip
from originet.datasets.coded.frame_tree import Place
from originet.datasets.coded.sheet import SheetFormat, survey_sheet
from originet.datasets.table import normalize_label

_HOME = "gray_micro"
_BETWEEN = re.compile(r"[,;/+&|]|\band\b", re.IGNORECASE)


def _name(text: str) -> str:
    """Returns a name in lower case; a number without its leading zeros."""
    return re.sub(r"^0+(?=[0-9]+$)", "", text.strip()).lower()


def _place(folder: Path) -> Place | None:
    if folder.absolute().parent.parent.name.lower() != _HOME:
        return None
    return Place(_name(folder.parent.name), _name(folder.name), folder.parent.parent)


def _adapt(clip: CodedClip, cells: Mapping[str, str]) -> CodedClip:
    """Joins several emotions by +, in alphabetical order."""
    emotions = {normalize_label(part) for part in _BETWEEN.split(clip.emotion)} - {""}
    return clip._replace(clip=_name(clip.clip), emotion="+".join(sorted(emotions)))


survey_fourdme = partial(
    survey_sheet,
    SheetFormat(
        dataset="fourdme",
        workbooks=("4DME_Labelling_Micro_release v1.xlsx",),
        columns={
            "subject": ("sub_ID",),
            "clip": ("fold_name",),
            "onset": ("Onset",),
            "apex": ("Apex",),
            "offset": ("Offset",),
            "action_units": ("AUs", "AU"),
            "emotion": ("Emotion",),
        },
        optional=(),
        subject_of=lambda text: _name(text) or None,
        layout=f"{_HOME}/<sub_ID>/<fold_name>/<frames>",
        frame="",
        fps=math.nan,
        place_of=_place,
        adapt=_adapt,
    ),
)
