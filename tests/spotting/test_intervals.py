import numpy as np
import pytest

from originet.spotting.intervals import note, span, strongest
from originet.spotting.regions import PARTS, REGIONS


def course(*points):
    """A course through (index, value) pairs."""
    places, values = zip(*points, strict=True)
    return np.interp(np.arange(places[-1] + 1), places, values)


def test_a_movement_has_an_onset_an_apex_and_an_offset():
    found = span(course((0, 0), (10, 0), (15, 1), (22, 0), (30, 0)), 14)
    assert found == (10, 15, 22)


def test_the_ground_may_drift():
    tilt = np.linspace(-0.3, 0.3, 31)
    found = span(course((0, 0), (10, 0), (15, 1), (22, 0), (30, 0)) + tilt, 15)
    assert abs(found.onset - 10) <= 1 and abs(found.offset - 22) <= 1


def test_noise_at_the_top_does_not_end_it():
    profile = course((0, 0), (8, 0), (12, 1), (18, 1), (24, 0), (30, 0))
    profile[13:18] += [-0.1, 0.02, -0.08, 0.05, -0.05]
    found = span(profile, 14)
    assert found.onset == 8 and found.offset in (23, 24)


@pytest.mark.parametrize(
    "profile",
    [
        course((0, 0), (10, 0), (15, 1), (30, 1)),  # a new posture
        course((0, 1), (15, 1), (20, 0), (30, 0)),  # the end of one
        course((0, 0), (10, 0), (15, 1), (18, 0.2)),  # not over yet
        np.zeros(31),
    ],
)
def test_what_does_not_come_and_go_is_no_movement(profile):
    assert span(profile, 15) is None


def test_the_next_movement_does_not_belong_to_it():
    profile = course((0, 0), (5, 0), (10, 1), (15, 0), (20, 1), (25, 0))
    assert span(profile, 10) == (5, 10, 15)


def of(**values):
    return np.array([values.get(name, 0.05) for name in (*REGIONS, "rigid")])


def test_blinks_and_turns_are_told_apart_from_expressions():
    both = {"lid_left": 0.9, "lid_right": 0.8}
    assert note(of(**both), 0.3, 1) == "blink"
    assert note(of(**both), 1.5, 1) == ""
    assert note(of(lid_left=0.9), 0.3, 1) == ""  # a wink is an expression
    assert note(of(**both, brow_left=0.7, brow_right=0.7), 0.3, 1) == ""
    assert note(of(mouth_left=0.5, rigid=0.45), 0.3, 1) == "head turn"
    assert note(of(mouth_left=0.5), 0.3, 20) == "head turn"


def test_the_strongest_regions_of_a_part_are_named_first():
    excess = of(brow_left=9, brow_right=12, lid_left=3, mouth_left=50)
    names = [REGIONS[index] for index in strongest(excess, PARTS[0], 2.5)]
    assert names == ["brow_right", "brow_left"]
