"""Animations at the clip's own speed, as GIF and as video."""

import io

import numpy as np
import pytest
from clips import random_frames, write_folder, write_video
from PIL import Image
from timed_videos import UNEVEN, bars, write_timed

from originet.clips import pictures, render, video
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


def test_speed_is_checked():
    for value in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"--speed must be a number from 0\.001 to 1000, got"):
            Options("gif", speed=value)
    with pytest.raises(InputError, match=r"--speed 0\.5 is for --gif only"):
        Options(speed=0.5)
