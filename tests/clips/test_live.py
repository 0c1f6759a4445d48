"""Cameras and pipes: one reading, until the end, a time, or Ctrl-C."""

import contextlib
import os
import signal
import threading
import time

import cv2
import hostile
import numpy as np
import pytest
import torch
from clips import random_frames, write_folder, write_video
from skimage import data

import originet_ext
from originet.clips import live, render
from originet.clips.frames import read_clip
from originet.clips.render import Options
from originet.datasets import synth
from originet.system.errors import InputError


class Camera:
    """Gives frames as a camera would; calls what it was told to before some frame."""

    def __init__(self, frames, before=None, call=None, every=0.0, size=(0, 0)):
        self._frames, self._before, self._call, self._every = frames, before, call, every
        keys = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        self._size = dict(zip(keys, size, strict=True))
        self.given, self.released = 0, False

    def read(self):
        if self.given == self._before:
            self._call()
            time.sleep(0.2)  # a signal is handled in the main thread
        time.sleep(self._every)
        if self.given == len(self._frames):
            return False, None
        self.given += 1
        frame = self._frames[self.given - 1]
        return True, frame if frame.ndim == 3 else cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)

    def get(self, key):
        return float(self._size.get(key, 0))

    def release(self):
        self.released = True


@pytest.fixture
def camera(monkeypatch):
    def plug(*arguments, **options):
        made = Camera(*arguments, **options)
        monkeypatch.setattr(live, "_open", lambda number: made)
        return made

    return plug


@pytest.fixture
def pipe():
    """Gives standard input what is written to it, by a thread."""
    before = os.dup(0)
    threads = []

    def feed(written):
        reading, writing = os.pipe()
        os.dup2(reading, 0)
        os.close(reading)

        def write():
            with os.fdopen(writing, "wb") as file:
                with contextlib.suppress(BrokenPipeError):  # whoever reads has had enough
                    file.write(written)

        threads.append(threading.Thread(target=write))
        threads[-1].start()

    yield feed
    os.dup2(before, 0)
    os.close(before)
    for thread in threads:
        thread.join()


def png(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def whole(frames):
    clip = torch.from_numpy(np.asarray(frames))
    return originet_ext.active_image(clip, None, "cumulative", "minmax").round().numpy()


def test_camera_is_read_until_it_ends(run, camera, tmp_path):
    frames = random_frames(9)
    plugged = camera(frames)
    code, out, err = run("image", "--camera", 0, "-o", tmp_path / "a.png")
    assert code == 0 and "9 frames" in out, err
    np.testing.assert_array_equal(png(tmp_path / "a.png"), whole(frames))
    assert plugged.released


def test_ctrl_c_ends_a_stream_and_keeps_what_came(run, camera, tmp_path):
    frames = random_frames(50)
    handler = signal.getsignal(signal.SIGINT)
    plugged = camera(frames, 20, lambda: os.kill(os.getpid(), signal.SIGINT))
    code, out, _ = run("image", "--camera", 0, "-o", tmp_path / "a.png")
    assert code == 0 and plugged.released and plugged.given < 50
    assert f"{plugged.given} frames" in out
    np.testing.assert_array_equal(png(tmp_path / "a.png"), whole(frames[: plugged.given]))
    assert signal.getsignal(signal.SIGINT) is handler


def test_seconds_end_a_stream(run, camera, tmp_path):
    plugged = camera(random_frames(100), every=0.02)
    code, out, _ = run("image", "--camera", 0, "-o", tmp_path / "a.png", "--seconds", 0.3)
    assert code == 0 and 2 <= plugged.given <= 17 and f"{plugged.given - 1} frames" in out


@pytest.mark.slow
def test_stream_cut_to_the_face_and_animated(run, camera, tmp_path):
    face = data.astronaut()[:260, 80:400, ::-1]
    camera([np.roll(face, k % 3, 1) for k in range(20)])
    options = ("--crop-face", "--align-eyes", "--size", 48, "--color")
    code, out, err = run("image", "--camera", 1, "-o", tmp_path / "a.gif", *options)
    assert (code == 0 and "20 of 20 frames" in out) or "cannot show more per second" in out, err
    camera(random_frames(20, (64, 64)))
    code, _, err = run("image", "--camera", 1, "-o", tmp_path / "b.gif", *options)
    assert code == 2 and "no face found in 16 sampled frames of 64x64: camera 1" in err


@pytest.mark.slow
def test_phases_of_a_stream(camera, tmp_path):
    clips = synth.generate(tmp_path / "set", subjects=3, clips_per_class=1)
    frames = read_clip(clips / "positive" / "s01" / "positive_01")
    stream = live.Stream(0, None, threading.Event())
    camera(frames)
    made = render.render_stream(stream, tmp_path / "a.png", Options("side-by-side"))
    folder = write_folder(tmp_path / "clip", frames)
    assert made.summary == render.render(folder, ".png", Options("side-by-side")).summary
    disturbed = frames.copy()
    disturbed[-5:] = random_frames(5, frames.shape[1:])  # then the apex is an earlier frame
    camera(disturbed)
    with pytest.raises(InputError, match=r"frame \d+ of camera 0 is the apex, .*: give --apex"):
        render.render_stream(stream, tmp_path / "b.png", Options("side-by-side"))


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mjpeg"])
def test_video_from_a_pipe(run, pipe, tmp_path, suffix):
    frames = random_frames(30, (48, 64))
    path = write_video(tmp_path / "a.avi", frames)
    if suffix == ".mjpeg":
        pictures = b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames)
        (tmp_path / "a.mjpeg").write_bytes(pictures)
    elif suffix == ".mkv":
        write_video(tmp_path / "a.mkv", frames)
    path = path.with_suffix(suffix)
    pipe(path.read_bytes())
    code, out, err = run("image", "-", "-o", tmp_path / "a.png")
    assert code == 0 and "30 frames" in out, err
    np.testing.assert_array_equal(png(tmp_path / "a.png"), whole(read_clip(path)))


def test_a_pipe_ends_after_seconds_of_the_video(run, pipe, tmp_path):
    path = write_video(tmp_path / "a.avi", random_frames(100, (48, 64)))
    pipe(path.read_bytes())
    code, out, err = run("image", "-", "-o", tmp_path / "a.png", "--seconds", 1)
    assert code == 0 and "26 frames" in out, err


def test_frames_above_the_limit_are_refused_before_the_first(run, pipe, camera, tmp_path):
    pipe(hostile.gif(16000, 16000))
    code, _, err = run("image", "-", "-o", tmp_path / "a.png")
    assert code == 2 and "error: standard input: frames of 16000x16000 have 256,000,000" in err
    plugged = camera(random_frames(2), size=(9000, 9000))
    code, _, err = run("image", "--camera", 3, "-o", tmp_path / "a.png")
    assert code == 2 and "error: camera 3: frames of 9000x9000 have 81,000,000 pixels" in err
    assert plugged.given == 0 and plugged.released
    for number in (-1, 2**31):
        code, _, err = run("image", "--camera", number, "-o", tmp_path / "a.png")
        assert code == 2 and f"--camera must be the number of a camera from 0, got {number}" in err


def test_streams_that_cannot_be_read_are_refused(run, pipe, camera, tmp_path):
    out = tmp_path / "a.png"
    pipe(b"no video " * 100)
    code, _, err = run("image", "-", "-o", out)
    assert code == 2 and err == "error: no frames come from standard input\n"
    camera([])
    for arguments, message in (
        ((), "no frames come from camera 7"),
        (("--seconds", 0), "--seconds must be a number above 0, got 0"),
        (("--start", 3), "--start 3 is for files: --seconds ends a stream"),
        (("--end", "1s"), "--end 1s is for files"),
        (("--fps", 30), "--fps 30.0 is for files"),
        (("--jobs", 2), "--jobs 2 is for several clips; a stream is one clip"),
    ):
        code, _, err = run("image", "--camera", 7, "-o", out, *arguments)
        assert code == 2 and message in err and err.count("\n") == 1, err
    camera([*random_frames(2), *random_frames(1, (30, 40))])
    code, _, err = run("image", "--camera", 7, "-o", out)
    assert code == 2 and "frame size changes at frame 3 of camera 7: 40x30 after 32x24" in err
    assert not out.exists()
