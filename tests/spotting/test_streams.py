import numpy as np
import pytest

from originet.clips.video import Timed
from originet.spotting.streams import timed_frames
from originet.system.errors import InputError

PIXELS = np.zeros((4, 4), np.uint8)


def test_the_rate_of_a_stream_is_measured_and_no_frame_is_lost():
    frames, fps = timed_frames(Timed(PIXELS, index / 12) for index in range(30))
    assert fps == pytest.approx(12)
    assert [(frame.index, frame.seconds) for frame in frames] == [(i, i / 12) for i in range(30)]


def test_a_stream_is_read_no_further_than_needed():
    read = []

    def camera():
        for index in range(100):
            read.append(index)
            yield Timed(PIXELS, index / 30)

    frames, _ = timed_frames(camera())
    assert len(read) <= 17
    next(frames)
    assert len(read) <= 17


def test_a_stream_of_one_frame_has_a_rate_all_the_same():
    frames, fps = timed_frames(iter([Timed(PIXELS, 0.0)]))
    assert fps == 30 and len(list(frames)) == 1


def test_a_stream_without_times_is_refused():
    with pytest.raises(InputError, match="no usable time stamps"):
        timed_frames(iter([Timed(PIXELS, None)]))
