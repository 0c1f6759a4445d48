"""When the frames of a video are shown: by its time stamps, at whatever rate."""

import io

import numpy as np
import pytest
from clips import write_folder, write_video
from PIL import Image
from timed_videos import UNEVEN, bars, write_animation, write_timed

from originet.clips import render, video
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip
from originet.system.errors import InputError

CONTAINERS = [
    ("a.mp4", "mpeg4"),
    ("a.mp4", "libx264"),  # frames are stored in another order than shown
    ("a.mov", "libx264"),
    ("a.mkv", "libx264"),
    ("a.webm", "libvpx-vp9"),
    ("a.ts", "libx264"),
    ("a.flv", "flv"),
    ("a.nut", "mpeg4"),
]


def numbers(clip):
    return [shot.number for shot in clip.shots()]


def bar_of(frame):
    """The place of a frame of `bars`, by how far its bar reaches."""
    return (frame > 120).mean()


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_times_choose_frames_by_time_stamps(tmp_path, name, codec):
    path = write_timed(tmp_path / name, bars(72), UNEVEN, codec)
    clip = open_clip(path, start="2.4s", end="2.9s")
    shots = list(clip.shots())
    assert [shot.number for shot in shots] == list(range(37, 68)) and clip.length == 31
    for shot in shots:
        assert shot.seconds == pytest.approx(UNEVEN[shot.number - 1], abs=0.0006)
        assert bar_of(shot.pixels) == pytest.approx(shot.number / 72, abs=0.03)
    assert numbers(open_clip(path, start="0.1s", end="0.25s")) == [3, 4]
    assert numbers(open_clip(path, start="2.95s")) == [70, 71, 72]
    assert numbers(open_clip(path, start=70, end="2.97s")) == [70, 71]
    assert len(numbers(open_clip(path))) == 72  # and is not taken for a truncated one


def test_time_stamps_run_from_the_first_frame(tmp_path):
    path = write_timed(tmp_path / "late.mkv", bars(20), [7 + k / 10 for k in range(20)])
    shots = list(open_clip(path, start="0.5s", end="0.7s").shots())
    assert [(shot.number, round(shot.seconds, 3)) for shot in shots] == [
        (6, 0.5),
        (7, 0.6),
        (8, 0.7),
    ]


def test_fps_overrules_time_stamps(tmp_path):
    path = write_timed(tmp_path / "a.mp4", bars(72), UNEVEN)
    shots = list(open_clip(path, start="0.1s", end="0.2s", fps=100).shots())
    assert [(shot.number, shot.seconds) for shot in shots][::10] == [(11, 0.1), (21, 0.2)]


@pytest.mark.parametrize("name", ["a.mpg", "a.m1v", "a.m2v", "a.vob", "a.h264"])
def test_frames_without_stamps_follow_at_the_rate_of_the_file(tmp_path, name):
    codec = {"a.h264": "libx264", "a.mpg": "mpeg1video", "a.m1v": "mpeg1video"}
    times = [k / 25 for k in range(30)]
    path = write_timed(tmp_path / name, bars(30), times, codec.get(name, "mpeg2video"))
    seconds = [shot.seconds for shot in open_clip(path).shots()]
    np.testing.assert_allclose(seconds, times, atol=0.041)  # one of MPEG-1's stamps skips a frame
    assert (np.diff(seconds) > 0).all()
    assert numbers(open_clip(path, start="0.2s", end="0.32s")) == [6, 7, 8, 9]


def test_truncated_video_of_varying_rate_is_refused(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (72, 48, 64, 3), np.uint8)
    path = write_timed(tmp_path / "a.mkv", frames, UNEVEN, "mjpeg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"truncated video: .*a\.mkv ends after 3\d of \d+ frames"):
        read_clip(path)


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.ts", "a.mjpeg", "a.m2v", "a.webp"])
def test_frames_are_sampled_where_they_are(tmp_path, name):
    frames, path = bars(72), tmp_path / name
    if name == "a.webp":
        write_animation(path, frames, 40)
    else:
        even = [k / 25 for k in range(72)]
        codec = {".mjpeg": "mjpeg", ".m2v": "mpeg2video"}.get(path.suffix, "libx264")
        write_timed(path, frames, UNEVEN if name.startswith("uneven") else even, codec)
    found = list(video.read_frames_at(path, [60, 1, 37, 72, 99]))
    whole = read_clip(path)
    np.testing.assert_array_equal(found, whole[[59, 0, 36, 71]])


def test_the_face_is_looked_for_all_over_a_clip_that_tells_a_wrong_length(tmp_path):
    times = [k / 25 for k in range(30)]
    path = write_timed(tmp_path / "a.mpg", bars(30, (48, 64)), times, "mpeg1video")
    assert video.video_info(path).length == 1
    with pytest.raises(InputError, match="no face found in 5 sampled frames"):
        open_clip(path, crop_face=True)


def test_pictures_show_the_time_of_each_frame(tmp_path, monkeypatch):
    path = write_timed(tmp_path / "a.mp4", bars(72), UNEVEN)
    notes = []
    original = render.pictures.sheet
    monkeypatch.setattr(
        render.pictures,
        "sheet",
        lambda panels, columns: notes.extend(p.note for p in panels) or original(panels, columns),
    )
    render.render(path, ".png", render.Options("side-by-side", apex=67))
    assert notes[:3] == ["frame 1, 0.00 s", "frame 67, 2.90 s", "frame 72, 2.98 s"]


def test_constant_rate_and_folders_are_as_ever(tmp_path):
    path = write_video(tmp_path / "a.avi", bars(10)[..., 0])
    assert numbers(open_clip(path, start="0.08s", end="0.16s")) == [3, 4, 5]
    folder = write_folder(tmp_path / "clip", bars(10)[..., 0], first=5)
    shots = list(open_clip(folder, start="0.2s", fps=10).shots())
    assert [shot.number for shot in shots] == list(range(7, 15)) and shots[0].seconds == 0.2
    assert {shot.seconds for shot in open_clip(folder).shots()} == {None}
    data, *_ = render.render(path, ".png", render.Options())
    assert Image.open(io.BytesIO(data)).size == (144, 48)
