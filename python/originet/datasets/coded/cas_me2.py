"""CAS(ME)^2: three sheets without a header; clips, or whole recordings, at 30 frames per second.

`CAS(ME)^2code_final.xlsx` has three sheets: the clips, the subjects (the folder for each index on
the first sheet) and the eliciting videos (the code for each name). Frames come in four trees:

- `cropped/15/anger1_1/img557.jpg`: faces; some clips are missing;
- `selectedpic/s15/anger1_1/img557.jpg`: 640x480, like all trees but the first;
- `rawpic/s15/15_0401girlcrashing/img001.jpg` and `rawvideo/s15/15_0401girlcrashing.avi`: the whole
  recording made while a video was shown; a clip is a range of its frames.

A clip is named after the video that elicited it. The paper's class is the video's, not the
annotated emotion.
"""

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from originet.clips.frames import is_junk
from originet.clips.video import VIDEO_SUFFIXES
from originet.datasets.bounds import quoted
from originet.datasets.coded.assemble import CodedClip, assemble
from originet.datasets.coded.books import Book, choose_book
from originet.datasets.coded.frame_tree import FrameTree, choose_tree, find_trees
from originet.datasets.coded.workbook import Sheet, frame_cell, unread
from originet.datasets.survey import Correction, Omission, Survey
from originet.datasets.table import normalize_label
from originet.system.errors import InputError
from originet.system.words import counted

_PUBLISHED = "300 macro-expression, 57 micro-expression"
WORKBOOKS = (
    "CAS(ME)^2code_final.xlsx",
    "CAS(ME)^2code_final(Updated).xlsx",
    "code_final.xlsx",
)
_LAYOUT = "s15/anger1_1/img557.jpg or s15/15_0401girlcrashing(.avi)"
_COLUMNS = ("index", "clip", "onset", "apex", "offset", "action_units", "emotion", "kind", "felt")

# The first cells of a row on each sheet. The sheets have no header, and their names and order
# differ between copies.
_CLIP_ROW = (r"[0-9]+", r"(?i:anger|disgust|happy)[0-9]+_[0-9]+")
_SUBJECT_ROW = (r"[0-9]+", r"(?i:s)[0-9]+", r"[0-9]+")
_VIDEO_ROW = (r"[0-9]{3,4}", r"(?i:[a-z]+)[0-9]+")

_CLIP_NAME = re.compile(r"(([a-z]+)[0-9]+)_[0-9]+", re.IGNORECASE)
_RECORDING = re.compile(r"([0-9]{2})_([0-9]{4}).*")


@dataclass(kw_only=True)
class _RecordingTree(FrameTree):
    """Whole recordings, in which a clip is a range of frames.

    Attributes:
        codes: video -> its code, such as disgust1 -> 0101.
        recordings: (subject, code) -> a folder of frames or a video file.
    """

    codes: dict[str, str]
    recordings: dict[tuple[str, str], Path]

    def paths(self, subject: str, clip: str) -> list[Path]:
        """Returns the recording that contains a clip, if there is one."""
        name = _CLIP_NAME.fullmatch(clip)
        code = self.codes.get(name[1].lower(), "") if name else ""
        path = self.recordings.get((subject, code))
        return [] if path is None else [path]


def survey_cas_me2(
    root: Path,
    *,
    annotations: Path | None = None,
    sheet: str | None = None,
    frames: Path | None = None,
    task: str = "paper",
    micro_only: bool = False,
) -> Survey:
    """Surveys CAS(ME)^2.

    Trees are not mixed, because their frames are cropped differently: a clip that is missing from
    the chosen tree cannot be used.

    Args:
        root: the unpacked data set; the workbook and the frames are searched below it.
        annotations: the workbook; None searches for it.
        sheet: the sheet of clips to read, if a workbook has several.
        frames: the folder to search for frames instead of `root`.
        task: one of `originet.datasets.tasks.TASKS`.
        micro_only: leaves out macro-expressions, which are most of the clips.

    Raises:
        InputError: if there is no workbook of CAS(ME)^2, it misses a sheet, it has several sheets
            of clips and none is named, there are no frames, or there is no such task.
    """
    choice = choose_book(
        "cas_me2",
        root,
        annotations,
        sheet,
        WORKBOOKS,
        partial(_read_books, micro_only),
        lambda book: _choose_frames(frames or root, book),
        looks_for="rows such as 1 | anger1_1 | 557 | 565 | 570",
    )
    book, tree = choice.book, choice.tree
    found = assemble(
        "cas_me2",
        task,
        book.coded,
        lambda clip: tree.find(clip.subject, clip.clip),
        fps=30.0,
        cropped=tree.cropped,
        annotations=book.path,
        frames=tree.root,
        copies=choice.copies,
        corrections=_misfiled(tree, book.coded),
        unusable=book.unusable,
        remarks=choice.remarks,
    )
    return dataclasses.replace(found, left_out=(*found.left_out, *book.left_out))


def _read_books(micro_only: bool, path: Path, sheets: list[Sheet]) -> list[Book]:
    """Reads the three sheets, which are recognized by their content."""

    def all_with(cells: Sequence[str]) -> list[Sheet]:
        return [sheet for sheet in sheets if _rows_like(sheet, cells)]

    of_clips, of_subjects, of_videos = map(all_with, (_CLIP_ROW, _SUBJECT_ROW, _VIDEO_ROW))
    if not of_clips:
        return []
    subjects = _read_subjects(path, *of_subjects[:1])
    codes = _read_codes(path, *of_videos[:1])
    read = [sheet.name for sheet in (*of_clips, *of_subjects[:1], *of_videos[:1])]
    books = []
    for sheet in of_clips:
        coded, unusable, left_out, remark = _read_clips(path, sheet, subjects, micro_only)
        remark += unread(sheets, read)
        books.append(Book(path, sheet.name, coded, unusable, remark, codes, left_out))
    return books


def _rows_like(sheet: Sheet, cells: Sequence[str]) -> list[list[str]]:
    """Returns the rows whose first cells match the given patterns."""
    return [
        row
        for row in sheet.rows
        if len(row) >= len(cells) and all(map(re.fullmatch, cells, row[: len(cells)]))
    ]


def _read_subjects(path: Path, sheet: Sheet | None = None) -> dict[str, str]:
    """Reads rows such as `15 | s15 | 1` into index -> subject."""
    if sheet is None:
        raise InputError(f"{path} has no sheet of subjects (naming rule1: 15 | s15 | 1)")
    rows = _rows_like(sheet, _SUBJECT_ROW)
    return {index: name.lower() for _, name, index, *_ in rows}


def _read_codes(path: Path, sheet: Sheet | None = None) -> dict[str, str]:
    """Reads rows such as `0101 | disgust1` into video -> code."""
    if sheet is None:
        raise InputError(f"{path} has no sheet of videos (naming rule2: 0101 | disgust1)")
    rows = _rows_like(sheet, _VIDEO_ROW)
    # A code stored as a number has lost the leading zero that recordings have in their names.
    return {video.lower(): code.zfill(4) for code, video, *_ in rows}


def _read_clips(
    path: Path, sheet: Sheet, subjects: dict[str, str], micro_only: bool
) -> tuple[list[CodedClip], list[Omission], list[Omission], str]:
    """Reads the rows of clips; returns the coded, unusable and omitted ones, and a remark."""
    coded, unusable, left_out = [], [], []
    kinds: Counter[str] = Counter()
    for index, row in enumerate(sheet.rows):
        if not any(row):
            continue
        where = f"{path.name}, sheet {sheet.name}, row {index + 1}"
        cells = dict.fromkeys(_COLUMNS, "") | dict(zip(_COLUMNS, row, strict=False))
        subject = subjects.get(cells["index"], cells["index"])
        emotion = normalize_label(cells["emotion"])
        kind = cells["kind"].lower() or "of unknown kind"
        if micro_only and not kind.startswith("micro"):
            kinds[kind] += 1
            reason = f"{kind}, but only micro-expressions were requested"
            left_out.append(Omission(where, subject, cells["clip"], emotion, reason))
            continue
        try:
            if cells["index"] not in subjects:
                raise InputError(
                    f"column A: {quoted(cells['index'])} is not the index of a subject"
                )
            name = _CLIP_NAME.fullmatch(cells["clip"])
            if name is None:
                raise InputError(
                    f"column B: {quoted(cells['clip'])} is not a clip such as anger1_1"
                )
            onset, apex, offset = (
                frame_cell(cells[field], f"column {column} ({field})")
                for column, field in (("C", "onset"), ("D", "apex"), ("E", "offset"))
            )
        except InputError as error:
            unusable.append(Omission(where, subject, cells["clip"], emotion, str(error)))
            continue
        kinds[kind] += 1
        coded.append(
            CodedClip(
                where=where,
                row=index,
                subject=subject,
                clip=cells["clip"],
                onset=onset,
                apex=apex,
                offset=offset,
                action_units=cells["action_units"],
                emotion=emotion,
                label=normalize_label(name[2]),
                notes=_notes(cells),
            )
        )
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    rows = len(coded) + len(unusable) + len(left_out)
    remark = f"sheet {sheet.name}: {counted(rows, 'row')} ({counts}; published: {_PUBLISHED})"
    return coded, unusable, left_out, remark


def _notes(cells: dict[str, str]) -> str:
    felt = cells["felt"] and f"self-reported {normalize_label(cells['felt'])}"
    return "; ".join(filter(None, (cells["kind"].lower(), felt)))


def _choose_frames(root: Path, book: Book) -> tuple[FrameTree, list[str]]:
    """Chooses among the trees of clips, or among the recordings if no tree has any clip."""
    recordings = _find_recordings(root, book.codes)
    try:
        trees = find_trees(root, _subject, looks_for=_LAYOUT)
    except InputError:
        if not recordings:  # recordings may be videos alone, without any frames
            raise
        trees = []
    clips = book.clips
    # Recordings kept as pictures look like a tree of clips, except for their names.
    with_clips = [tree for tree in trees if tree.count(clips)]
    if not with_clips:
        return choose_tree(recordings or trees, clips)
    chosen, remarks = choose_tree(with_clips, clips)
    remarks += [
        f"frames not used (choose with --frames): {tree.root} (whole recordings)"
        for tree in recordings
    ]
    return chosen, remarks


def _find_recordings(root: Path, codes: dict[str, str]) -> list[_RecordingTree]:
    """Finds the folders with subjects' folders of recordings, by the recordings' names."""
    trees: dict[Path, dict[tuple[str, str], Path]] = {}
    entered: set[Path] = set()
    for name, folders, files in os.walk(root, followlinks=True):
        folder = Path(name)
        if folder.resolve() in entered:  # through a link, perhaps to a parent folder
            folders.clear()
            continue
        entered.add(folder.resolve())
        folders[:] = sorted(name for name in folders if not is_junk(Path(name)))
        if _subject(folder.name) is None:
            continue
        videos = [name for name in files if name.lower().endswith(VIDEO_SUFFIXES)]
        for name in [*folders, *sorted(videos)]:
            found = _RECORDING.fullmatch(name)
            # The file's own number counts: one recording of subject 23 is filed under s19.
            subject = _subject(found[1]) if found else None
            if found and subject:
                of_tree = trees.setdefault(folder.parent, {})
                of_tree[subject, found[2]] = folder / name
        folders.clear()  # clips and recordings contain only frames
    return [
        _RecordingTree(root=home, cropped=False, subjects={}, codes=codes, recordings=recordings)
        for home, recordings in sorted(trees.items())
    ]


def _misfiled(tree: FrameTree, coded: Sequence[CodedClip]) -> list[Correction]:
    """Lists the clips whose recording is in another subject's folder."""
    if not isinstance(tree, _RecordingTree):
        return []
    found = [(clip, tree.find(clip.subject, clip.clip)) for clip in coded]
    return [
        Correction(
            clip.where,
            clip.subject,
            clip.clip,
            "frames",
            f"{clip.subject}/{path.name}",
            f"{path.parent.name}/{path.name}",
            "the recording is in another subject's folder",
        )
        for clip, path in found
        if path is not None and _subject(path.parent.name) != clip.subject
    ]


def _subject(name: str) -> str | None:
    """Returns the subject of a folder called s15 or 15; None for other names."""
    found = re.fullmatch(r"s?([0-9]{2})", name.strip(), re.IGNORECASE)
    return f"s{found[1]}" if found else None
