"""Files in folders of clips that are not clips: they are reported, not silently ignored."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from originet.clips.frames import IMAGE_SUFFIXES
from originet.clips.video import VIDEO_SUFFIXES

MANIFEST = "dataset.json"  # written by `originet synth` beside its clips, so not a stray
NO_CLIP = "neither a picture nor a video, by its extension"


def is_picture(path: Path) -> bool:
    """Returns whether a path names a picture, by its extension."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_movie(path: Path) -> bool:
    """Returns whether a path names a video, by its extension."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def name_strays(paths: Iterable[Path], reason: str) -> dict[str, str]:
    """Names skipped files, grouped by folder and extension.

    Returns:
        The reason for each name, such as "clips/notes.txt" or "clips, 12 .txt files".
    """
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in paths:
        groups[path.parent, path.suffix.lower()].append(path)
    return {
        str(files[0]) if len(files) == 1 else f"{folder}, {len(files)} {suffix} files": reason
        for (folder, suffix), files in groups.items()
    }
