"""CASME (the first of the three): 60 frames a second, 19 subjects; see docs for how to get it.

The workbook has two columns of apexes, of which a row may fill either; its frames are
`sub01/EP01_5/EP01_5-113.jpg` or, cropped, `reg_EP01_5-113.jpg`, some padded with zeros.
"""

import re
from pathlib import Path

from originet.datasets.coded import KnownError, assemble
from originet.datasets.coded_sheet import code_rows, describe_coding
from originet.datasets.frame_tree import choose_tree, find_trees
from originet.datasets.survey import Survey
from originet.datasets.workbook import Coding, Sheet, choose_workbook, find_coding

WORKBOOKS = ("CASME-coded-20190721.xls", "casme.xlsx")

_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("OnsetF", "OnsetFrame"),
    "apex": ("ApexF1", "ApexFrame"),
    "apex2": ("ApexF2",),
    "offset": ("OffsetF", "OffsetFrame"),
    "action_units": ("AU", "Action Units"),
    "emotion": ("Emotion",),
}

# Mended by others who compared the copy of 189 rows with the folders of frames.
_KNOWN = (
    KnownError(40, onset=(100,), apex=(120,), offset=(149,)),
    KnownError(42, onset=(101,), apex=(110,), offset=(119,)),
    KnownError(43, onset=(57,), apex=(65,), offset=(74,)),
    KnownError(54, offset=(40,)),
    KnownError(140, offset=(142,)),
)


def survey_casme(
    root: Path, *, annotations: Path | None = None, frames: Path | None = None, task: str = "paper"
) -> Survey:
    """Surveys CASME as its users unpack it.

    Args:
        root: the folder that holds the workbook and the frames, at any depth.
        annotations: the workbook, if it is not to be searched for.
        frames: the folder to search for frames in place of the root.
        task: one of `originet.datasets.tasks.TASKS`.

    Raises:
        InputError: if there is no such folder, no workbook of CASME, or no frames.
    """
    path, coding, remarks = choose_workbook(
        "casme",
        root,
        annotations,
        WORKBOOKS,
        _recognise,
        looks_for=f"columns {', '.join(names[0] for names in _COLUMNS.values())}",
    )
    coded, unusable = code_rows(path, coding, subject_of)
    trees = find_trees(
        frames or root, subject_of, looks_for="<subject, as sub01>/<clip, as EP01_5>/<frames>"
    )
    tree, more = choose_tree(trees, [(clip.subject, clip.clip) for clip in coded])
    return assemble(
        "casme",
        task,
        coded,
        lambda clip: tree.find(clip.subject, clip.clip),
        fps=60.0,
        cropped=tree.cropped,
        annotations=path,
        frames=tree.root,
        known=_KNOWN,
        unusable=unusable,
        remarks=[describe_coding(path, coding), *remarks, *more],
    )


def subject_of(text: str) -> str | None:
    """Names the subject of a cell or folder: 1, 01 and sub01 are "sub01"; None if it is none."""
    number = re.fullmatch(r"(?:sub)?0*([1-9][0-9]?)", text.strip(), re.IGNORECASE)
    return f"sub{int(number[1]):02d}" if number else None


def _recognise(sheets: list[Sheet]) -> Coding | None:
    return find_coding(sheets, _COLUMNS, optional=("apex2",))
