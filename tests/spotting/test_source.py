import numpy as np
import pytest
from clips import random_frames, write_folder, write_video
from made_up import interval

from originet.spotting.source import Source
from originet.system.errors import InputError


def test_a_video_from_any_frame_on(tmp_path):
    path = write_video(tmp_path / "a.avi", random_frames(9, (24, 32)), 25)
    source = Source(path)
    assert source.fps == pytest.approx(25) and source.length == 9
    whole, rest = list(source.frames()), list(source.frames(4))
    assert [frame.index for frame in rest] == [4, 5, 6, 7, 8]
    for one, other in zip(whole[4:], rest, strict=True):
        assert one.seconds == other.seconds == pytest.approx(one.index / 25)
        assert np.array_equal(one.pixels, other.pixels)
    assert source.number(4) == 5


def test_wrong_times_are_replaced(tmp_path):
    path = write_video(tmp_path / "a.avi", random_frames(3, (24, 32)), 25)
    assert [frame.seconds for frame in Source(path, 50).frames()] == [0, 0.02, 0.04]
    with pytest.raises(InputError, match="--fps must be a number above 0"):
        Source(path, 0)


def test_a_folder_has_numbers_of_its_own_and_needs_a_rate(tmp_path):
    folder = write_folder(tmp_path / "clip", random_frames(40, (24, 32)), first=100)
    source = Source(folder, 200)
    frames = list(source.frames(38))
    assert [(frame.index, frame.seconds) for frame in frames] == [(38, 0.19), (39, 0.195)]
    numbered = source.numbered(interval())
    assert (numbered.onset, numbered.apex, numbered.offset) == (130, 133, 136)
    with pytest.raises(InputError, match="no times: give --fps"):
        Source(folder)


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no")
    with pytest.raises(InputError, match="not a readable video"):
        Source(tmp_path / "a.mp4")
