"""Reads frames in a thread, ahead of their consumer."""

import atexit
import threading
from collections.abc import Generator, Iterable
from contextlib import closing, nullcontext
from queue import SimpleQueue
from typing import Any, TypeVar

from originet.system.errors import InputError

T = TypeVar("T")


def read_ahead(frames: Iterable[T], depth: int = 8) -> Generator[T, None, None]:
    """Reads frames in a separate thread, ahead of their consumer.

    The thread starts when the first frame is requested. It ends after the last frame, after an
    error, or when the returned generator is closed, as Python does when a loop is left early. Then
    it also closes `frames`, if that is a generator, so that a video is released.

    Args:
        frames: any iterable, such as `iter_frames(...)`.
        depth: how many frames may be waiting.

    Returns:
        The same frames in the same order. If `frames` raises an exception, the generator raises it
        in place of the next frame.

    Raises:
        InputError: if depth is below 1.
    """
    if depth < 1:
        raise InputError(f"depth must be at least 1, got {depth}")
    return _read_ahead(frames, depth)


def _read_ahead(frames: Iterable[T], depth: int) -> Generator[T, None, None]:
    ready: SimpleQueue[tuple[bool, Any]] = SimpleQueue()  # (True, frame), then (False, error)
    room = threading.Semaphore(depth - 1)  # not counting the first frame
    stopped = threading.Event()

    def read() -> None:
        try:
            with closing(frames) if isinstance(frames, Generator) else nullcontext():
                for frame in frames:
                    ready.put((True, frame))
                    room.acquire()
                    if stopped.is_set():
                        break
        except BaseException as error:
            ready.put((False, error))
        else:
            ready.put((False, None))

    def stop() -> None:
        stopped.set()
        room.release()
        # Any thread may close an abandoned generator during garbage collection, even the reader.
        if thread is not threading.current_thread():
            thread.join()

    # A non-daemon thread would delay the end of the program. A daemon thread may crash inside
    # OpenCV when the interpreter shuts down, so it is stopped just before.
    thread = threading.Thread(target=read, name="read_ahead", daemon=True)
    thread.start()
    atexit.register(stop)
    try:
        while True:
            more, item = ready.get()
            if not more:
                break
            room.release()
            yield item
        if item is not None:
            try:
                raise item
            finally:
                del item  # its traceback refers to this stack frame
    finally:
        stop()
        atexit.unregister(stop)
