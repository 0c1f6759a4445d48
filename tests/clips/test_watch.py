"""Warnings: cuts, blank frames, several people, long clips, flat active images."""

import json

import cv2
import numpy as np
import pytest
from clips import leaves, random_frames, write_folder, write_video
from skimage import data

from originet.clips import render
from originet.clips.watch import Watch
from originet.datasets import synth


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
