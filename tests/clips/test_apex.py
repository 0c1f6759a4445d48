"""Estimated apexes: planted black frames, other scenes, and heads that leave."""

import cv2
import numpy as np
import pytest
from clips import leaves, random_frames, write_folder, write_video
from skimage import data

from originet.clips.active_images import phases
from originet.clips.apex import ApexFinder, is_blank, thumbnail
from originet.clips.clip import open_clip
from originet.clips.frames import read_clip
from originet.datasets import synth


def apex(folder, frames):
    clip = open_clip(write_folder(folder, frames))
    return phases(clip).apex.number


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


def seen(*frames):
    finder = ApexFinder()
    return finder, [finder.see(frame) for frame in frames]


def test_a_frame_is_blank_if_nothing_but_noise_shows():
    noise = random_frames(1, (240, 320))[0]
    assert is_blank(thumbnail(np.full((24, 32), 7, np.uint8)))
    assert is_blank(thumbnail(noise // 16))  # of sixteen levels, which blocks average out
    assert not is_blank(thumbnail(random_frames(1)[0]))
    assert thumbnail(random_frames(1, (24, 48, 3))[0]).shape == (32, 32)


def test_a_clip_of_blank_frames_has_its_first_for_an_apex():
    finder, differences = seen(*np.zeros((3, 24, 32), np.uint8))
    assert finder.apex() == 0 and differences == [-1, -1, -1]


def test_differences_are_those_from_the_first_frame_that_shows_something():
    first = random_frames(1, (24, 32))[0] // 2
    nearer, further = first + 3, first + 9
    finder, differences = seen(np.zeros_like(first), first, nearer, further, nearer)
    assert differences == [-1, 0, 3, 9, 3]
    assert finder.apex() == 3


def test_a_clip_in_which_nothing_moves_has_its_first_frame_for_an_apex():
    finder, _ = seen(*[random_frames(1)[0]] * 4)
    assert finder.apex() == 0
