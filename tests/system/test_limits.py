"""Limits: pixels a frame, and how many there may be at once."""

import pytest
from clips import random_frames, write_folder

from originet.clips.active_images import sum_up
from originet.clips.clip import open_clip
from originet.system import limits
from originet.system.errors import InputError


def test_the_limit_holds_in_threads_and_ends_with_its_context(tmp_path):
    folder = write_folder(tmp_path / "clip", random_frames(3))
    with limits.frames_up_to(24 * 32):
        assert sum_up(open_clip(folder))[2] == 3  # read by a thread
        with limits.frames_up_to(24 * 32 - 1), pytest.raises(InputError, match="limit of 767 "):
            sum_up(open_clip(folder))
        assert limits.max_pixels() == 24 * 32
    assert limits.max_pixels() == limits.MAX_PIXELS == 2**26


@pytest.mark.parametrize("pixels", [0, -1, 10**18])
def test_limits_that_are_none_are_refused(pixels, monkeypatch):
    with pytest.raises(InputError, match="--max-pixels must be above 0"):
        with limits.frames_up_to(pixels):
            pass
    monkeypatch.setenv("ORIGINET_MAX_PIXELS", str(pixels))
    with pytest.raises(InputError, match="ORIGINET_MAX_PIXELS must be a number of pixels"):
        limits.max_pixels()


@pytest.mark.parametrize("text", ["", "x", "1e6", "-5", "+5", " 5", "0", "000", "1" * 19])
def test_a_variable_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("ORIGINET_MAX_PIXELS", text)
    with pytest.raises(InputError, match="ORIGINET_MAX_PIXELS must be a number of pixels above 0"):
        limits.max_pixels()


def test_the_variable_is_put_back(monkeypatch):
    monkeypatch.setenv("ORIGINET_MAX_PIXELS", "0012")
    with pytest.raises(KeyError), limits.frames_up_to(5):
        assert limits.max_pixels() == 5
        raise KeyError
    assert limits.max_pixels() == 12


def test_a_frame_of_as_many_pixels_as_the_limit_is_no_larger(monkeypatch):
    monkeypatch.setenv("ORIGINET_MAX_PIXELS", "12")
    limits.check_frame("a.png", 3, 4)
    message = r"^a\.png: frames of 13x1 have 13 pixels, more than the limit of 12 \(--max-pixels\)$"
    with pytest.raises(InputError, match=message):
        limits.check_frame("a.png", 13, 1)


def test_counts_have_a_least_and_a_most():
    limits.check_count(1, threads=1, jobs=limits.MOST_AT_ONCE, workers=None)
    limits.check_count(0, gpus_per_task=0.25)
    for count, message in (
        (0, "jobs must be at least 1, got 0"),
        (float("nan"), "jobs must be at least 1, got nan"),
        (1025, "jobs must be at most 1024, got 1025"),
    ):
        with pytest.raises(InputError, match=message):
            limits.check_count(1, threads=2, jobs=count)
