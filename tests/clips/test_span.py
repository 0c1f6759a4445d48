"""Ranges of a clip: by the numbers of its frames, by times at a rate, and by time stamps."""

import numpy as np
import pytest
from clips import random_frames, write_folder, write_video
from timed_videos import UNEVEN, bars, write_timed

from originet.clips.clip import open_clip
from originet.clips.span import find_span
from originet.system.errors import InputError


@pytest.mark.parametrize(
    ("start", "end", "fps", "numbers"),
    [
        (None, None, None, range(5, 45)),
        (7, 9, None, [7, 8, 9]),
        ("7", "9", None, [7, 8, 9]),
        ("44", None, None, [44]),
        ("0s", "0s", 10, [5]),
        ("0.1s", "0.3s", 10, [6, 7, 8]),
        ("0.11s", "0.39s", 10, [7, 8]),  # inwards, where a time falls between two frames
        ("0:01", "0:01.1", 30, [35, 36, 37, 38]),  # 0.1 s at 30 fps: 3 frames, whatever the bits
        ("0:00:03.5", 40, 10, [40]),
    ],
)
def test_range_of_a_folder(tmp_path, start, end, fps, numbers):
    clip = open_clip(
        write_folder(tmp_path / "clip", random_frames(40, (4, 5)), first=5),
        start=start,
        end=end,
        fps=fps,
    )
    assert [clip.number(index) for index in range(clip.length)] == list(numbers)
    assert len(list(clip)) == len(numbers)


@pytest.mark.parametrize(
    ("start", "end", "fps", "first", "length"),
    [
        (None, None, None, 1, 10),
        (3, 5, None, 3, 3),
        ("0.08s", "0.16s", None, 3, 3),  # at 25 fps, as the file says
        ("0.08s", "0.16s", 50, 5, 5),
        ("0:00.2", None, None, 6, 5),
    ],
)
def test_range_of_a_video(tmp_path, start, end, fps, first, length):
    frames = np.repeat(np.arange(20, 220, 20, dtype=np.uint8), 48 * 64).reshape(10, 48, 64)
    path = write_video(tmp_path / "a.avi", frames)
    clip = open_clip(path, start=start, end=end, fps=fps)
    got = list(clip)
    assert (clip.number(0), clip.length, len(got)) == (first, length, length)
    assert abs(int(got[0][0, 0]) - 20 * first) <= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "soon"}, "start must be a frame number or a time such as .*, got 'soon'"),
        ({"end": "-3"}, "end must be a frame number .*, got '-3'"),
        ({"end": "12.5"}, "end must be a frame number .*, got '12.5'"),
        ({"end": "1:99"}, "end must be a frame number .*, got '1:99'"),
        ({"end": "1:60:00"}, "end must be a frame number .*, got '1:60:00'"),
        ({"start": 5, "end": 3}, r"start 5 \(frame 5\) is after end 3 \(frame 3\) in .*clip"),
        ({"start": "9s", "end": 3, "fps": 2}, r"start 9s \(frame 19\) is after end 3 \(frame 3\)"),
        ({"start": 8}, "8 is outside .*clip|8 is outside frames 1 to 7 of .*clip"),
        ({"start": 0, "end": 3}, "0 is outside .*clip"),
        ({"end": 8}, "8 is outside .*clip"),
        ({"fps": 0.0}, "fps must be a number from 1e-06 to 1e[+]06, got 0"),
        ({"fps": float("nan")}, "fps must be a number from 1e-06 to 1e[+]06, got nan"),
        ({"size": 0}, "size must be at least 1, got 0"),
    ],
)
def test_bad_ranges_and_values_are_named(source, options, message):
    with pytest.raises(InputError, match=message):
        list(open_clip(source, **options))


def test_times_need_a_rate(tmp_path):
    folder = write_folder(tmp_path / "clip", random_frames())
    with pytest.raises(InputError, match=r"start 0.1s is a time, but .*clip is unknown"):
        open_clip(folder, start="0.1s")


def numbers(clip):
    return [shot.number for shot in clip.shots()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "3.5s"}, r"start 3.5s is outside .*a\.mp4, which ends after 3.00 s"),
        ({"end": "3.5s"}, r"end 3.5s is outside .*a\.mp4, which ends after 3.00 s"),
        ({"start": "2s", "end": "1s"}, r"start 2s \(frame 31\) is after end 1s \(frame 16\)"),
        ({"start": "2.952s", "end": "2.96s"}, r"\(frame 71\) is after end 2.96s \(frame 70\)"),
    ],
)
def test_times_outside_a_video_are_named(tmp_path, options, message):
    path = write_timed(tmp_path / "a.mp4", bars(72), UNEVEN)
    with pytest.raises(InputError, match=message):
        open_clip(path, **options)


def test_the_end_of_a_video_is_a_time_in_it(tmp_path):
    path = write_timed(tmp_path / "a.mp4", bars(72), UNEVEN)
    assert numbers(open_clip(path, start="2.98s", end="3s")) == [72]


@pytest.mark.parametrize(
    ("start", "end", "numbers"),
    [
        (None, None, (None, None)),
        ("007", 12, (7, 12)),
        ("0s", "0s", (5, 5)),
        ("0.1s", "0.1s", (8, 8)),  # 30 * 0.1 is a little more than 3
        ("0.11s", "0.11s", (9, 8)),  # inwards: no frame lies between
        ("1:00", None, (1805, None)),
    ],
)
def test_places_become_numbers_at_a_rate(start, end, numbers):
    assert find_span("a.avi", start, end, 5, 30, stamped=True) == numbers
