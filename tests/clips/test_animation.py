"""Animated pictures: the times of their frames, and what is none."""

import numpy as np
import pytest
from PIL import Image
from timed_videos import bars, write_animation

from originet.clips.clip import open_clip
from originet.clips.frames import read_clip
from originet.system.errors import InputError


def numbers(clip):
    return [shot.number for shot in clip.shots()]


def bar_of(frame):
    """The place of a frame of `bars`, by how far its bar reaches."""
    return (frame > 120).mean()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".avif"])
def test_animated_pictures_have_the_times_of_their_frames(tmp_path, suffix):
    durations = [100, 40, 200, 40, 40, 300, 40, 500]
    path = write_animation(tmp_path / f"a{suffix}", bars(8), durations)
    shots = list(open_clip(path).shots())
    want = np.cumsum([0, *durations[:-1]]) / 1000
    np.testing.assert_allclose([shot.seconds for shot in shots], want, atol=1e-6)
    for shot in shots:
        assert bar_of(shot.pixels) == pytest.approx(shot.number / 8, abs=0.02)
    assert numbers(open_clip(path, start="0.14s", end="0.38s")) == [3, 4, 5]
    assert read_clip(path, 2, 3, color=True).shape == (2, 48, 144, 3)


def test_a_still_webp_is_no_clip_and_a_broken_one_is_refused(tmp_path):
    path = tmp_path / "a.webp"
    Image.fromarray(bars(1)[0]).save(path)
    with pytest.raises(InputError, match=r"a\.webp is a single image: give a video or a folder"):
        open_clip(path)
    write_animation(path, np.random.default_rng(0).integers(0, 255, (9, 48, 64, 3), np.uint8), 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"(not a readable video|truncated video).*a\.webp"):
        read_clip(path)
    path.write_text("not a picture")
    with pytest.raises(InputError, match=r"not a readable video .*a\.webp"):
        read_clip(path)
