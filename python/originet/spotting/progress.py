"""How far the spotting of a video has come, on disk, so that a killed run can be resumed."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from originet.clips.faces import Box
from originet.spotting.intervals import Interval
from originet.system.errors import InputError
from originet.system.json_files import differences, read_json, write_json

NAME = "spot.json"
"""Name of the file; when the video is finished, it says how it was spotted."""

_VERSION = 2  # of what spotting finds; another version starts anew


@dataclass
class Progress:
    """The state of a run."""

    made_of: dict[str, Any]
    """The video, and all that the result depends on."""
    version: int = _VERSION
    finished: int = 0
    """Stretches."""
    bytes: int = 0
    """Of frames.csv that belong to them."""
    places: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Where each face was last seen, by identity."""
    intervals: list[Interval] = field(default_factory=list)
    frames: int = 0
    """Of the whole video, when it is complete."""
    faces: int = 0
    ended: str = ""
    """Why the video broke off, if it did."""
    complete: bool = False

    def boxes(self) -> dict[int, Box]:
        """Returns `places` as they were given to `at`."""
        return {int(name): Box(*place) for name, place in self.places.items()}

    def put(self, places: dict[int, Box]) -> None:
        """Takes over where faces were last seen."""
        self.places = {str(name): (place.x, place.y, place.size) for name, place in places.items()}

    def write(self, folder: Path) -> None:
        """Writes the state."""
        write_json(folder / NAME, asdict(self))


def read_progress(folder: Path, made_of: dict[str, Any]) -> Progress:
    """Reads the state of an earlier run, or begins a new one.

    Args:
        folder: Of the video's results.
        made_of: The video, and all that the result depends on.

    Raises:
        InputError: If the folder holds what was made of something else; the message says of what.
    """
    path = folder / NAME
    if not path.exists():
        return Progress(made_of)
    there = read_json(path, Progress)
    changed = list(differences(there.made_of, made_of))
    if there.version != _VERSION:
        changed.append(f"the results are of version {there.version}, this is {_VERSION}")
    if changed:
        raise InputError(f"{folder} holds other results: {'; '.join(changed)}")
    return there


def identify(path: Path) -> dict[str, Any]:
    """Returns what tells one video, or folder of frames, from another."""
    found = os.stat(path)
    return {"video": str(path), "size": found.st_size, "changed": found.st_mtime_ns}
