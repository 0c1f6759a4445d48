"""CASME II: 200 frames a second, 26 subjects; see docs for how to get it.

Frames are `sub01/EP02_01f/img46.jpg` or, cropped, `reg_img46.jpg`; in one layout in use the
subject's folder is a bare number.
"""

from pathlib import Path

from originet.datasets.casme import subject_of
from originet.datasets.coded import KnownError, assemble
from originet.datasets.coded_sheet import code_rows, describe_coding
from originet.datasets.frame_tree import choose_tree, find_trees
from originet.datasets.survey import Survey
from originet.datasets.workbook import Coding, Sheet, choose_workbook, find_coding

# The versions differ in a few emotions; the first is what most published results stand on.
WORKBOOKS = (
    "CASME2-coding-20140508.xlsx",
    "CASME2-coding-20190701.xlsx",
    "CASME2-coding-updated.xlsx",
    "CASME2_label_Ver_2.xls",
)

_COLUMNS = {
    "subject": ("Subject",),
    "clip": ("Filename",),
    "onset": ("OnsetFrame",),
    "apex": ("ApexFrame",),
    "offset": ("OffsetFrame",),
    "action_units": ("Action Units", "AU"),
    "emotion": ("Estimated Emotion", "Emotion"),
}

_KNOWN = (KnownError(60, offset=(91,)),)


def survey_casme2(
    root: Path, *, annotations: Path | None = None, frames: Path | None = None, task: str = "paper"
) -> Survey:
    """Surveys CASME II as its users unpack it.

    Args:
        root: the folder that holds the workbook and the frames, at any depth.
        annotations: the workbook, if it is not to be searched for.
        frames: the folder to search for frames in place of the root.
        task: one of `originet.datasets.tasks.TASKS`.

    Raises:
        InputError: if there is no such folder, no workbook of CASME II, or no frames.
    """
    path, coding, remarks = choose_workbook(
        "casme2",
        root,
        annotations,
        WORKBOOKS,
        _recognise,
        looks_for=f"columns {', '.join(names[0] for names in _COLUMNS.values())}",
    )
    coded, unusable = code_rows(path, coding, subject_of)
    trees = find_trees(
        frames or root,
        subject_of,
        looks_for="<subject, as sub01 or 1>/<clip, as EP02_01f>/<frames>",
    )
    tree, more = choose_tree(trees, [(clip.subject, clip.clip) for clip in coded])
    return assemble(
        "casme2",
        task,
        coded,
        lambda clip: tree.find(clip.subject, clip.clip),
        fps=200.0,
        cropped=tree.cropped,
        annotations=path,
        frames=tree.root,
        known=_KNOWN,
        unusable=unusable,
        remarks=[describe_coding(path, coding), *remarks, *more],
    )


def _recognise(sheets: list[Sheet]) -> Coding | None:
    return find_coding(sheets, _COLUMNS)
