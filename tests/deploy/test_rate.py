"""originet.deploy.rate: frames at another rate."""

import pytest

from originet.deploy.rate import at_rate, differ


def picked(count: int, recorded: float, wanted: float) -> list[int]:
    return list(at_rate(((k, k / recorded) for k in range(count)), wanted))


@pytest.mark.parametrize(
    ("count", "recorded", "wanted", "frames"),
    [
        (6, 30, 30, [0, 1, 2, 3, 4, 5]),
        (11, 30, 15, [0, 2, 4, 6, 8, 10]),
        (5, 15, 30, [0, 1, 1, 2, 2, 3, 3, 4, 4]),  # half-way moments take the later frame
        (13, 200, 50, [0, 4, 8, 12]),
        (12, 200, 50, [0, 4, 8]),  # 0.06 s lies after the last frame
        (7, 30, 1, [0]),
        (1, 30, 25, [0]),
        (0, 30, 25, []),
    ],
)
def test_each_moment_shows_the_frame_nearest_to_it(count, recorded, wanted, frames):
    assert picked(count, recorded, wanted) == frames


def test_rounded_time_stamps_lose_and_repeat_no_frame():
    for rate in (24, 25, 29.97, 30, 59.94, 120):
        stamped = ((k, round(k / rate, 3)) for k in range(500))
        assert list(at_rate(stamped, rate)) == list(range(500)), rate


def test_a_long_clip_has_as_many_frames_as_its_duration_asks_for():
    assert len(picked(2001, 200, 30)) == 301  # 10 s, both ends


def test_a_pause_between_frames_repeats_the_nearer_one():
    times = [0.0, 0.1, 0.5, 0.6]
    assert list(at_rate(zip("abcd", times, strict=True), 10)) == [*"abb", *"cccd"]


def test_frames_without_times_are_all_taken():
    assert list(at_rate(((k, None) for k in range(5)), 30)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(30, 29.97, False), (25, 24, False), (30, 25, True), (None, 30, False), (30, None, False)],
)
def test_rates_differ_by_more_than_a_twentieth(one, other, expected):
    assert differ(one, other) is expected
