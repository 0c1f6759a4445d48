"""Finds a data set's folders of frames, `.../<subject>/<clip>/<frames>`, at any depth."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from originet.clips.frames import IMAGE_SUFFIXES, is_junk
from originet.system.errors import InputError
from originet.system.files import named_errors
from originet.system.words import counted

# Section folders, as in CASME-I: the subjects in all of them form one tree.
_SECTION = re.compile(r"section\b|section_", re.IGNORECASE)

_CROPPED = re.compile(r"(?<!un)crop", re.IGNORECASE)


@dataclass
class FrameTree:
    """Folders of frames below one folder.

    Attributes:
        root: the folder that contains the subjects' folders (or the sections that contain them).
        cropped: whether it is a cropped release, judging by the names of folders or frames.
        subjects: the folders of each subject.
        example: the name of one of its frames.
    """

    root: Path
    cropped: bool
    subjects: dict[str, list[Path]]
    example: str = ""
    _clips: dict[str, dict[str, Path]] = field(default_factory=dict, repr=False)

    def find(self, subject: str, clip: str) -> Path | None:
        """Returns the folder of a clip's frames, or None.

        Case and surrounding blanks are ignored. If a folder without images contains a folder of its
        own name, the inner one is returned.
        """
        if subject not in self._clips:
            self._clips[subject] = {
                _plain(path.name): path
                for folder in self.subjects.get(subject, ())
                for path in _folders(folder)
            }
        path = self._clips[subject].get(_plain(clip))
        return None if path is None else _unwrap(path)

    def count(self, clips: Sequence[tuple[str, str]]) -> int:
        """Returns how many of the clips, each (subject, clip), the tree has."""
        return sum(self.find(subject, clip) is not None for subject, clip in clips)


def find_trees(
    root: Path, subject_of: Callable[[str], str | None], *, looks_for: str
) -> list[FrameTree]:
    """Finds all trees of frames below a folder, at any depth.

    A subject's folder has a name that `subject_of` recognizes and contains a folder of images.

    Args:
        root: where to search.
        subject_of: turns a folder's name into the subject; None if it is not a subject's.
        looks_for: a path that shows the layout, for messages.

    Returns:
        The trees, sorted by path; sections of one tree are joined.

    Raises:
        InputError: if there is no such folder, or no tree in it.
    """
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    parents: dict[Path, dict[str, list[Path]]] = {}
    for subject, folder in _walk(root, subject_of, set()):
        home = folder.parent
        while _SECTION.match(home.name) and home != root:
            home = home.parent
        parents.setdefault(home, {}).setdefault(subject, []).append(folder)
    if not parents:
        raise InputError(f"no frames in {root}: looked for {looks_for} at any depth")
    trees = []
    for home, subjects in sorted(parents.items()):
        example = _example(subjects)
        trees.append(FrameTree(home, _is_cropped(home, root, subjects, example), subjects, example))
    return trees


def choose_tree(
    trees: Sequence[FrameTree], clips: Sequence[tuple[str, str]]
) -> tuple[FrameTree, list[str]]:
    """Chooses the tree to read: cropped before raw, then the one with most of the clips.

    A cropped tree is not preferred if another tree has more than twice as many of the clips: it may
    belong to another data set in which a few clips happen to have the same names.

    Args:
        trees: at least one.
        clips: (subject, clip) of the clips to find.

    Returns:
        The tree, and remarks that name it and the other trees.
    """
    having = {id(tree): tree.count(clips) for tree in trees}
    most = max(having.values())

    def rank(tree: FrameTree) -> tuple[bool, int]:
        count = having[id(tree)]
        return tree.cropped and 0 < most <= 2 * count, count

    chosen = max(trees, key=rank)  # the first by path among equals
    remarks = []
    for tree in sorted(trees, key=lambda tree: tree is not chosen):
        kind = "cropped" if tree.cropped else "not cropped"
        taken = "frames" if tree is chosen else "frames not used (choose with --frames)"
        remarks.append(
            f"{taken}: {tree.root} ({kind}, {having[id(tree)]} of "
            f"{counted(len(clips), 'coded clip')})"
        )
    return chosen, remarks


def _walk(
    folder: Path, subject_of: Callable[[str], str | None], above: set[Path]
) -> Iterator[tuple[str, Path]]:
    real = folder.resolve()
    if real in above:  # a link to a parent folder
        return
    subject = subject_of(folder.name)
    folders = _folders(folder)
    if subject is not None and any(_holds_images(_unwrap(path)) for path in folders):
        yield subject, folder
        return
    for path in folders:
        yield from _walk(path, subject_of, above | {real})


def _folders(folder: Path) -> list[Path]:
    with named_errors(folder), os.scandir(folder) as entries:
        paths = [Path(entry.path) for entry in entries if entry.is_dir()]
    return sorted(path for path in paths if not is_junk(path))


def _unwrap(folder: Path) -> Path:
    """Returns the inner folder if a folder without images contains one of its own name."""
    inner = folder / folder.name
    return inner if inner.is_dir() and not _holds_images(folder) else folder


def _holds_images(folder: Path) -> bool:
    return _first_image(folder) is not None


def _first_image(folder: Path) -> str | None:
    with named_errors(folder), os.scandir(folder) as entries:
        for entry in entries:
            image = entry.name.lower().endswith(IMAGE_SUFFIXES)
            if image and not is_junk(Path(entry.name)) and entry.is_file():
                return entry.name
    return None


def _example(subjects: dict[str, list[Path]]) -> str:
    """Returns the name of a frame of the first subject."""
    folders = next(iter(subjects.values()))
    images = (_first_image(_unwrap(clip)) for clip in _folders(folders[0]))
    return next(filter(None, images), "")


def _is_cropped(home: Path, root: Path, subjects: dict[str, list[Path]], example: str) -> bool:
    """Returns whether a folder's name says "crop" or frames are named `reg_...`.

    The root's own name counts only if the subjects' folders are directly in it.
    """
    folders = [folder for part in subjects.values() for folder in part]
    names = folders[0].relative_to(root).parts
    if home == root:
        names = (root.resolve().name, *names)
    return any(map(_CROPPED.search, names)) or example.lower().startswith("reg_")


def _plain(name: str) -> str:
    return name.strip().lower()
