"""prepare_clips: many clips at a time, several methods, clips that fail, interrupts."""

import collections
import threading
import tracemalloc

import cv2
import numpy as np
import pandas as pd
import pytest
from clips import random_frames, write_folder, write_video
from face_videos import close_up, moved, nod

from originet import datasets
from originet.bench.prepare import draw_face
from originet.clips import faces
from originet.clips.clip import open_clip
from originet.clips.frames import clip_frames, list_frames
from originet.clips.still import read_image
from originet.datasets import load_dataset, prepare, store
from originet.datasets.prepare import Settings, prepare_clip, prepare_clips
from originet.system.errors import InputError
from originet_ext import METHODS

LANDMARKS = {"crop_face": True, "face_by": "landmarks"}


@pytest.fixture
def table(tmp_path):
    """Six clips of 5 to 10 frames of 48 x 64 noise."""
    for index in range(6):
        clip = random_frames(5 + index, (48, 64), index)
        write_folder(tmp_path / "sad" / f"s{index % 2}" / f"clip{index}", clip)
    return load_dataset("folder", tmp_path)


def face_frames(count=12, turned=0.0):
    """Returns frames [count, 240, 320] of a drawn face that moves a little, turned by degrees."""
    scene = np.full((240, 320), 90, np.uint8)
    scene[30:210, 70:250] = draw_face(180)
    turn = cv2.getRotationMatrix2D((160, 120), -turned, 1)
    scene = cv2.warpAffine(scene, turn, (320, 240), borderValue=90)
    return np.stack([np.roll(scene, number // 4, 0) for number in range(count)])


@pytest.fixture
def damaged(table):
    """The second and the fifth clip's middle frames are broken in two ways."""
    for index, keep in ((1, 200), (4, 0)):
        path = table.frames.iloc[index][2]
        with open(path, "r+b") as file:
            file.truncate(keep)
    return table


def test_all_methods_come_from_one_pass_and_are_those_of_one_alone(table, monkeypatch):
    read = collections.Counter()
    original = read_image
    monkeypatch.setattr(
        "originet.clips.frames.read_image",
        lambda path, **k: read.update([str(path)]) or original(path, **k),
    )
    images = prepare_clips(table, Settings(METHODS, image_size=20), jobs=2).images
    assert read == dict.fromkeys([path for frames in table.frames for path in frames], 1)
    assert tuple(images) == METHODS
    for method in METHODS:
        alone = prepare.active_images(table, method=method, image_size=20, jobs=1)
        np.testing.assert_array_equal(images[method], alone)
        assert images[method].dtype == np.uint8 and images[method].max(axis=(1, 2)).min() == 255


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_telescoped_of_few_frames_is_that_of_all(tmp_path, count):
    write_folder(tmp_path / "a", random_frames(count, (20, 20)))
    frames = list_frames(tmp_path / "a")
    first, _ = prepare_clip(frames, None, None, Settings(("telescoped", "rank"), image_size=20))
    np.testing.assert_array_equal(
        prepare_clip(frames, None, None, Settings(("telescoped",), image_size=20))[0], first
    )


def test_frames_are_decoded_once_with_a_face_too(tmp_path, monkeypatch):
    write_folder(tmp_path / "sad" / "s1" / "a", face_frames())
    read = collections.Counter()
    original = read_image
    monkeypatch.setattr(
        "originet.clips.frames.read_image",
        lambda path, **k: read.update([path]) or original(path, **k),
    )
    table = load_dataset("folder", tmp_path)
    images = prepare_clips(table, Settings(("cumulative", "absolute"), crop_face=True)).images
    assert read == dict.fromkeys(table.frames.iloc[0], 1)
    assert images["absolute"].max() == 255


def test_the_number_of_jobs_does_not_change_the_images(table):
    settings = Settings(("absolute", "rank"), image_size=24)
    alone, several = (prepare_clips(table, settings, jobs=jobs) for jobs in (1, 4))
    for method in settings.methods:
        np.testing.assert_array_equal(alone.images[method], several.images[method])


def test_clips_are_told_in_the_calling_thread_as_they_are_finished(table):
    here = threading.current_thread()
    calls, results = [], {}

    def done(place, result):
        assert threading.current_thread() is here
        results[place] = result

    settings = Settings(("cumulative", "absolute"), image_size=16)
    images, failed = prepare_clips(
        table, settings, jobs=3, progress=lambda *call: calls.append(call), done=done
    )
    assert calls == [(number, 6) for number in range(1, 7)] and not failed
    assert sorted(results) == list(range(6))
    for place, result in results.items():
        assert [(each.shape, each.dtype) for each in result] == [((16, 16), np.uint8)] * 2
        np.testing.assert_array_equal(result[1], images["absolute"][place])


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("methods", [("telescoped",), ("cumulative",), ("absolute",)])
def test_a_clip_that_fails_does_not_stop_the_others(damaged, jobs, methods):
    told = {}
    images, failed = prepare_clips(
        damaged, Settings(methods, image_size=16), jobs=jobs, done=told.__setitem__
    )
    assert list(failed) == [1, 4]
    assert failed[1] == f"truncated image: {damaged.frames.iloc[1][2]}"
    assert failed[4] == f"empty file (0 bytes): {damaged.frames.iloc[4][2]}"
    assert {place for place, result in told.items() if isinstance(result, InputError)} == {1, 4}
    used = images[methods[0]].any(axis=(1, 2))
    assert used.tolist() == [place not in failed for place in range(6)]


def test_active_images_end_with_the_clip_that_fails(damaged):
    with pytest.raises(InputError, match=r"(truncated|empty) .*img3\.png"):
        prepare.active_images(damaged, image_size=16, jobs=2)


def test_frames_whose_size_changes_are_named(table):
    path = table.frames.iloc[3][4]
    assert cv2.imwrite(path, np.zeros((48, 60), np.uint8))
    failed = prepare_clips(table, Settings(image_size=16)).failed
    assert failed == {3: f"frame size changes at {path}: 60x48 after 64x48"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_ends_the_work_ends_it_at_the_next_frame(table, monkeypatch, error):
    read, started = [], threading.Event()
    original = read_image

    def slow_after_the_first(path, **options):
        if "clip0" not in path:
            started.set()
            threading.Event().wait(0.02)
        read.append(path)
        return original(path, **options)

    def done(place, result):
        started.wait(10)
        raise error("stop")

    monkeypatch.setattr("originet.clips.frames.read_image", slow_after_the_first)
    before, others = cv2.getNumThreads(), set(threading.enumerate())
    with pytest.raises(error, match="stop"):
        prepare_clips(table, Settings(image_size=16), jobs=2, done=done)
    # Clip 0, of 5 frames, was finished; of the two under way a few frames were read, of 45 left.
    assert 5 < len(read) < 5 + 10
    assert cv2.getNumThreads() == before
    # Not by name: libraries that other tests used keep threads of the same names.
    assert not set(threading.enumerate()) - others


def test_opencv_has_one_thread_meanwhile(table):
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        seen = []
        prepare_clips(
            table, Settings(image_size=16), done=lambda *_: seen.append(cv2.getNumThreads())
        )
        assert set(seen) == {1} and cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@pytest.mark.slow
def test_memory_is_that_of_the_clips_under_way(tmp_path):
    frame = 240 * 320
    for index in range(12):
        write_folder(tmp_path / "sad" / "s1" / f"c{index}", face_frames(40))
    table = load_dataset("folder", tmp_path)
    settings = Settings(image_size=16, crop_face=True)
    peaks = []
    for clips in (2, 2, 12):  # the first one warms up
        tracemalloc.start()
        prepare_clips(table.iloc[:clips], settings, jobs=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Of each of two clips five samples, one frame, the file's bytes, and what a search shrinks.
    assert max(peaks[1:]) < 2 * 10 * frame


@pytest.mark.parametrize("turned", [-10.0, 7.0])
def test_eyes_are_levelled_by_one_turn_for_the_clip(tmp_path, turned):
    folder = write_folder(tmp_path / "a", face_frames(turned=turned))
    clip = open_clip(folder, crop_face=True, align_eyes=True)
    assert abs(clip.angle - turned) < 3
    straight = open_clip(folder, crop_face=True)
    assert straight.angle == 0 and clip.box == straight.box
    images = [
        prepare_clip(clip.frames, None, None, Settings(crop_face=True, align_eyes=align))
        for align in (False, True)
    ]
    assert not np.array_equal(*images)


def test_a_clip_without_eyes_or_face_is_named(tmp_path, monkeypatch):
    frames = clip_frames(write_folder(tmp_path / "blank", np.zeros((3, 64, 64), np.uint8)))
    settings = Settings(crop_face=True, align_eyes=True)
    with pytest.raises(InputError, match=r"no face found in 3 sampled frames of 64x64: .*blank"):
        prepare_clip(frames, None, None, settings)
    box = faces.Box(0, 0, 64)
    monkeypatch.setattr(faces, "stable_box", lambda frames, *, margin: box)
    with pytest.raises(InputError, match=r"no two eyes found in 3 sampled frames: .*blank"):
        prepare_clip(frames, None, None, settings)


def test_the_margin_is_a_share_of_the_face(tmp_path):
    folder = write_folder(tmp_path / "a", face_frames())
    none, wide = (open_clip(folder, crop_face=True, margin=margin).box for margin in (0.0, 0.2))
    assert abs(wide.size - 1.4 * none.size) <= 1


def test_videos_are_prepared_too(tmp_path):
    path = write_video(tmp_path / "sad" / "s1" / "a.avi", face_frames(30))
    images, failed = prepare_clips(
        load_dataset("folder", tmp_path), Settings(("absolute",), crop_face=True), jobs=2
    )
    assert not failed and images["absolute"].max() == 255
    assert path.exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"methods": ()}, r"methods must be at least one and all different, got none"),
        ({"methods": ("cumulative", "rank", "cumulative")}, "all different"),
        ({"methods": ("paper",)}, "method must be one of cumulative, telescoped, .*'paper'"),
        ({"image_size": 0}, r"image_size must be in 1\.\.4096, got 0"),
        ({"image_size": 1_000_000}, r"image_size must be in 1\.\.4096, got 1000000"),
        ({"crop_face": True, "margin": -0.1}, "margin must be .* got -0.1"),
        ({"crop_face": True, "margin": 11}, r"margin must be in 0\.\.10, got 11"),
        ({"crop_face": True, "margin": float("nan")}, "margin must be .* got nan"),
        ({"align_eyes": True}, "align_eyes needs crop_face"),
    ],
)
def test_bad_settings_are_named(options, match):
    with pytest.raises(InputError, match=match):
        Settings(**options)


def test_jobs_below_one_are_refused(table):
    with pytest.raises(InputError, match="jobs must be at least 1, got 0"):
        prepare_clips(table, Settings(), jobs=0)


@pytest.mark.needs_landmarks
def test_landmarks_make_images_of_a_face_held_still(tmp_path):
    for subject in ("s1", "s2"):
        frames = [moved(close_up(), nod(k / 25, 134 + 122j, 120.0)) for k in range(6)]
        write_folder(tmp_path / "tree" / "sad" / subject / "a", frames)
    write_folder(tmp_path / "tree" / "sad" / "s3" / "a", np.zeros((3, 64, 64), np.uint8))
    table = load_dataset("folder", tmp_path / "tree")
    held, failed = prepare_clips(table, Settings(("telescoped", "absolute"), 48, **LANDMARKS))
    boxed = prepare_clips(table, Settings(("absolute",), 48, crop_face=True)).images
    assert held["absolute"].shape == (3, 48, 48) and list(failed) == [2]
    assert "no face found" in failed[2]
    np.testing.assert_array_equal(held["absolute"][0], held["absolute"][1])
    assert not np.array_equal(held["absolute"][0], boxed["absolute"][0])
    # Where only the ends are summed, the face is followed through the others all the same.
    alone = prepare_clips(table, Settings(("telescoped",), 48, **LANDMARKS)).images
    np.testing.assert_array_equal(alone["telescoped"], held["telescoped"])


@pytest.mark.needs_landmarks
def test_a_store_by_landmarks_says_so(tmp_path):
    write_folder(tmp_path / "tree" / "sad" / "s1" / "a", [close_up()] * 3)
    found = datasets.survey("folder", tmp_path / "tree")
    made = store.write_store(found, tmp_path / "out", Settings(image_size=16, **LANDMARKS))
    assert made.face_by == "landmarks" and made.manifest["settings"]["face_by"] == "landmarks"
    assert Settings(**made.manifest["settings"]) == Settings(image_size=16, **LANDMARKS)


def test_several_methods_by_comma_are_channels_of_the_single_images(table):
    single = {name: prepare.active_images(table, method=name, image_size=20) for name in METHODS}
    joined = prepare.active_images(table, method="rank,onset,cumulative,dis", image_size=20)
    assert joined.shape == (6, 20, 20, 6) and joined.dtype == np.float32
    np.testing.assert_array_equal(joined[..., 0], single["rank"])
    np.testing.assert_array_equal(joined[..., 2], single["cumulative"])
    both = prepare.active_images(table, method="cumulative,rank", image_size=20)
    assert both.dtype == np.uint8
    assert both[..., 0].tobytes() == single["cumulative"].tobytes()
    assert both[..., 1].tobytes() == single["rank"].tobytes()


def test_an_apex_whose_frame_is_missing_is_estimated_and_told(tmp_path):
    frames = random_frames(5, (20, 20))
    folder = write_folder(tmp_path / "a", frames)
    settings = Settings(("apex",), image_size=20)

    def apex(number):
        names = tuple(str(path) for path in list_frames(folder))
        table = pd.DataFrame({"frames": [names], "apex": [number]})
        (image,) = prepare_clip(names, None, None, settings, apex=number)
        return image, prepare.estimated_apexes(table)

    assert apex(3)[1] == [] and (apex(3)[0] == frames[2]).all()
    assert apex(None)[1] == [0]
    (folder / "img4.png").unlink()
    assert apex(4)[1] == [0] and apex(3)[1] == []
    assert (apex(4)[0] == apex(None)[0]).all()
    # The frames of a video have no names: one that ends before its apex cannot be used.
    video = str(write_video(tmp_path / "a.avi", frames))
    with pytest.raises(InputError, match=r"apex 9 is not among the frames of .*a\.avi"):
        prepare_clip((video,), None, None, settings, apex=9)
