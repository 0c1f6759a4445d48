"""Trackers of faces by name."""

from originet.clips.cascade_tracker import CascadeTracker
from originet.clips.faces import cascade_path
from originet.clips.landmarks import LandmarkTracker
from originet.clips.tracking import FaceTracker
from originet.system.errors import InputError

BACKENDS = ("viola-jones", "landmarks")
"""Names of the trackers, as `--face` takes them; the default first."""


def open_tracker(face: str) -> FaceTracker:
    """Returns a new tracker.

    Args:
        face: One of `BACKENDS`.

    Raises:
        InputError: If there is no such tracker, or what it needs is not installed.
    """
    if face == "viola-jones":
        cascade_path()
        return CascadeTracker()
    if face == "landmarks":
        return LandmarkTracker()
    raise InputError(f"--face must be {' or '.join(BACKENDS)}, got {face!r}")
