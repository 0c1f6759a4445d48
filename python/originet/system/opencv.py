"""Temporary changes to OpenCV's settings, which apply to all threads of the process."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import cv2

T = TypeVar("T")


class Meanwhile(Generic[T]):
    """A context in which a setting has another value.

    Several threads may be inside at once, and one thread several times. The first to enter changes
    the setting; the last to leave restores it.
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


# Keeps OpenCV's warnings off stderr: failures become exceptions.
silence = Meanwhile(
    cv2.utils.logging.getLogLevel,
    cv2.utils.logging.setLogLevel,
    cv2.utils.logging.LOG_LEVEL_SILENT,
)


def _point_stderr_to(descriptor: int) -> None:
    target = os.open(os.devnull, os.O_WRONLY) if descriptor < 0 else descriptor
    os.dup2(target, 2)
    os.close(target)


# For messages that bypass OpenCV's log, such as a wrong one about the tag of VP9 in WebM.
no_stderr = Meanwhile(lambda: os.dup(2), _point_stderr_to, -1)

# When several clips share the cores, threads within each clip would only compete.
one_thread = Meanwhile(cv2.getNumThreads, cv2.setNumThreads, 1)
