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
