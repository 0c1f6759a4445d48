"""What clips are made into: active images, frames and flows in one pass."""

import numpy as np
import pytest
import torch
from clips import random_frames
from moving import grid, texture

from originet.clips import channels
from originet.clips.channels import ChannelMaker, check_sources, joined
from originet.clips.flow import flow
from originet.system.choices import METHODS
from originet.system.errors import InputError
from originet_ext import active_image


def movement():
    """9 frames, of a texture that goes 2 pixels to the right and back; frame 5 is the farthest."""
    x, y = grid(32)
    return np.stack([texture(x - 2 * np.sin(np.pi * t / 8), y) for t in range(9)])


def made(frames, *sources, apex=None):
    maker = ChannelMaker("clip", sources, apex)
    for number, frame in enumerate(frames, start=1):
        maker.see(frame, number)
    return dict(zip(sources, maker.result(), strict=True))


def test_each_source_is_what_it_is_alone():
    frames = random_frames(6, (24, 24))
    sources = (*METHODS, "onset", "apex", "dis")
    found = made(frames, *sources, apex=4)
    for method in METHODS:
        alone = active_image(torch.from_numpy(frames), None, method, "minmax").round()
        np.testing.assert_array_equal(found[method], alone.numpy())
    np.testing.assert_array_equal(found["onset"], frames[0])
    np.testing.assert_array_equal(found["apex"], frames[3])
    np.testing.assert_array_equal(found["dis"], flow(frames[0], frames[3]))
    for source in sources:
        np.testing.assert_array_equal(made(frames, source, apex=4)[source], found[source])


def test_an_apex_that_is_not_annotated_is_the_frame_that_adds_most():
    frames = movement()
    np.testing.assert_array_equal(made(frames, "apex")["apex"], frames[4])
    u, v, _ = np.moveaxis(made(frames, "dis")["dis"], -1, 0)
    assert np.median(u) == pytest.approx(2, abs=0.1) and np.median(v) == pytest.approx(0, abs=0.1)
    np.testing.assert_array_equal(made(frames, "apex", apex=2)["apex"], frames[1])


def test_frames_are_kept_only_to_estimate_an_apex(monkeypatch):
    asked = []
    monkeypatch.setattr(channels, "check_memory", lambda what, size: asked.append((what, size)))
    frames = random_frames(5, (16, 16))
    made(frames, "cumulative", "onset")
    made(frames, "dis", apex=3)
    assert asked == []
    made(frames, "dis")
    assert asked == [("clip: estimating the apex", 256 * size) for size in (1, 1, 2, 4)]


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match="apex 9 is not among the frames of clip"):
        made(random_frames(3, (16, 16)), "dis", apex=9)
    with pytest.raises(InputError, match="clip has no frames"):
        made([], "onset")
    with pytest.raises(InputError, match="'dis' needs frames of 16 pixels, got 15"):
        check_sources(("rank", "dis"), 15)
    check_sources(("rank",), 15)


def test_several_are_joined_as_channels():
    frames = random_frames(4, (16, 16))
    found = made(frames, "rank", "onset", "dis", apex=2)
    assert joined(found, ("onset",)) is found["onset"]
    two = joined(found, ("onset", "rank"))
    assert two.shape == (16, 16, 2) and two.dtype == np.uint8
    np.testing.assert_array_equal(two[..., 1], found["rank"])
    mixed = joined(found, ("rank", "dis"))
    assert mixed.shape == (16, 16, 4) and mixed.dtype == np.float32
    np.testing.assert_array_equal(mixed[..., 0], found["rank"])
    np.testing.assert_array_equal(mixed[..., 1:], found["dis"])
