"""Selects a range of a clip's frames, from one number or time to another."""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from originet.clips import video
from originet.clips.times import seconds_of
from originet.system.errors import InputError


def find_span(
    clip: str,
    start: int | str | None,
    end: int | str | None,
    first: int,
    fps: float | None,
    *,
    stamped: bool,
) -> tuple[int | None, int | None]:
    """Turns two places in a clip into the numbers of the first and the last frame.

    Args:
        clip: the video, or the folder of the frames.
        start: a frame number, or a time after the clip's first frame, as in "12.5s" or
            "1:02:03.5", which means the first frame at or after it; None means the clip's first.
        end: likewise; a time means the last frame at or before it; None means the clip's last.
        first: number of the clip's first frame.
        fps: constant rate in frames per second; None if unknown.
        stamped: whether the clip has time stamps, which are used if `fps` is None.

    Returns:
        The two numbers; None for the clip's first or last frame.

    Raises:
        InputError: if a place has none of these forms, a time cannot be converted or is outside a
            video.
    """
    places = (_place("start", start), _place("end", end))
    if fps is None and stamped:
        return _by_time_stamps(clip, *places)
    return (
        _by_rate("start", places[0], math.ceil, first, fps, clip),
        _by_rate("end", places[1], math.floor, first, fps, clip),
    )


class _Place(NamedTuple):
    """A place in a clip as the user gave it: a frame number, or seconds, or neither."""

    text: str = ""
    number: int | None = None
    seconds: float | None = None


def _place(name: str, value: int | str | None) -> _Place:
    """Reads a frame number, as an int or as text, or a time."""
    if value is None:
        return _Place()
    text = str(value)
    if re.fullmatch(r"[0-9]{1,18}", text):
        return _Place(text, number=int(text))
    seconds = seconds_of(text)
    if seconds is None:
        raise InputError(
            f"{name} must be a frame number or a time such as 12.5s or 1:02:03.5, got {text[:40]!r}"
        )
    return _Place(text, seconds=seconds)


def _by_rate(
    name: str,
    place: _Place,
    whole: Callable[[float], int],
    first: int,
    fps: float | None,
    clip: str,
) -> int | None:
    """Turns a place into a frame number, at a constant rate."""
    if place.seconds is None:
        return place.number
    if fps is None:
        raise InputError(
            f"{name} {place.text} is a time, but the frame rate of {clip} is unknown: give the fps"
        )
    # Rounded, so that 0.1 s at 30 frames per second is 3 frames despite floating-point error.
    return first + whole(round(place.seconds * fps, 6))


def _by_time_stamps(path: str, start: _Place, end: _Place) -> tuple[int | None, int | None]:
    """Turns places in a video into frame numbers, by the time stamps of its frames."""
    seconds = [place.seconds for place in (start, end) if place.seconds is not None]
    if not seconds:
        return start.number, end.number
    times = video.frame_times(path, max(seconds))
    onset, offset = start.number, end.number
    if start.seconds is not None:
        onset = video.first_at(times, start.seconds) + 1
    if end.seconds is not None:
        offset = video.last_at(times, end.seconds) + 1
    # The last frame is assumed to be shown as long as the one before it.
    shown_until = times[-1] + (times[-1] - times[-2] if len(times) > 1 else 0)
    for name, place, outside in (
        ("start", start, onset is not None and onset > len(times)),
        ("end", end, end.seconds is not None and video.first_at([shown_until], end.seconds) > 0),
    ):
        if place.seconds is not None and outside:
            raise InputError(
                f"{name} {place.text} is outside {path}, which ends after {shown_until:.2f} s"
            )
    return onset, offset
