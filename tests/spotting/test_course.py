"""Courses of brief movements, and of what is none."""

import numpy as np
import pytest

from originet.spotting.course import Courses
from originet.spotting.settings import Settings


def profile(fps, rise=0.12, fall=0.16, apex=0.03):
    """A movement that rises and falls in seconds, and its onset, apex and offset in frames."""
    courses = Courses(Settings(), fps)
    seconds = np.arange(-courses.around, courses.around + 1) / fps
    height = np.minimum((seconds - apex + rise) / rise, (apex + fall - seconds) / fall)
    bump = np.clip(height, 0, 1)
    frames = [round(each * fps) for each in (apex - rise, apex, apex + fall)]
    return courses, seconds, bump * bump * (3 - 2 * bump), frames


@pytest.mark.parametrize("fps", [24, 30, 100, 200])
def test_a_brief_movement_is_found_in_spite_of_a_drift(fps):
    courses, seconds, bump, frames = profile(fps)
    noise = np.random.default_rng(0).normal(0, 0.02, len(bump))
    course = courses.fit(bump + 3 * seconds - 2 * seconds**2 + noise)
    assert course.share > 0.97
    found = np.array([course.onset, course.apex, course.offset])
    assert np.abs(found - frames).max() <= max(1, 0.05 * fps)


def test_a_lasting_movement_a_step_and_an_oscillation_are_no_brief_movement():
    courses, seconds, _, _ = profile(30)
    drift = seconds + seconds**2
    speech = np.sin(2 * np.pi * 4 * seconds)
    for name, course in {"smile": np.exp(-((seconds / 0.6) ** 2)), "speech": speech}.items():
        found = courses.fit(course + drift)
        assert found is None or found.share < Settings().brief, name
    for later in (-0.2, -0.1, 0, 0.1, 0.2):
        for sign in (-1, 1):
            assert courses.fit(sign * np.tanh((seconds - later) / 0.05) + drift) is None


def test_noise_is_no_brief_movement():
    courses = Courses(Settings(), 30)
    noise = np.random.default_rng(0).normal(size=(500, 2 * courses.around + 1))
    shares = [course.share for each in noise if (course := courses.fit(each)) is not None]
    assert max(shares) < Settings().brief


def test_what_trembles_besides_lowers_the_share():
    courses, _, bump, _ = profile(30)
    alone, besides = courses.fit(bump), courses.fit(bump, noise=10.0)
    assert alone.share > 0.99 and besides[:3] == alone[:3] and besides.share < 0.5
    left = bump @ bump - sum((bump @ each) ** 2 for each in courses._drift.T)
    assert besides.share == pytest.approx(alone.share * left / (left + 10))
    assert np.linalg.norm(alone.bump) == pytest.approx(1)
    assert np.abs(courses._drift.T @ alone.bump).max() < 1e-12


def test_nothing_is_found_where_nothing_rises_or_frames_are_too_few():
    courses, seconds, bump, _ = profile(30)
    assert courses.fit(-bump) is None
    assert Courses(Settings(), 4).fit(np.zeros(5)) is None
    assert courses.fit(np.zeros(len(seconds))) is None
