"""Frames of a camera or a pipe, as the spotter takes them."""

from collections.abc import Iterator

from originet.clips.video import Timed
from originet.spotting.source import Frame
from originet.system.errors import InputError

_SAMPLE = 0.5  # seconds at the start of a stream, from which its rate is taken
_MOST = 256  # frames that wait meanwhile
_USUAL = 30.0  # frames per second, if the stream ends before its rate is known


def timed_frames(stream: Iterator[Timed]) -> tuple[Iterator[Frame], float]:
    """Measures the rate of a stream.

    Args:
        stream: Its frames; the first half second is read at once.

    Returns:
        All frames, and their rate per second.

    Raises:
        InputError: If frames have no times.
    """
    first: list[Timed] = []
    for timed in stream:
        if timed.seconds is None:
            raise InputError("the stream has no usable time stamps")
        first.append(timed)
        if timed.seconds >= _SAMPLE or len(first) == _MOST:
            break
    times = [timed.seconds or 0.0 for timed in first]
    fps = _USUAL
    if len(times) > 2 and times[-1] > times[0]:
        fps = (len(times) - 1) / (times[-1] - times[0])

    def frames() -> Iterator[Frame]:
        index = 0
        for timed in first:
            yield Frame(index, timed.pixels, timed.seconds or 0.0)
            index += 1
        first.clear()
        for timed in stream:
            if timed.seconds is None:
                raise InputError("the stream has no usable time stamps")
            yield Frame(index, timed.pixels, timed.seconds)
            index += 1

    return frames(), fps
