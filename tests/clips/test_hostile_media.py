"""Pictures and videos from strangers: no memory beyond the limits, no waiting, one error."""

import json
import os
import resource
import socket
import subprocess
import sys
import tracemalloc

import cv2
import hostile
import numpy as np
import pytest
from clips import random_frames, write_folder, write_video

from originet.clips import active_images, faces, render, video
from originet.clips.active_images import check_room
from originet.clips.clip import open_clip
from originet.clips.frames import iter_frames, read_clip
from originet.clips.render import Options
from originet.clips.still import read_image
from originet.system import limits, memory
from originet.system.errors import InputError
from originet_ext import METHODS, ActiveImageAccumulator

LARGE = 9000  # squared: above the limit
HUGE = 32704  # squared: what libpng and libjpeg still decode

# Reads each clip of a folder; prints what became of it and the seconds of the processor it took.
# Where the limit does not hold, the memory of this process ends, and not that of the machine.
READER = """
import json, resource, sys, time
from pathlib import Path
from originet.clips import frames
from originet.system import limits
from originet.system.errors import InputError

pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**31, -1))

def read(path):
    try:
        for frame in frames.iter_frames(frames.clip_frames(path)):
            pass
        return "read"
    except InputError as error:
        return str(error)

told = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    start = time.process_time()
    outcome = read(path)
    told[path.name] = outcome, time.process_time() - start
with limits.frames_up_to(10**12):
    told["unlimited"] = read(Path(sys.argv[1], "a.png")), 0
print(json.dumps(told))
"""

STILL = {
    "a.png": lambda: hostile.png(HUGE, HUGE),
    "b.jpg": lambda: hostile.jpeg(HUGE, HUGE),
    "c.jpg": lambda: hostile.jpeg(HUGE, HUGE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "d.bmp": lambda: hostile.bmp(HUGE, HUGE),
    "e.bmp": lambda: hostile.bmp(HUGE, -HUGE),
    "f.png": lambda: hostile.gif(HUGE, HUGE),  # what a file holds counts, not its name
    "g.png": lambda: hostile.webp(16383, 16383),
}
MOVING = {
    "h.gif": lambda folder: hostile.gif(16000, 16000, 1000),
    "i.webp": lambda folder: hostile.animated_webp(folder, LARGE, LARGE),
    "j.avif": lambda folder: hostile.avif(folder, LARGE, LARGE),
    "k.avi": lambda folder: hostile.avi(folder, LARGE, LARGE),
    "l.mp4": lambda folder: hostile.vp9(folder, ".mp4", LARGE, LARGE),
    "m.webm": lambda folder: hostile.vp9(folder, ".webm", LARGE, LARGE),
    "n.apng": lambda folder: hostile.png(LARGE, LARGE),
    "o.webp": lambda folder: hostile.gif(LARGE, LARGE),
    "p.mp4": lambda folder: hostile.bmp(LARGE, LARGE),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a process with little memory says of each file that lies."""
    folder, made = tmp_path_factory.mktemp("lies"), tmp_path_factory.mktemp("made")
    for name, write in STILL.items():
        (folder / name).mkdir()
        (folder / name / f"1{name[-4:]}").write_bytes(write())
    for name, write in MOVING.items():
        (folder / name).write_bytes(write(made))
    command = [sys.executable, "-c", READER, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*STILL, *MOVING])
def test_frames_that_a_header_exaggerates_are_refused_before_they_are_decoded(told, name):
    folder, outcomes = told
    message, seconds = outcomes[name]
    side = {"g.png": 16383, "h.gif": 16000}.get(name, HUGE if name in STILL else LARGE)
    path = folder / name / f"1{name[-4:]}" if name in STILL else folder / name
    assert message == (
        f"{path}: frames of {side}x{side} have {side * side:,} pixels, more than the limit of "
        f"67,108,864 (--max-pixels)"
    )
    # FFmpeg decodes a frame of VP9 to tell the size of it.
    assert seconds < (5 if name in ("l.mp4", "m.webm") else 1)


@pytest.mark.slow
def test_above_the_limit_memory_decides(told):
    folder, outcomes = told
    message = outcomes["unlimited"][0]
    assert message.startswith(
        f"{folder / 'a.png' / '1.png'}: decoding 32704x32704 would take 8.6 GB"
    )


# Memory


@pytest.fixture
def little_memory(monkeypatch):
    """Leaves so many bytes, and has few of them asked about as well."""

    def leave(size):
        monkeypatch.setattr(memory, "_FEW", 0)
        monkeypatch.setattr(memory, "available_memory", lambda: size)

    return leave


@pytest.mark.parametrize("kind", ["image", "all-methods", "side-by-side", "gif"])
def test_active_images_without_memory_are_refused_at_the_first_frame(
    tmp_path, little_memory, monkeypatch, kind
):
    folder = write_folder(tmp_path / "clip", random_frames(5))
    monkeypatch.setattr(ActiveImageAccumulator, "update", None)
    little_memory(50_000)
    suffix = render.KINDS[kind][0]
    what = "8 active images" if kind == "all-methods" else "1 active image"
    with pytest.raises(InputError, match=f"clip: {what} of 32x24 would take .* GB of memory"):
        render.render(folder, suffix, Options(kind))


def test_memory_is_estimated_as_much_as_is_taken(monkeypatch):
    told = []
    monkeypatch.setattr(active_images, "check_memory", lambda what, size: told.append(size))
    frames = random_frames(40, (256, 256))
    for methods in (["telescoped"], ["cumulative"], ["absolute"], ["authors"], METHODS):
        check_room("a", (256, 256), len(methods))
        tracemalloc.start()
        try:
            sums = [ActiveImageAccumulator(method) for method in methods]
            for frame in frames:
                for accumulator in sums:
                    accumulator.update(frame)
            kept = [accumulator.result() for accumulator in sums]
            taken = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(kept) == len(methods) and told[-1] / 3 < taken < told[-1]


def test_whole_clips_are_kept_as_long_as_there_is_memory(tmp_path, little_memory, monkeypatch):
    monkeypatch.setattr("originet.clips.frames._STEP", 2000)
    folder = write_folder(tmp_path / "clip", random_frames(20))
    path = write_video(tmp_path / "a.avi", random_frames(20))
    little_memory(40_000)  # 20 frames of 768 bytes, twice, and a step
    assert len(read_clip(folder)) == 20
    little_memory(9_000)
    monkeypatch.setattr(video, "_PIXEL_BYTES", 0)
    for source in (folder, path):
        with pytest.raises(InputError, match=r"keeping more than 12 frames of 32x24 would take"):
            read_clip(source)
    little_memory(30_000)
    with pytest.raises(InputError, match=r"a\.avi: keeping 20 frames of 32x24 would take"):
        list(video.read_frames_at(path, range(1, 21)))


# What is no file, or names other ones


@pytest.fixture(params=["pipe", "device", "socket", "folder", "nothing"])
def no_file(request, tmp_path, monkeypatch):
    """Makes something else than a file under a name; returns what errors say of it."""

    def make(path):
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        elif request.param == "socket":
            monkeypatch.chdir(path.parent)  # its path has 108 bytes at most
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
            return "is a socket|cannot read"
        elif request.param == "folder":
            path.mkdir()
            return "is a folder"
        else:
            path.symlink_to("nowhere")
            return "no such file"
        return f"is a {request.param}"

    return make


@pytest.mark.parametrize("name", ["1.png", "a.mp4", "a.webp", "a.gif"])
def test_only_files_are_opened(tmp_path, no_file, name):
    message = no_file(tmp_path / name)
    for read in (read_image, video.video_info, lambda path: read_clip([str(path)])):
        with pytest.raises(InputError, match=message):
            read(tmp_path / name)


def test_what_is_no_file_among_frames_is_told_of(tmp_path, no_file):
    folder = write_folder(tmp_path / "clip", random_frames(3))
    message = no_file(folder / "img4.png")
    if message == "is a folder":
        assert len(read_clip(folder)) == 3
        return
    with pytest.raises(InputError, match=rf"(img4\.png.*)?({message})"):
        read_clip(folder)


@pytest.mark.parametrize(
    "head", [b"#EXTM3U\n#EXTINF:1,\nb.mp4\n", b"ffconcat version 1.0\nfile b.mp4\n"]
)
def test_a_video_that_names_others_is_refused(tmp_path, head):
    write_video(tmp_path / "b.mp4", random_frames(3))
    path = tmp_path / "a.mp4"
    path.write_bytes(head)
    with pytest.raises(InputError, match=r"a\.mp4 is a list of other files, not a video"):
        read_clip(path)


def test_a_name_that_looks_like_a_connection_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "tcp:127.0.0.1:9.avi"
    write_video(tmp_path / name, random_frames(3))
    assert len(read_clip(name)) == 3


# Long files


@pytest.mark.slow
def test_thousands_of_frames_of_a_pixel_are_read_in_little_memory(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(hostile.gif(1, 1, 30_000))
    assert video.video_info(path).length == 30_000
    tracemalloc.start()
    try:
        count = sum(1 for _ in iter_frames(path))
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 30_000 and taken < 2**20


def test_a_video_that_announces_far_too_many_frames_ends(tmp_path):
    path = tmp_path / "a.avi"
    written = bytearray(write_video(tmp_path / "b.avi", random_frames(8, (64, 64))).read_bytes())
    for name, place in ((b"avih", 24), (b"strh", 40)):
        start = written.find(name)
        written[start + place : start + place + 4] = (10**9).to_bytes(4, "little")
    path.write_bytes(written[: written.rfind(b"idx1")])
    announced = video.video_info(path).length
    with pytest.raises(InputError, match=f"ends after 8 of {announced} frames|after 8 of"):
        read_clip(path)
    assert announced == 10**9
    with pytest.raises(InputError, match="no face found in"):
        open_clip(path, crop_face=True)
    assert len(list(video.read_frames_at(path, faces.sample_indices(10**9)[1:]))) == 0


# Changed bytes

_WRITERS = {
    "1.png": lambda folder: cv2.imencode(".png", random_frames(1)[0])[1].tobytes(),
    "1.jpg": lambda folder: cv2.imencode(".jpg", random_frames(1)[0])[1].tobytes(),
    "1.jpeg": lambda folder: hostile.jpeg(32, 24, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "1.bmp": lambda folder: cv2.imencode(".bmp", random_frames(1)[0])[1].tobytes(),
    "a.gif": lambda folder: hostile.animated(folder, ".gif", "GIF"),
    "a.webp": lambda folder: hostile.animated(folder, ".webp", "WEBP"),
    "a.avif": lambda folder: hostile.animated(folder, ".avif", "AVIF"),
    "a.apng": lambda folder: hostile.animated(folder, ".apng", "PNG"),
    "a.avi": lambda folder: hostile.video(folder, ".avi", "MJPG"),
    "a.mp4": lambda folder: hostile.video(folder, ".mp4", "mp4v"),
    "a.webm": lambda folder: hostile.video(folder, ".webm", "vp09"),
    "a.mkv": lambda folder: hostile.video(folder, ".mkv", "FFV1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _WRITERS)
def test_changed_bytes_give_frames_or_one_error(tmp_path, name):
    data, path = _WRITERS[name](tmp_path), tmp_path / name
    path.write_bytes(data)
    assert len(read_clip([str(path)])) >= 1
    random = np.random.default_rng(0)
    frames = 0
    with limits.frames_up_to(2**16):
        for _ in range(200):
            changed = bytearray(data)
            # Most changes in the header, in whose numbers the danger is.
            most = min(len(data), 200) if random.random() < 0.7 else len(data)
            for place in random.integers(0, most, random.integers(1, 6)):
                changed[place] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.integers(256)])
            path.write_bytes(changed)
            try:
                clip = read_clip([str(path)])
            except InputError as error:
                assert str(path) in str(error) and "\n" not in str(error)
            else:
                assert clip[0].size <= 2**16
                frames += 1
    assert frames < 200 and (frames > 0 or name == "1.png")  # whose checksums are right or wrong


# What is written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": 1e-300}, "--speed must be a number from 0.001 to 1000, got 1e-300"),
        ({"speed": float("nan")}, "--speed must be a number from 0.001 to 1000, got nan"),
        ({"fps": 1e-300}, "fps must be a number from 1e-06 to 1e[+]06, got 1e-300"),
        ({"fps": 1e300}, "fps must be a number from 1e-06 to 1e[+]06, got 1e[+]300"),
        ({"size": 10**6}, "size 1000000: frames of 1000000x1000000 have 1,000,000,000,000 pixels"),
        ({"start": "9" * 5000}, "start must be a frame number or a time"),
        ({"end": "9" * 5000 + "s"}, "end must be a frame number or a time"),
        ({"end": "9" * 400 + ":00:01"}, "end must be a frame number or a time"),
        ({"fps": 0.001}, "a picture of the .gif would be shown for 1000 s, at most 655.35 s are"),
    ],
)
def test_numbers_without_sense_are_refused(tmp_path, options, message):
    folder = write_folder(tmp_path / "clip", random_frames(3))
    with pytest.raises(InputError, match=message):
        render.render(folder, ".gif", Options("gif", **options))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.mp4", "a.webm"])
def test_a_full_disk_names_the_file_and_leaves_nothing(run, tmp_path, name):
    folder = write_folder(tmp_path / "clip", random_frames(12, (96, 96)))
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, kept[1]))
    try:
        code, _, errors = run("image", folder, "-o", tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    errors = errors.splitlines()[-1]  # after the bar
    assert code == 2 and errors.startswith("error: ") and str(tmp_path / name) in errors
    assert ".tmp" not in errors and "movie" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
