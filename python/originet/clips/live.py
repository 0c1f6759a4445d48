"""Frames from a camera, or from a video in a pipe: read once, until a stop is requested."""

import math
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import cv2
import numpy as np

from originet.clips.frames import of_one_size
from originet.clips.video import Clock, Timed, check_capture
from originet.system.errors import InputError
from originet.system.opencv import silence


class Stream(NamedTuple):
    """A source of frames, and when to stop reading it.

    Attributes:
        camera: number of a camera; None means standard input.
        seconds: ends the stream after this time; None reads until it ends or is stopped.
        stopped: once set, the stream ends at the next frame.
    """

    camera: int | None
    seconds: float | None
    stopped: threading.Event

    @property
    def name(self) -> str:
        """The source's name in error messages."""
        return "standard input" if self.camera is None else f"camera {self.camera}"


@contextmanager
def until_interrupted() -> Iterator[threading.Event]:
    """Makes the first Ctrl-C set an event; the second interrupts as usual."""
    stopped = threading.Event()
    before = signal.getsignal(signal.SIGINT) or signal.SIG_DFL

    def stop(*_: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def iter_stream(stream: Stream, *, color: bool = False) -> Generator[Timed, None, None]:
    """Yields the frames of a stream, each with its time in seconds after the first.

    Args:
        stream: the source, and when to stop.
        color: reads three channels in OpenCV's order (blue, green, red) instead of grey.

    Raises:
        InputError: if there is no such camera, no video arrives, or the frame size changes.
    """
    if stream.seconds is not None and not 0 < stream.seconds < math.inf:
        raise InputError(f"--seconds must be a number above 0, got {stream.seconds}")
    if stream.camera is not None and not 0 <= stream.camera < 2**31:  # a C int
        raise InputError(f"--camera must be the number of a camera from 0, got {stream.camera}")
    if stream.camera is None and sys.stdin is not None and sys.stdin.isatty():
        raise InputError("- reads a video from a pipe, as in: ffmpeg ... -f matroska - | originet")
    return of_one_size(_read(stream, color))


def _read(stream: Stream, color: bool) -> Iterator[tuple[str, Timed]]:
    with silence:
        capture = _open(stream.camera)
    count = 0
    try:
        check_capture(capture, stream.name)
        clock = Clock(capture)
        start = None
        while not stream.stopped.is_set():
            ok, image = capture.read()
            if not ok:
                break
            count += 1
            # Not a camera's time stamps: their unit depends on its driver.
            start = time.monotonic() if start is None else start
            seconds = clock.read() if stream.camera is None else time.monotonic() - start
            if (seconds or 0.0) > (math.inf if stream.seconds is None else stream.seconds):
                break
            pixels = image if color else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            yield f"frame {count} of {stream.name}", Timed(np.asarray(pixels, np.uint8), seconds)
    finally:
        capture.release()
    if not count:
        raise InputError(f"no frames come from {stream.name}")


def _open(camera: int | None) -> cv2.VideoCapture:
    """Opens a camera by its number, or standard input."""
    if camera is None:
        return cv2.VideoCapture("pipe:0", cv2.CAP_FFMPEG)
    return cv2.VideoCapture(camera)
