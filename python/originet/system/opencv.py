"""Settings of OpenCV that hold for all threads of the process, changed for a while."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import cv2

T = TypeVar("T")


class Meanwhile(Generic[T]):
    """A context in which a setting has another value.

    Several threads may be inside at once, and one thread several times: the first to enter changes
    the setting, the last to leave puts back what was there.
    """

    def __init__(self, get: Callable[[], T], put: Callable[[T], object], meanwhile: T) -> None:
        self._get, self._put, self._meanwhile = get, put, meanwhile
        self._lock = threading.Lock()
        self._inside = 0
        self._before = meanwhile

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = self._get()
                self._put(self._meanwhile)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._put(self._before)


# OpenCV's warnings stay off stderr: what went wrong is told by an exception.
silence = Meanwhile(
    cv2.utils.logging.getLogLevel,
    cv2.utils.logging.setLogLevel,
    cv2.utils.logging.LOG_LEVEL_SILENT,
)


def _point_stderr_to(descriptor: int) -> None:
    target = os.open(os.devnull, os.O_WRONLY) if descriptor < 0 else descriptor
    os.dup2(target, 2)
    os.close(target)


# For what OpenCV prints past its own log: that VP9 has another tag in WebM, where it has none.
no_stderr = Meanwhile(lambda: os.dup(2), _point_stderr_to, -1)

# Where clips share the cores, threads inside of each would only wait for one another.
one_thread = Meanwhile(cv2.getNumThreads, cv2.setNumThreads, 1)
