"""Damaged and mistaken clips: frames, or one InputError that names the file, and nothing else.

The same damage in each run; what FFmpeg makes of other bytes is not under test here.
"""

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from originet import cli
from originet.clips.frames import clip_frames, read_clip
from originet.system.errors import InputError

VIDEOS = {"a.avi": "MJPG", "b.mp4": "mp4v", "c.mov": "mp4v", "d.avi": "XVID"}
IMAGES = ("1.png", "2.jpg", "3.bmp")
FRAMES = 12
SIZE = (24, 32)

fuzzed = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of sound files by name."""
    folder = tmp_path_factory.mktemp("sound")
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, *SIZE, 3), np.uint8)
    for name, codec in VIDEOS.items():
        code = cv2.VideoWriter_fourcc(*codec)
        writer = cv2.VideoWriter(str(folder / name), code, 30, SIZE[::-1])
        for frame in frames:
            writer.write(frame)
        writer.release()
    for name in IMAGES:
        assert cv2.imwrite(str(folder / name), frames[0])
    return {name: (folder / name).read_bytes() for name in (*VIDEOS, *IMAGES)}


def frames_or_input_error(source):
    """Reads a clip; returns how many frames it has, or the message of the error."""
    try:
        clip = read_clip(source)
    except InputError as error:
        message = str(error)
        named = source if isinstance(source, str | Path) else source[0]
        assert str(Path(named).parent) in message and "\n" not in message
        return message
    assert clip.dtype == np.uint8 and clip.ndim == 3 and clip.size > 0
    return len(clip)


def test_the_sound_files_are_read(sound, tmp_path):
    for name, data in sound.items():
        (tmp_path / name).write_bytes(data)
        want = FRAMES if name in VIDEOS else 1
        assert frames_or_input_error([str(tmp_path / name)]) == want


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VIDEOS, *IMAGES])
def test_truncated_at_any_byte(sound, tmp_path, name, capfd):
    data, path = sound[name], tmp_path / name

    @fuzzed
    @given(
        st.one_of(st.integers(0, len(data) - 1), st.integers(1, 100).map(lambda n: len(data) - n))
    )
    def check(length):
        path.write_bytes(data[:length])
        outcome = frames_or_input_error([str(path)])
        if isinstance(outcome, str):
            assert str(path) in outcome
        else:  # little was lost: the end of an index, or the last frame
            assert length > 0.9 * len(data) and name in VIDEOS and outcome >= 0.9 * FRAMES
        assert capfd.readouterr() == ("", "")

    check()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VIDEOS, *IMAGES])
def test_changed_bytes(sound, tmp_path, name):
    data, path = sound[name], tmp_path / name
    # Headers are at both ends, and half of all changes should meet them.
    anywhere, at_an_end = st.integers(0, len(data) - 1), st.integers(-400, 400)

    @fuzzed
    @given(st.lists(st.tuples(anywhere | at_an_end, st.integers(0, 255)), min_size=1, max_size=12))
    def check(changes):
        changed = bytearray(data)
        for place, value in changes:
            changed[place] = value
        path.write_bytes(changed)
        outcome = frames_or_input_error([str(path)])
        assert isinstance(outcome, int) or str(path) in outcome

    check()


@pytest.mark.parametrize(
    ("name", "taken_for"),
    [
        ("1.png", "a.avi"),
        ("2.jpg", "a.mp4"),
        ("a.avi", "1.png"),
        ("b.mp4", "1.jpg"),
        ("a.avi", "b.mp4"),
        ("1.png", "1.jpg"),
    ],
)
def test_wrong_extension(sound, tmp_path, name, taken_for):
    path = tmp_path / taken_for
    path.write_bytes(sound[name])
    outcome = frames_or_input_error([str(path)])
    # What a file holds decides, not its name; but an image is not looked for frames in, and a
    # video not taken for an image.
    if (name in VIDEOS) == (taken_for in VIDEOS):
        assert outcome == (FRAMES if name in VIDEOS else 1)
    elif name in VIDEOS:
        assert outcome == f"unreadable image: {path}"
    else:
        assert outcome == 1 or str(path) in outcome


@pytest.mark.slow
@fuzzed
@given(data=st.binary(max_size=300), name=st.sampled_from([*VIDEOS, *IMAGES, "text", "é .mp4"]))
def test_any_bytes_under_any_name(data, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    outcome = frames_or_input_error([str(path)])
    assert str(path) in outcome


@fuzzed
@given(
    kinds=st.lists(
        st.sampled_from(["sound", "sound", "sound", "larger", "cut", "empty", "text", "folder"]),
        max_size=6,
    )
)
def test_folders_of_sound_and_unsound_images(sound, tmp_path, kinds):
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    larger = cv2.imencode(".png", np.zeros((25, 32), np.uint8))[1].tobytes()
    for number, kind in enumerate(kinds, start=1):
        path = folder / f"{number}.png"
        if kind == "folder":
            path.mkdir()  # not a frame
            continue
        whole = larger if kind == "larger" else sound["1.png"]
        contents = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"no picture"}
        path.write_bytes(contents.get(kind, whole))
    outcome = frames_or_input_error(folder)
    errors = {"cut": "truncated image", "empty": "empty file", "text": "unreadable image"}
    first = None
    for number, kind in enumerate(kinds, start=1):
        if kind == "folder":
            continue
        first = first or kind
        if kind in errors or kind != first:
            assert errors.get(kind, "frame size changes") in outcome
            assert str(folder / f"{number}.png") in outcome
            return
    if first is None:
        assert outcome.startswith(f"no frames in {folder}: ")
    else:
        assert outcome == len(kinds) - kinds.count("folder")


def test_a_folder_named_like_a_video_is_a_folder(sound, tmp_path):
    folder = tmp_path / "a.mp4"
    folder.mkdir()
    assert frames_or_input_error(folder).startswith(f"no frames in {folder}: ")
    assert frames_or_input_error([str(folder)]) == f"{folder} is a folder, not a file"
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(sound["1.png"])
    assert frames_or_input_error(folder) == 2


@contextmanager
def without_permission(path):
    """Nobody may read the path, not even the administrator, if that is who runs the tests."""
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o700)


@pytest.mark.parametrize("name", ["b.mp4", "1.png"])
def test_without_permission(sound, name):
    # Not tmp_path, whose parents are for its owner alone.
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        folder = Path(root) / "clip"
        folder.mkdir()
        path = folder / name
        path.write_bytes(sound[name])
        folder.chmod(0o755)
        with without_permission(path):
            assert frames_or_input_error([str(path)]) == f"cannot read {path}: Permission denied"
        with without_permission(folder):
            assert frames_or_input_error([str(path)]) == f"cannot read {path}: Permission denied"
            message = f"cannot read {folder}: Permission denied"
            with pytest.raises(InputError, match=message):
                clip_frames(folder)
            with pytest.raises(InputError, match="Permission denied"):
                clip_frames(path)


def test_a_name_that_is_too_long(tmp_path):
    path = tmp_path / ("a" * 300 + ".mp4")
    assert frames_or_input_error([str(path)]) == f"cannot read {path}: File name too long"
    with pytest.raises(InputError, match="File name too long"):
        clip_frames(path)


# The command


@pytest.fixture
def image(monkeypatch, capfd):
    """Runs `originet image`; returns (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["originet", "image", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capfd.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return run


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_image_of_a_damaged_clip_leaves_nothing_behind(sound, tmp_path, image, suffix):
    sources, out = tmp_path / "sources", tmp_path / "out"
    sources.mkdir()
    out.mkdir()
    old = out / f"old{suffix}"
    old.write_bytes(b"a picture from before")
    changing = sources / "changing"
    changing.mkdir()
    (changing / "1.png").write_bytes(sound["1.png"])
    cv2.imwrite(str(changing / "2.png"), np.zeros((7, 7), np.uint8))
    (sources / "empty").mkdir()
    damaged = {
        "half.avi": sound["a.avi"][: len(sound["a.avi"]) // 2],
        "half.mp4": sound["b.mp4"][: len(sound["b.mp4"]) // 2],
        "zero.mp4": b"",
        "text.mov": b"no video\n" * 50,
        "image.png": sound["1.png"],
    }
    for name, data in damaged.items():
        (sources / name).write_bytes(data)
    for name in (*damaged, "changing", "empty", "missing.mp4"):
        for target in (out / f"new{suffix}", old, tmp_path / "new" / f"a{suffix}"):
            code, printed, errors = image(sources / name, "-o", target)
            assert code == 2 and printed == ""
            assert errors.startswith("error: ") and errors.count("\n") == 1
            assert str(sources / name) in errors
        assert [path.name for path in out.iterdir()] == [old.name]
        assert old.read_bytes() == b"a picture from before"
        assert not (tmp_path / "new").exists()
    (sources / "sound.mp4").write_bytes(sound["b.mp4"])
    assert image(sources / "sound.mp4", "-o", old)[0] == 0
    assert [path.name for path in out.iterdir()] == [old.name]
    assert old.read_bytes() != b"a picture from before"
