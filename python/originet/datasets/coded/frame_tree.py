"""Finds a data set's folders of frames at any depth.

Most sets have `.../<subject>/<clip>/<frames>`. In others the clip's own name is the key, as in
`.../happiness/S01-01-001/15.jpg`.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from originet.clips.frames import IMAGE_SUFFIXES, is_junk
from originet.system.errors import InputError
from originet.system.files import named_errors
from originet.system.words import counted

# Section folders, as in CASME-I: the subjects in all of them form one tree.
_SECTION = re.compile(r"section\b|section_", re.IGNORECASE)

_CROPPED = re.compile(r"(?<!un)crop", re.IGNORECASE)

# CAS(ME)^3 has a clip's pictures in `color`, beside `depth`.
_COLOR = "color"


@dataclass
class FrameTree:
    """Folders of frames below one folder.

    Attributes:
        root: the folder that contains the subjects' folders (or the sections that contain them).
        cropped: whether it is a cropped release, judging by the names of folders or frames.
        subjects: the folders of each subject.
        example: the name of one of its frames.
        cut: whether the folders contain only the clips, without the frames around them.
    """

    root: Path
    cropped: bool
    subjects: dict[str, list[Path]]
    example: str = ""
    cut: bool = False
    _clips: dict[str, dict[str, Path]] = field(default_factory=dict, repr=False)

    def find(self, subject: str, clip: str) -> Path | None:
        """Returns the folder of a clip's frames, or None.

        Case and surrounding blanks are ignored. If a folder without images contains a folder of its
        own name, or one called `color`, the inner one is returned.

        Raises:
            InputError: if there are several.
        """
        paths = self.paths(subject, clip)
        if len(paths) > 1:
            raise InputError(f"several folders for it: {paths[0]} and {paths[1]}")
        return _unwrap(paths[0]) if paths else None

    def paths(self, subject: str, clip: str) -> list[Path]:
        """Returns all paths that could be a clip's."""
        if subject not in self._clips:
            self._clips[subject] = {
                _plain(path.name): path
                for folder in self.subjects.get(subject, ())
                for path in _folders(folder)
            }
        path = self._clips[subject].get(_plain(clip))
        return [] if path is None else [path]

    def count(self, clips: Sequence[tuple[str, str]]) -> int:
        """Returns how many of the clips, each (subject, clip), the tree has."""
        return sum(bool(self.paths(subject, clip)) for subject, clip in clips)


class Place(NamedTuple):
    """What the path of a clip's folder says.

    Attributes:
        subject: the clip's subject.
        clip: its name.
        home: the folder that contains the whole tree.
        cut: whether the folder contains only the clip, without the frames around it.
    """

    subject: str
    clip: str
    home: Path
    cut: bool = False


@dataclass(kw_only=True)
class ClipTree(FrameTree):
    """Folders of frames that are known by their own names.

    Attributes:
        clips: subject and clip in lower case -> the clip's folders.
    """

    clips: dict[tuple[str, str], list[Path]]

    def paths(self, subject: str, clip: str) -> list[Path]:
        """Returns all folders of a clip's name."""
        return self.clips.get((subject, _plain(clip)), [])


def find_clip_trees(
    root: Path, place_of: Callable[[Path], Place | None], *, looks_for: str
) -> list[ClipTree]:
    """Finds all trees below a folder whose clips are known by the paths of their folders.

    Args:
        root: where to search.
        place_of: reads the path of a clip's folder; None for other folders.
        looks_for: a path that shows the layout, for messages.

    Returns:
        The trees that have frames, sorted by path.

    Raises:
        InputError: if there is no such folder, or no tree in it.
    """
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    homes: dict[Path, list[tuple[Place, Path]]] = {}
    for place, folder in _walk_clips(root, place_of, set()):
        homes.setdefault(place.home, []).append((place, folder))
    trees = []
    for home, places in sorted(homes.items()):
        clips: dict[tuple[str, str], list[Path]] = {}
        for place, folder in places:
            clips.setdefault((place.subject, _plain(place.clip)), []).append(folder)
        example = next(filter(None, (_first_image(_unwrap(folder)) for _, folder in places)), "")
        if example:
            cropped = _is_cropped(home, root, places[0][1], example)
            cut = all(place.cut for place, _ in places)
            trees.append(ClipTree(home, cropped, {}, example, cut, clips=clips))
    if not trees:
        raise InputError(f"no frames in {root}: looked for {looks_for} at any depth")
    return trees


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
        folder = next(iter(subjects.values()))[0]
        trees.append(FrameTree(home, _is_cropped(home, root, folder, example), subjects, example))
    return trees


def choose_tree(
    trees: Sequence[FrameTree],
    clips: Sequence[tuple[str, str]],
    prefer: Callable[[FrameTree], bool] = lambda tree: True,
) -> tuple[FrameTree, list[str]]:
    """Chooses the tree to read: cropped before raw, then the one with most of the clips.

    A cropped tree is not preferred if another tree has more than twice as many of the clips: it may
    belong to another data set in which a few clips happen to have the same names.

    Args:
        trees: at least one.
        clips: (subject, clip) of the clips to find.
        prefer: whether a tree comes before all others that have clips.

    Returns:
        The tree, and remarks that name it and the other trees.
    """
    having = {id(tree): tree.count(clips) for tree in trees}
    most = max(having.values())

    def rank(tree: FrameTree) -> tuple[bool, bool, int]:
        count = having[id(tree)]
        return count > 0 and prefer(tree), tree.cropped and 0 < most <= 2 * count, count

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


def _walk_clips(
    folder: Path, place_of: Callable[[Path], Place | None], above: set[Path]
) -> Iterator[tuple[Place, Path]]:
    real = folder.resolve()
    if real in above:  # a link to a parent folder
        return
    place = place_of(folder)
    if place is not None:
        yield place, folder
        return
    for path in _folders(folder):
        yield from _walk_clips(path, place_of, above | {real})


def _folders(folder: Path) -> list[Path]:
    with named_errors(folder), os.scandir(folder) as entries:
        paths = [Path(entry.path) for entry in entries if entry.is_dir()]
    return sorted(path for path in paths if not is_junk(path))


def _unwrap(folder: Path) -> Path:
    """Returns the inner folder if a folder without images contains one of its own name or color."""
    for inner in (folder / folder.name, folder / _COLOR):
        if inner.is_dir() and not _holds_images(folder):
            return inner
    return folder


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


def _is_cropped(home: Path, root: Path, folder: Path, example: str) -> bool:
    """Returns whether a name on the way to a folder says "crop" or frames are named `reg_...`.

    The root's own name counts only if it is, or lies within, the tree's home.
    """
    names = folder.relative_to(root).parts
    if root.is_relative_to(home):
        names = (root.resolve().name, *names)
    return any(map(_CROPPED.search, names)) or example.lower().startswith("reg_")


def _plain(name: str) -> str:
    return name.strip().lower()
