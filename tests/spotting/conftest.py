"""A small video with planted movements, and what is spotted in it."""

import pytest
from clips import write_video
from planted_faces import FPS, clip

from originet.spotting.spot_files import Plan, spot_file


@pytest.fixture
def one_face():
    """Frames of a face [135, 150, 160], and the movements planted in them."""
    return clip()


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    frames, _ = clip()
    return write_video(tmp_path_factory.mktemp("videos") / "face.avi", frames, FPS)


@pytest.fixture(scope="session")
def results(video, tmp_path_factory):
    """The folder of what was spotted in the video, and the report."""
    folder = tmp_path_factory.mktemp("spotted") / "face"
    return folder, spot_file(video, folder, Plan())
