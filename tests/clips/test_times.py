"""Times as users write them."""

import pytest

from originet.clips.times import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("12.5s", 12.5),
        ("90s", 90),
        ("2:03.5", 123.5),
        ("59:59", 3599),
        ("1:02:03.5", 3723.5),
        ("100:00:00", 360_000),
    ],
)
def test_times_are_read_as_people_write_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "s", "12", "12.5", "-1s", "1e3s", ".5s", "5.s", "1 s", "5S", "infs", "٣s"),
        *("1:2", "1:60", "60:00", "1:60:00", "1:5:00", "1:02:03:04", "1:02s", "1" * 13 + "s"),
    ],
)
def test_other_texts_are_no_times(text):
    assert seconds_of(text) is None
