"""Reading in a thread, ahead of whoever takes what was read."""

import atexit
import threading
from collections.abc import Generator, Iterable
from contextlib import closing, nullcontext
from queue import SimpleQueue
from typing import Any, TypeVar

from originet.system.errors import InputError

T = TypeVar("T")


def read_ahead(frames: Iterable[T], depth: int = 8) -> Generator[T, None, None]:
    """Reads frames in a thread of its own, ahead of whoever takes them.

    The thread starts with the first frame that is taken. It ends, and closes `frames` where that is
    a generator, so that a video is released, when the last frame was taken, when an error ends the
    reading or when the returned generator is closed, as Python does at the end of a loop that is
    left early.

    Args:
        frames: anything that can be iterated over, such as `iter_frames(...)`.
        depth: how many frames may wait to be taken.

    Returns:
        The same frames in the same order. What `frames` raises is raised where it would have given
        the next frame.

    Raises:
        InputError: if depth is below 1.
    """
    if depth < 1:
        raise InputError(f"depth must be at least 1, got {depth}")
    return _read_ahead(frames, depth)


def _read_ahead(frames: Iterable[T], depth: int) -> Generator[T, None, None]:
    ready: SimpleQueue[tuple[bool, Any]] = SimpleQueue()  # (True, frame), then (False, error)
    room = threading.Semaphore(depth - 1)  # besides the first frame
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
        # A generator that is left over is closed by any thread that collects garbage.
        if thread is not threading.current_thread():
            thread.join()

    # The end of the program would wait for a thread that is no daemon; a daemon that is inside of
    # OpenCV when the interpreter goes can crash, so it is stopped just before.
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
                del item  # whose traceback holds this frame
    finally:
        stop()
        atexit.unregister(stop)
