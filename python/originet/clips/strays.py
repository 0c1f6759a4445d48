"""Files in folders of clips that are no clips: they are told rather than passed over."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from originet.clips.frames import IMAGE_SUFFIXES
from originet.clips.video import VIDEO_SUFFIXES

MANIFEST = "dataset.json"  # what `originet synth` says of its clips, which is no stray
NO_CLIP = "neither a picture nor a video, by its ending"


def is_picture(path: Path) -> bool:
    """Tells whether a path is a picture's, by its ending."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_movie(path: Path) -> bool:
    """Tells whether a path is a video's, by its ending."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def name_strays(paths: Iterable[Path], reason: str) -> dict[str, str]:
    """Names files that are not taken, those of one folder and ending together.

    Returns:
        The reason by name, as "clips/notes.txt" or "clips, 12 .txt files".
    """
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in paths:
        groups[path.parent, path.suffix.lower()].append(path)
    return {
        str(files[0]) if len(files) == 1 else f"{folder}, {len(files)} {suffix} files": reason
        for (folder, suffix), files in groups.items()
    }
