"""Animations at the clip's own speed, as GIF and as video; several inputs; levelled eyes."""

import io

import cv2
import numpy as np
import pytest
from clips import random_frames, write_folder, write_video
from PIL import Image
from skimage import data
from timed_videos import UNEVEN, bars, write_timed

from originet.clips import faces, pictures, render, video
from originet.clips.active_images import sum_up
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip
from originet.clips.render import Options
from originet.system.errors import InputError


def gif_times(written):
    picture = Image.open(io.BytesIO(written))
    times = []
    for index in range(picture.n_frames):
        picture.seek(index)
        times.append(picture.info["duration"])
    return times


def movie_length(written, path):
    path.write_bytes(written)
    return video.video_info(path), read_clip(path, color=True)


@pytest.mark.parametrize(
    ("rate", "options", "times"),
    [
        (25, {}, [40] * 12),
        (10, {}, [100] * 12),
        (25, {"speed": 0.25}, [160] * 12),
        (25, {"speed": 2}, [20] * 12),
        (30, {}, [30, 40, 30] * 4),  # hundredths of a second
        (25, {"fps": 100}, [20] * 6),  # what is faster than 50/s is thinned
        (25, {"speed": 4}, [20] * 6),
        (25, {"start": 5, "end": 8}, [40] * 4),
    ],
)
def test_gifs_play_at_the_speed_of_the_clip(tmp_path, rate, options, times):
    path = write_video(tmp_path / "a.avi", random_frames(12), fps=rate)
    made = render.render(path, ".gif", Options("gif", **options))
    found = gif_times(made.data)
    assert sorted(found) == sorted(times) and sum(found) == sum(times)
    thinned = ".gif cannot show more per second" in made.summary
    assert thinned == (len(times) == 6)
    assert made.summary.startswith(f"{len(times)} of {4 if 'start' in options else 12} frames")
    assert f"in {sum(times) / 1000:.2f} s" in made.summary


def test_gifs_of_long_clips_take_their_time(tmp_path):
    path = write_video(tmp_path / "a.avi", random_frames(250, (6, 8)), fps=50)
    times = gif_times(render.render(path, ".gif", Options("gif")).data)
    assert len(times) < 100 and sum(times) == pytest.approx(5000, abs=20)


def test_gifs_of_varying_rate_keep_each_frame_its_time(tmp_path):
    frames = bars(72)[30:42]
    path = write_timed(tmp_path / "a.mkv", frames, [t - 2 for t in UNEVEN[30:42]])
    times = gif_times(render.render(path, ".gif", Options("gif", speed=0.5)).data)
    assert sum(times[:6]) == pytest.approx(800, abs=20) and sum(times[6:]) < 300
    folder = write_folder(tmp_path / "clip", random_frames(5))
    assert gif_times(render.render(folder, ".gif", Options("gif")).data) == [40] * 5
    assert gif_times(render.render(folder, ".gif", Options("gif", fps=10)).data) == [100] * 5


@pytest.mark.slow
@pytest.mark.parametrize("suffix", pictures.VIDEO_SUFFIXES)
@pytest.mark.parametrize(
    ("rate", "speed", "want"),
    [(25, 1, (25, 12)), (25, 0.25, (12.5, 24)), (30, 1, (30, 12)), (25, 5, (60, 6))],
)
def test_videos_play_at_the_speed_of_the_clip(tmp_path, capfd, suffix, rate, speed, want):
    frames = np.repeat(np.linspace(20, 240, 12, dtype=np.uint8), 24 * 33).reshape(12, 24, 33)
    path = write_video(tmp_path / "a.avi", frames, fps=rate)
    capfd.readouterr()
    made = render.render(path, suffix, Options("gif", speed=speed))
    assert capfd.readouterr() == ("", "")
    (fps, _), shown = movie_length(made.data, tmp_path / f"b{suffix}")
    assert fps == pytest.approx(want[0], rel=0.01) and len(shown) == want[1]
    assert len(shown) / fps == pytest.approx(12 / rate / speed, abs=0.02)
    play = pictures.playing([k / rate / speed for k in range(13)], suffix)
    assert len(play.ticks) == (6 if speed == 5 else 12)
    height, width = shown.shape[1:3]
    assert height % 2 == width % 2 == 0
    # The clip is on the left: its last frame is bright, whatever was left out.
    assert shown[-1, height // 2 :, width // 8 : width // 4].mean() > 200
    assert shown[0, height // 2 :, width // 8 : width // 4].mean() < 120


def test_video_in_colour(tmp_path):
    frames = np.zeros((6, 32, 32, 3), np.uint8)
    frames[..., 2] = 220  # red
    path = write_folder(tmp_path / "clip", frames)
    made = render.render(path, ".mp4", Options("gif", color=True))
    _, shown = movie_length(made.data, tmp_path / "b.mp4")
    height, width = shown.shape[1:3]
    blue, green, red = shown[0, 3 * height // 4, width // 4]
    assert red > 180 and blue < 60 and green < 60


@pytest.mark.parametrize("times", [[0, 0.04], [0, 0.001], [0, 0, 0], [0, 0.5, 0.501, 0.502, 0.51]])
@pytest.mark.parametrize("suffix", [".gif", *pictures.VIDEO_SUFFIXES])
def test_the_last_picture_is_always_shown(times, suffix):
    play = pictures.playing(times, suffix)
    assert max(play.ticks) == len(times) - 2 and min(play.ticks.values()) >= 1
    assert sum(play.ticks.values()) / play.rate == pytest.approx(times[-1], abs=0.06)


def test_speed_is_checked():
    for value in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"--speed must be a number from 0\.001 to 1000, got"):
            Options("gif", speed=value)
    with pytest.raises(InputError, match=r"--speed 0\.5 is for --gif only"):
        Options(speed=0.5)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_image_writes_what_the_ending_says(run, tmp_path, name):
    source = write_folder(tmp_path / "clip", random_frames(6))
    code, out, err = run("image", source, "-o", tmp_path / name, "--speed", 0.5)
    assert code == 0 and "6 of 6 frames, in 0.48 s (speed 0.5)" in out, err
    assert len(read_clip(tmp_path / name)) in (6, 12)


def test_the_clip_itself_is_not_replaced(run, tmp_path):
    source = write_video(tmp_path / "a.mp4", random_frames(4, (48, 64)))
    before = source.read_bytes()
    code, _, err = run("image", source, "-o", source)
    assert code == 2 and "is the clip itself: write it elsewhere" in err
    gif = tmp_path / "b.gif"
    Image.new("L", (8, 8)).save(gif)
    code, _, err = run("image", source, gif, "-o", tmp_path, "--gif")
    assert code == 2 and f"the output would replace the clip {gif}" in err
    assert source.read_bytes() == before


# Several inputs


def test_image_of_several_paths(run, tmp_path, monkeypatch):
    first = write_video(tmp_path / "x" / "a.avi", random_frames(4, seed=1))
    write_video(tmp_path / "y" / "a.avi", random_frames(4, seed=2))
    write_folder(tmp_path / "y" / "more" / "c", random_frames(4, seed=3))
    paths = (first, tmp_path / "y" / "a.avi", tmp_path / "y" / "more")
    code, out, err = run("image", *paths, "-o", tmp_path / "out")
    assert code == 0 and "3 of 3 clips" in out, err
    made = {
        str(file.relative_to(tmp_path / "out")): file for file in (tmp_path / "out").rglob("*.*")
    }
    assert sorted(made) == ["x/a.png", "y/a.png", "y/more/c.png"]
    alone = render.render(first, ".png", Options())
    assert made["x/a.png"].read_bytes() == alone.data
    monkeypatch.chdir(tmp_path / "y")
    code, out, err = run("image", "a.avi", "more/c", "../x/a.avi", "-o", "../out2", "--gif")
    assert code == 0, err
    made = [str(file.relative_to(tmp_path / "out2")) for file in (tmp_path / "out2").rglob("*.*")]
    assert sorted(made) == ["x/a.gif", "y/a.gif", "y/more/c.gif"]


def test_several_paths_of_one_folder_are_named_plainly(run, tmp_path):
    paths = [write_video(tmp_path / f"{name}", random_frames(3)) for name in ("a.avi", "b.avi")]
    twin = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "a.mkv").write_bytes(twin)
    code, _, err = run("image", *paths, tmp_path / "a.mkv", "-o", tmp_path / "out")
    assert code == 0, err
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "a.avi.png",
        "a.mkv.png",
        "b.png",
    ]


def test_several_paths_that_do_not_go_together_are_refused(run, tmp_path):
    paths = [write_video(tmp_path / name, random_frames(3)) for name in ("a.avi", "b.avi")]
    for arguments, message in (
        ((*paths, "-o", tmp_path / "a.png"), "a.png must be a folder: there are 2 clips"),
        ((*paths, paths[0], "-o", tmp_path / "out"), "a.avi is given twice"),
        ((*paths, tmp_path / "none", "-o", tmp_path / "out"), "no such file or folder"),
        ((*paths, "-", "-o", tmp_path / "out"), "- reads one video from a pipe"),
        (("-o", tmp_path / "out"), "give videos or folders, or - for a pipe, or --camera N"),
        ((paths[0], "--camera", 0, "-o", "a.png"), "give videos or folders, or - for a pipe"),
        ((paths[0], "--seconds", 2, "-o", "a.png"), "--seconds 2 is for - and --camera"),
    ):
        code, _, err = run("image", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1, err
    assert not (tmp_path / "out").exists()


# Levelled eyes


def test_image_levels_the_eyes_as_prepare_does(run, tmp_path):
    face = cv2.cvtColor(data.astronaut()[:260, 80:400], cv2.COLOR_RGB2GRAY)
    height, width = face.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 8, 1)
    face = cv2.warpAffine(face, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    source = write_folder(tmp_path / "turned", [np.roll(face, k, 1) for k in range(5)])
    options = {"crop_face": True, "size": 64}
    clip = open_clip(source, align_eyes=True, **options)
    assert clip.angle != 0 and isinstance(clip.box, faces.Box)
    _, images, _ = sum_up(clip, ["cumulative"])
    code, _, err = run(
        *("image", source, "-o", tmp_path / "a.png"),
        *("--crop-face", "--align-eyes", "--size", 64),
    )
    assert code == 0, err
    made = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(made, images["cumulative"].round())
    assert not np.array_equal(
        made,
        cv2.imdecode(
            np.frombuffer(render.render(source, ".png", Options(**options)).data, np.uint8), -1
        ),
    )
    code, _, err = run("image", source, "-o", tmp_path / "b.png", "--align-eyes")
    assert code == 2 and "--align-eyes needs --crop-face" in err
