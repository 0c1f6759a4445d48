"""Estimated apexes and warnings: planted black frames, cuts, heads that leave, several people."""

import json

import cv2
import numpy as np
import pytest
from clips import random_frames, write_folder, write_video
from skimage import data

from originet.clips import render
from originet.clips.active_images import phases
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip
from originet.clips.watch import Watch
from originet.datasets import synth


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Synthetic clips from onset to offset, by path."""
    root = synth.generate(tmp_path_factory.mktemp("synth") / "set", subjects=3, clips_per_class=1)
    return {path: read_clip(path) for path in sorted(root.glob("*/s0*/*"))}


def apex(folder, frames):
    clip = open_clip(write_folder(folder, frames))
    return phases(clip).apex.number


def leaves(frames, first, over, returns=None):
    """Has the picture's content move out to the right from one frame on, and perhaps return."""
    noise = np.random.default_rng(0)
    background = int(np.median(frames[0][:, :4]))
    moved = frames.copy()
    width = frames.shape[2]
    for index in range(first, len(frames)):
        shift = min(width, width * (index - first + 1) // over)
        if returns is not None and index >= returns:
            shift = max(0, width - width * (index - returns + 1) // over)
        if not shift:  # it is back
            continue
        picture = np.full(frames.shape[1:], float(background))
        picture[:, shift:] = frames[index][:, : width - shift]
        moved[index] = (picture + noise.normal(0, 1.5, picture.shape)).round().clip(0, 255)
    return moved


def planted(frames, what):
    """Disturbs a clip after its middle, where the frames' own apex may be lost too."""
    frames, end = frames.copy(), len(frames)
    if what == "black":
        frames[[2, end - 7, end - 6]] = 0
    elif what == "white":
        frames[end - 5] = 255
    elif what == "noisy black":
        noise = np.random.default_rng(0).integers(0, 5, (2, *frames.shape[1:]))
        frames[end - 6 : end - 4] = noise
    elif what == "another scene":
        scene = cv2.resize(data.camera(), frames.shape[:0:-1], interpolation=cv2.INTER_AREA)
        frames[end - 8 :] = scene
    elif what == "leaves":
        return leaves(frames, 3 * end // 4, 10)
    elif what == "leaves slowly":
        return leaves(frames, 7 * end // 10, 20)
    elif what == "leaves and returns":
        return leaves(frames, 7 * end // 10, 6, 17 * end // 20)
    return frames


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    [
        "black",
        "white",
        "noisy black",
        "another scene",
        "leaves",
        "leaves slowly",
        "leaves and returns",
    ],
)
def test_the_apex_is_none_of_what_was_planted(faces, tmp_path, what):
    for place, frames in enumerate(list(faces.values())[::2]):
        plain = apex(tmp_path / f"{place}", frames)
        disturbed = planted(frames, what)
        untouched = [np.array_equal(a, b) for a, b in zip(frames, disturbed, strict=True)]
        found = apex(tmp_path / f"{place}-{what}", disturbed)
        assert untouched[found - 1]
        if untouched[plain - 1] and plain < 0.65 * len(frames):
            assert found == plain


@pytest.mark.parametrize("count", [1, 3])
def test_black_frames_before_the_clip_begins_are_no_onset_to_differ_from(faces, tmp_path, count):
    frames = next(iter(faces.values()))
    black = np.zeros((count, *frames.shape[1:]), np.uint8)
    want = count + apex(tmp_path / "plain", frames)
    assert apex(tmp_path / "late", np.concatenate([black, frames])) == want
    assert apex(tmp_path / "black", black) == 1


@pytest.mark.slow
def test_ordinary_clips_keep_the_frame_least_like_the_onset(faces):
    for path, frames in [*faces.items(), (synth.carphone_path(), None)]:
        frames = read_clip(path) if frames is None else frames
        differences = np.abs(frames.astype(int) - frames[0]).mean((1, 2))
        assert phases(open_clip(path)).apex.number == 1 + differences.argmax()


def test_the_apex_of_a_video_is_read_again(faces, tmp_path):
    frames = planted(next(iter(faces.values())), "black")
    found = phases(open_clip(write_video(tmp_path / "a.avi", frames), start=2))
    np.testing.assert_allclose(found.apex.pixels, frames[found.apex.number - 1], atol=25)
    assert found.apex.seconds == pytest.approx((found.apex.number - 1) / 25)


# Warnings


def warned(path, kind="image", **options):
    suffix = ".gif" if kind == "gif" else ".png"
    return render.render(path, suffix, render.Options(kind, **options)).warnings


@pytest.mark.slow
@pytest.mark.parametrize("kind", render.KINDS)
def test_ordinary_clips_draw_no_warning(faces, kind):
    for path in [*list(faces)[:3], synth.carphone_path()]:
        assert not warned(path, kind)


def test_real_face_cut_out_draws_no_warning():
    assert not warned(synth.carphone_path(), crop_face=True)


@pytest.mark.slow
def test_cuts_are_told(faces, tmp_path):
    first, *_, last = faces.values()
    scene = cv2.resize(data.camera(), first.shape[:0:-1], interpolation=cv2.INTER_AREA)
    frames = np.concatenate([first[:20], np.stack([scene] * 9), last[:10]])
    (line,) = warned(write_folder(tmp_path / "clip", frames))
    assert line.startswith("has 2 cuts, at frames 21, 30: ")
    (line,) = warned(write_folder(tmp_path / "one", frames[:25], first=5))
    assert line.startswith("has a cut, at frame 25: ")
    many = np.concatenate([frames] * 4)
    (line,) = warned(write_folder(tmp_path / "many", many))
    assert line.startswith("has 11 cuts, at frames 21, 30, 40, 60, ...: ")


def test_light_and_motion_are_no_cuts(faces, tmp_path):
    frames = next(iter(faces.values()))[:30]
    flash = frames.copy()
    flash[10:] = (flash[10:] * 0.4).astype(np.uint8)  # the light goes out
    assert not warned(write_folder(tmp_path / "flash", flash))
    assert not warned(write_folder(tmp_path / "leaves", leaves(frames, 10, 30)))


def test_black_frames_are_told_and_are_no_cuts(faces, tmp_path):
    frames = next(iter(faces.values())).copy()
    frames[[4, 9]] = 0
    (line,) = warned(write_folder(tmp_path / "clip", frames))
    assert line.startswith("has 2 blank frames, 5, 10, which count ")


@pytest.mark.parametrize("crop", [False, True])
def test_several_people_are_told(tmp_path, crop):
    face = cv2.cvtColor(data.astronaut()[:260, 100:360], cv2.COLOR_RGB2GRAY)
    frames = [np.roll(np.hstack([face, face[:, ::-1]]), k, 1) for k in (0, 1, 2, 1, 0)]
    (line,) = warned(write_folder(tmp_path / "two", frames), crop_face=crop)
    assert line.startswith("shows 2 faces: ") and "--crop-face" in line
    single = [np.roll(face, k, 1) for k in (0, 1, 2, 1, 0)]
    assert not warned(write_folder(tmp_path / "one", single), crop_face=crop)


def test_clips_of_minutes_are_told(tmp_path):
    frames = [np.roll(random_frames(1)[0], k % 3, 1) for k in range(63)]
    folder = write_folder(tmp_path / "clip", frames)
    (line,) = warned(folder, fps=0.5)
    assert line.startswith("lasts 2:04 minutes, ")
    assert not warned(folder, fps=2)
    assert not warned(folder, fps=0.5, end=10)
    assert not warned(folder)  # nothing tells the time
    path = write_video(tmp_path / "a.avi", frames, fps=1)
    (line,) = warned(path)
    assert line.startswith("lasts 1:02 minutes, ")


@pytest.mark.slow
def test_many_frames_are_long_where_nothing_tells_the_time():
    watch, frame = Watch(), random_frames(1)[0]
    for number in range(12_000):
        watch.see(number, frame, None)
    assert not watch.warnings()
    watch.see(12_000, frame, None)
    (line,) = watch.warnings()
    assert line.startswith("has 12,001 frames, ")


# Flat active images


def test_flat_images_are_told_with_the_reason(tmp_path):
    frames = random_frames(4, seed=1)
    there_and_back = write_folder(tmp_path / "back", [*frames, frames[0], frames[0]])
    (line,) = warned(there_and_back, method="telescoped")
    assert line == (
        "gives a flat active image by telescoped, of a single grey: the clip ends as it began"
    )
    assert not warned(there_and_back, method="cumulative")
    (line,) = warned(there_and_back, "all-methods")
    assert "flat active image by telescoped," in line
    one = write_folder(tmp_path / "one", frames[:1])
    still = write_folder(tmp_path / "still", [frames[0]] * 5)
    for kind in ("image", "side-by-side", "gif"):
        (line,) = warned(one, kind)
        assert line.endswith("of a single grey: the clip has only one frame")
        (line,) = warned(still, kind)
        assert "flat active image by cumulative," in line and "nothing moves" in line


def test_warnings_are_lines_on_stderr(run, faces, tmp_path):
    still = write_folder(tmp_path / "clips" / "still", [random_frames(1)[0]] * 3)
    write_folder(tmp_path / "clips" / "moves", random_frames(3))
    code, out, err = run("image", still, "-o", tmp_path / "a.png")
    assert code == 0 and (tmp_path / "a.png").is_file()
    (line,) = [line for line in err.splitlines() if "warning" in line]
    assert line.startswith(f"warning: {still} gives a flat active image by cumulative")
    code, out, err = run("image", tmp_path / "clips", "-o", tmp_path / "out")
    assert code == 0 and "2 of 2 clips" in out
    assert (
        "warning: check 1 of 2 clips:" in err and f"  {still}: gives a flat active image by" in err
    )
    code, out, err = run("image", next(iter(faces)), "-o", tmp_path / "b.png")
    assert code == 0 and "warning" not in err


@pytest.mark.slow
def test_prepare_and_loso_name_clips_that_are_flat(run, tmp_path):
    frames = random_frames(4)
    for emotion, subject in (("happy", "a"), ("happy", "b"), ("sad", "a"), ("sad", "b")):
        write_folder(tmp_path / "set" / emotion / subject / f"{emotion}1", frames)
    write_folder(tmp_path / "set" / "sad" / "b" / "back", [*frames, frames[0], frames[0]])
    methods = ("--method", "telescoped", "--method", "rank", "--image-size", 16)
    code, _, err = run("prepare", "folder", tmp_path / "set", "-o", tmp_path / "store", *methods)
    line = "b/back: the active image by telescoped is flat, of a single grey"
    assert code == 0 and "warning: flat active images in 1 of 5 clips:" in err and line in err
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert list(manifest["flat"]) == ["b/back"]
    quick = ("--epochs", 1, "--image-size", 16, "--rotation", 0, "--method", "telescoped")
    code, _, err = run("loso", tmp_path / "set", "-o", tmp_path / "out", *quick)
    assert code == 0 and line in err
