import importlib.metadata
import threading

import pytest

from originet.clips import face_models
from originet.clips.cascade_tracker import CascadeTracker
from originet.clips.landmarks import LandmarkTracker
from originet.spotting.trackers import open_tracker
from originet.system.errors import InputError


def test_trackers_are_opened_by_name():
    first, second = open_tracker("viola-jones"), open_tracker("viola-jones")
    assert isinstance(first, CascadeTracker) and first is not second
    with pytest.raises(InputError, match="must be viola-jones or landmarks, got 'none'"):
        open_tracker("none")


@pytest.mark.needs_landmarks
def test_landmarks_are_a_tracker():
    assert isinstance(open_tracker("landmarks"), LandmarkTracker)


def test_a_tracker_that_is_not_installed_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(face_models, "_thread", threading.local())
    monkeypatch.setattr(importlib.metadata, "files", lambda _: None)
    with pytest.raises(InputError, match=r"landmarks need .*, which is not installed: pip install"):
        open_tracker("landmarks")
