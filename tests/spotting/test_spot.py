"""Videos of any length: in stretches, of which each can be done by itself."""

import numpy as np
import pytest
from planted_faces import FPS, clip

import originet
from originet.clips.cascade_tracker import CascadeTracker
from originet.spotting import spot as module
from originet.spotting.settings import Settings
from originet.spotting.source import Frame
from originet.spotting.spot import Spotter, spot_frames

pytestmark = pytest.mark.slow


def frames(count=None):
    """The clip forwards, backwards and so on, which never jumps."""
    shown = clip()[0]
    there_and_back = [*range(len(shown)), *range(len(shown) - 2, 0, -1)]
    for index in range(len(shown) if count is None else count):
        yield Frame(index, shown[there_and_back[index % len(there_and_back)]], index / FPS)


def spotted(stretch, count=None, **resumed):
    """Rows, intervals, and the state after each finished stretch."""
    spotter = Spotter(CascadeTracker, Settings(longest=1.0), FPS, stretch=stretch, **resumed)
    rows, found, states = [], [], []
    start = spotter.start
    for step in spot_frames(spotter, (each for each in frames(count) if each.index >= start)):
        rows += [
            (*(row.index, row.face, row.confidence, row.box), None if row.energies is None
             else tuple(row.energies))
            for row in step.rows
        ]  # fmt: skip
        found += [each.interval for each in step.spotted]
        if step.finished:
            states.append((step.finished, step.places))
    return rows, found, states


def test_what_was_planted_is_found_and_every_frame_has_a_row():
    rows, found, states = spotted(None)
    planted = clip()[1]
    assert [row[0] for row in rows] == list(range(len(clip()[0]))) and not states
    assert len(found) == len(planted)
    for interval, truth in zip(found, planted, strict=True):
        common = min(interval.offset - 1, truth.offset) - max(interval.onset - 1, truth.onset) + 1
        union = max(interval.offset - 1, truth.offset) - min(interval.onset - 1, truth.onset) + 1
        assert common / union >= 0.5


def test_a_run_that_is_resumed_comes_to_the_same(monkeypatch):
    monkeypatch.setattr(module, "_EARLIER", 1.5)
    rows, found, states = spotted(2.0, 300)
    assert [row[0] for row in rows] == list(range(300))
    assert {row[1] for row in rows} <= {None, 0} and len(states) > 1 and found
    for finished, places in states:
        rest, later, _ = spotted(2.0, 300, finished=finished, places=places)
        border = finished * round(2.0 * FPS)
        assert rest == [row for row in rows if row[0] >= border]
        assert later == [each for each in found if each.apex - 1 >= border]


def test_a_video_by_its_path(video):
    found = originet.spot(video)
    assert [each.kind for each in found] == ["micro"] * len(clip()[1])
    assert found == sorted(found, key=lambda each: each.onset)
    assert not any(each.label for each in found)


def test_frames_that_come_one_by_one_are_answered_in_time():
    """What a camera's user waits for: frames that must pass, and the time each takes."""
    spotter = Spotter(CascadeTracker, Settings().live(), FPS, stretch=None)
    waits = []
    for frame in frames():
        for each in spotter.push(frame).spotted:
            waits.append(frame.seconds - each.interval.offset_seconds)
    assert len(waits) == len(clip()[1])
    assert 0 < np.max(waits) < 0.45
