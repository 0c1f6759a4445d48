"""read_ahead: order, bounds, errors, and the end of its thread."""

import gc
import subprocess
import sys
import threading
import time
import traceback
from contextlib import closing

import cv2
import numpy as np
import pytest

from originet.clips.frames import iter_frames, read_clip
from originet.clips.read_ahead import read_ahead
from originet.system.errors import InputError


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name == "read_ahead"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    assert not reading_threads()
    yield
    if reading_threads():
        gc.collect()
    assert not reading_threads()


class Source:
    """Counts, and knows how far it was read and whether it was closed; as a generator."""

    def __init__(self, length=10**9, error_at=None):
        self.length, self.error_at = length, error_at
        self.read = 0
        self.thread = self.closed_by = None

    def __iter__(self):
        return self.frames()

    def frames(self):
        self.thread = threading.current_thread()
        try:
            while self.read < self.length:
                self.read += 1
                if self.read == self.error_at:
                    raise InputError(f"frame {self.read} is bad")
                yield self.read
        finally:
            self.closed_by = threading.current_thread()


def eventually(condition):
    """Waits for what another thread must do; fails where it never does."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen in 10 seconds")


@pytest.mark.parametrize("depth", [1, 2, 8, 1000])
def test_frames_come_in_order(depth):
    source = Source(500)
    assert list(read_ahead(source.frames(), depth)) == list(range(1, 501))
    assert source.closed_by is source.thread is not threading.current_thread()


def test_anything_can_be_iterated_over():
    assert list(read_ahead([])) == []
    assert list(read_ahead([3, None, 1])) == [3, None, 1]
    assert list(read_ahead(range(20), 3)) == list(range(20))
    assert list(read_ahead(Source(20))) == list(range(1, 21))


@pytest.mark.parametrize("depth", [1, 3])
def test_reading_runs_ahead_by_depth_and_no_further(depth):
    source = Source()
    with closing(read_ahead(source.frames(), depth)) as frames:
        assert source.read == 0  # nothing is read before the first frame is asked for
        for taken in range(1, 6):
            assert next(frames) == taken
            eventually(lambda taken=taken: source.read == taken + depth)
            time.sleep(0.02)
            assert source.read == taken + depth


def test_depth_below_one_is_refused():
    with pytest.raises(InputError, match="depth must be at least 1, got 0"):
        read_ahead([], 0)


@pytest.mark.parametrize("error_at", [1, 2, 30])
def test_errors_come_in_their_place_with_their_traceback(error_at):
    source = Source(error_at=error_at)
    taken = []
    with pytest.raises(InputError, match=f"frame {error_at} is bad") as caught:
        for frame in read_ahead(source.frames()):
            taken.append(frame)
    assert taken == list(range(1, error_at))
    assert "raise InputError(f" in "".join(traceback.format_exception(caught.value))
    assert source.closed_by is source.thread


def test_an_error_while_closing_is_raised():
    def frames():
        try:
            yield 1
        finally:
            raise InputError("cannot be closed")

    with pytest.raises(InputError, match="cannot be closed"):
        list(read_ahead(frames()))


def test_leaving_the_loop_stops_the_thread_and_closes_the_source():
    source = Source()
    for frame in read_ahead(source.frames()):
        if frame == 3:
            break
    assert not reading_threads()
    assert source.closed_by is source.thread
    read = source.read
    time.sleep(0.02)
    assert source.read == read <= 3 + 8


@pytest.mark.slow
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_of_the_consumer_stops_the_thread(error):
    source = Source()

    def consume():
        for frame in read_ahead(source.frames()):
            if frame == 3:
                raise error

    with pytest.raises(error) as caught:
        consume()
    del caught  # its traceback holds the loop
    gc.collect()
    eventually(lambda: source.closed_by is source.thread)


def test_close_stops_a_thread_that_waits_and_one_that_reads():
    for pause in (0, 0.05):
        source = Source()
        frames = read_ahead(source.frames())
        next(frames)
        time.sleep(pause)
        frames.close()
        assert not reading_threads() and source.closed_by is source.thread
        assert list(frames) == []
    read_ahead(source.frames()).close()  # never begun
    frames.close()


@pytest.mark.slow
def test_a_generator_in_a_cycle_of_garbage_stops_its_thread():
    source = Source()
    cycle = [read_ahead(source.frames())]
    cycle.append(cycle)
    next(cycle[0])
    del cycle
    gc.collect()
    eventually(lambda: not reading_threads())
    assert source.closed_by is source.thread


def test_several_at_once():
    sources = [Source(200) for _ in range(4)]
    threads = [read_ahead(source.frames(), 2) for source in sources]
    assert list(zip(*threads, strict=True)) == [(n, n, n, n) for n in range(1, 201)]


@pytest.mark.slow
def test_ctrl_c_while_waiting_for_a_slow_source():
    program = """
import os, signal, threading, time
from originet.clips.read_ahead import read_ahead

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

def frames():
    try:
        for n in range(3):
            yield n
            time.sleep(0.3)
            if n == 1:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(2)  # a busy machine may take a while to tell the main thread
    finally:
        print("closed", flush=True)

try:
    for n in read_ahead(frames()):
        print(n, flush=True)
except KeyboardInterrupt:
    print("interrupted", [t.name for t in threading.enumerate()], flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[:2] == ["0", "1"]
    assert done.stdout.splitlines()[-2:] == ["closed", "interrupted ['MainThread']"]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_may_end_with_frames_left(tmp_path):
    path = write_video(tmp_path / "a.avi", 40)
    program = f"""
from originet.clips.frames import iter_frames
from originet.clips.read_ahead import read_ahead
frames = read_ahead(iter_frames({path!r}))
kept = [next(frames), frames]  # alive to the very end
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def write_video(path, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 5 * index, np.uint8))
    writer.release()
    return str(path)


class WatchedCapture:
    """A video that tells whether it was released; OpenCV's own class has no subclasses."""

    original = cv2.VideoCapture
    released = 0

    def __init__(self, *args):
        self.capture = WatchedCapture.original(*args)

    def __getattr__(self, name):
        return getattr(self.capture, name)

    def release(self):
        WatchedCapture.released += 1
        self.capture.release()


def test_a_video_is_read_and_released(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 40)
    monkeypatch.setattr(cv2, "VideoCapture", WatchedCapture)
    monkeypatch.setattr(WatchedCapture, "released", 0)
    frames = list(read_ahead(iter_frames(path)))
    np.testing.assert_array_equal(frames, read_clip(path))
    assert WatchedCapture.released == 2
    for _ in read_ahead(iter_frames(path)):
        break
    assert WatchedCapture.released == 3
    with pytest.raises(InputError, match=r"offset 41 is outside .*a\.avi, which has 40 frames"):
        list(read_ahead(iter_frames(path, 1, 41)))
    assert WatchedCapture.released == 4
