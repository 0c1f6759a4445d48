"""What the tests of several modules read: one small clip, and made-up faces."""

import pytest
from clips import random_frames, write_folder, write_video

from originet.clips.frames import read_clip
from originet.datasets import synth


@pytest.fixture(params=["folder", "video"])
def source(request, tmp_path):
    frames = random_frames(7, (24, 32, 3))
    if request.param == "folder":
        return write_folder(tmp_path / "clip", frames)
    return write_video(tmp_path / "clip.avi", frames)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Synthetic clips from onset to offset, by path."""
    root = synth.generate(tmp_path_factory.mktemp("synth") / "set", subjects=3, clips_per_class=1)
    return {path: read_clip(path) for path in sorted(root.glob("*/s0*/*"))}
