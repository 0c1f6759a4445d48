"""SMIC: clips by subject and emotion, or whole recordings; see docs/data.md.

There are three layouts, of which the first two hold only the clips:

- `SMIC_all_cropped/HS/s3/micro/negative/s3_ne_01/reg_image009876.bmp`: faces; frames are missing
  inside some clips, and one clip is missing altogether;
- `SMIC_all_raw/HS/s3/micro/negative/s3_ne_01/image009876.bmp`;
- `SMIC_HS_E/s03/s3_ne_01/image559740.jpg`: more frames at both ends, which needs the workbook.

VIS and NIR, the other two cameras, have the same names as HS, the high-speed one. A tree of HS
comes before theirs. Lists write s03_ne_03 where folders have s3_ne_03; the table has the former.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from originet.datasets.bounds import quoted
from originet.datasets.coded.assemble import CodedClip, assemble
from originet.datasets.coded.books import NoBook
from originet.datasets.coded.frame_tree import ClipTree, FrameTree, Place, choose_tree
from originet.datasets.coded.sheet import SheetFormat, choose_sheet
from originet.datasets.coded.workbook import frame_cell
from originet.datasets.survey import Omission, Survey
from originet.datasets.table import normalize_label
from originet.system.errors import InputError

_EMOTIONS = ("negative", "positive", "surprise")
_CLIP = re.compile(r"s0*([0-9]{1,3})_([a-z]+)_0*([0-9]{1,3})", re.IGNORECASE)
_SUBJECT = re.compile(r"s?0*([1-9][0-9]{0,2})", re.IGNORECASE)
_CAMERA = re.compile(r"(?<![a-z])(HS|VIS|NIR)(?![a-z])", re.IGNORECASE)
_HS_FPS = 100.0


def _subject(text: str) -> str | None:
    number = _SUBJECT.fullmatch(text.strip())
    return f"s{int(number[1]):02d}" if number else None


def _clip(text: str) -> str | None:
    """Returns the name that lists have, s03_ne_03 for s3_ne_03; None if it is not a clip's."""
    name = _CLIP.fullmatch(text.strip())
    return f"s{int(name[1]):02d}_{name[2].lower()}_{int(name[3]):02d}" if name else None


def _place(folder: Path) -> Place | None:
    clip = _clip(folder.name)
    if clip is None:
        return None
    between: list[str] = []
    for parent in folder.parents:
        subject = _subject(parent.name)
        if subject is not None:
            return Place(subject, clip, parent.parent, cut=bool(between))
        between.append(normalize_label(parent.name))
        if between[-1] not in (*_EMOTIONS, "micro"):
            return None
    return None


def _adapt(clip: CodedClip, cells: Mapping[str, str]) -> CodedClip:
    """Names a clip as lists do, and notes its further movements."""
    name = _clip(clip.clip)
    if name is None:
        raise InputError(f"{quoted(clip.clip)} is not a clip such as s3_ne_01")
    spans = [(cells.get(f"onset{n}", ""), cells.get(f"offset{n}", "")) for n in (2, 3)]
    more = [
        f"{onset} to {offset}"
        for onset, offset in spans
        if frame_cell(onset, "onset of a further movement") is not None
    ]
    notes = f"further movements: {', '.join(more)}" if more else ""
    return clip._replace(clip=name, notes=notes)


def _camera(tree: FrameTree) -> str:
    """Returns the camera that the tree's folder or its parent names; HS if they name none."""
    home = tree.root.resolve()
    found = _CAMERA.search(home.name) or _CAMERA.search(home.parent.name)
    return found[1].upper() if found else "HS"


_FORMAT = SheetFormat(
    dataset="smic",
    workbooks=("SMIC-HS-E_annotation_2019.xlsx", "SMIC-HS-E_annotation.xlsx"),
    columns={
        "subject": ("Subject",),
        "clip": ("Filename",),
        "onset": ("OnsetF",),
        "apex": ("ApexF",),
        "offset": ("OffsetF",),
        "onset2": ("Onset2F",),
        "offset2": ("Offset2F",),
        "onset3": ("Onset3F",),
        "offset3": ("Offset3F",),
        "emotion": ("Emotion",),
    },
    optional=("apex", "onset2", "offset2", "onset3", "offset3"),
    subject_of=_subject,
    layout="s3/micro/negative/s3_ne_01/image009876.bmp or s03/s3_ne_01/image559740.jpg",
    frame=r"(reg_)?image[0-9]+",
    fps=_HS_FPS,
    place_of=_place,
    adapt=_adapt,
    prefer=lambda tree: _camera(tree) == "HS",
    published="164 clips, 16 subjects",
)


def survey_smic(
    root: Path,
    *,
    annotations: Path | None = None,
    sheet: str | None = None,
    frames: Path | None = None,
    task: str = "original",
) -> Survey:
    """Surveys SMIC as its users unpack it; arguments are those of `survey_sheet`.

    Without a workbook, and for VIS and NIR, which have none, subjects, clips and emotions are those
    of the folders' names. Other layouts than those of whole recordings then remain.

    Raises:
        InputError: as `survey_sheet`, but a workbook may be missing where folders contain only the
            clips.
    """
    try:
        choice = choose_sheet(_FORMAT, root, annotations, sheet, frames)
    except NoBook as error:
        if annotations is not None:
            raise
        return _survey_folders(frames or root, task, str(error))
    book, tree = choice.book, choice.tree
    camera = _camera(tree)
    if camera != "HS" and annotations is None:
        reason = f"the clips are those of {camera}, and {book.path} codes those of HS"
        return _survey_folders(frames or root, task, reason)
    return _assemble(
        task,
        tree,
        book.coded,
        book.path,
        choice.remarks,
        unusable=book.unusable,
        copies=choice.copies,
    )


def _survey_folders(root: Path, task: str, reason: str) -> Survey:
    """Surveys the clips by the names of their folders; the reason is why no workbook is read."""
    try:
        trees = [tree for tree in _FORMAT.trees(root) if isinstance(tree, ClipTree)]
    except InputError as error:
        raise NoBook(f"{reason}; {error}") from error
    cut = [tree for tree in trees if tree.cut]
    if not cut:
        raise NoBook(
            f"{reason}; without a workbook, folders must contain only the clips, as in "
            f"s3/micro/negative/s3_ne_01, unlike those in {trees[0].root}"
        )
    known = sorted({key for tree in cut for key in tree.clips})
    tree, remarks = choose_tree(cut, known, _FORMAT.prefer)
    same = [other for other in trees if _camera(other) == _camera(tree)]
    coded, unusable = [], []
    for subject, clip in sorted({key for other in same for key in other.clips}):
        paths = [path for other in (tree, *same) for path in other.paths(subject, clip)]
        emotions = {*map(_emotion, paths)}
        if len(emotions) == 1 and "" not in emotions:
            row = CodedClip(str(paths[0]), 0, subject, clip, None, None, None, "", emotions.pop())
            coded.append(row)
        else:
            why = f"folders and name do not agree on an emotion among {', '.join(_EMOTIONS)}"
            unusable.append(Omission(str(paths[0]), subject, clip, "", why))
    remarks = [
        f"emotions are those of the folders' names, and clips are whole: {reason}",
        *remarks,
        *(
            f"frames not used: {other.root} (not cut to the clips, which needs the workbook)"
            for other in trees
            if not other.cut
        ),
    ]
    return _assemble(task, tree, coded, None, remarks, unusable=unusable)


def _emotion(folder: Path) -> str:
    """Returns the emotion by which a clip is filed and named; "" if there is none or two."""
    code = folder.name.split("_")[1].lower()
    named = [emotion for emotion in _EMOTIONS if emotion.startswith(code)]
    filed = normalize_label(folder.parent.name)
    if len(named) != 1 or (filed in _EMOTIONS and filed != named[0]):
        return ""
    return named[0]


def _assemble(
    task: str,
    tree: FrameTree,
    coded: Sequence[CodedClip],
    annotations: Path | None,
    remarks: Sequence[str],
    *,
    unusable: Sequence[Omission],
    copies: Sequence[CodedClip] = (),
) -> Survey:
    camera = _camera(tree)
    if camera != "HS":
        if task == "megc2019":
            raise InputError(f"task {task} is on the clips of HS, but {tree.root} has {camera}'s")
        remarks = [*remarks, f"the clips are those of {camera}; MEGC 2019 counted those of HS"]
        coded = [
            clip._replace(notes="; ".join(filter(None, (camera, clip.notes)))) for clip in coded
        ]
    return assemble(
        "smic",
        task,
        coded,
        lambda clip: tree.find(*clip.on_disk),
        fps=_HS_FPS if camera == "HS" else math.nan,
        cropped=tree.cropped,
        annotations=annotations,
        frames=tree.root,
        cut=tree.cut,
        midway=True,
        copies=copies,
        unusable=unusable,
        remarks=remarks,
    )
