import sys

import pytest

from originet.clips.cascade_tracker import CascadeTracker
from originet.spotting.trackers import open_tracker
from originet.system.errors import InputError


def test_trackers_are_opened_by_name():
    first, second = open_tracker("viola-jones"), open_tracker("viola-jones")
    assert isinstance(first, CascadeTracker) and first is not second
    with pytest.raises(InputError, match="must be viola-jones or landmarks, got 'none'"):
        open_tracker("none")


def test_a_tracker_that_is_not_installed_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "originet.clips.landmarks", None)
    with pytest.raises(InputError, match="--face landmarks cannot be used here"):
        open_tracker("landmarks")
