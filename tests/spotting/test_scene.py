import numpy as np
import pytest

from originet.clips.faces import Box
from originet.clips.tracking import TrackedFace
from originet.spotting.regions import SIDE
from originet.spotting.scene import Scene, face_of
from originet.spotting.settings import Settings

NOISE = np.random.default_rng(0).integers(0, 256, (64, 140), dtype=np.uint8)


def at(identity, x):
    warp = np.array([[1 / 64, 0, -x / 64], [0, 1 / 64, 0]])
    return TrackedFace(identity, 0.9, Box(x, 0, 64), warp)


class Scripted:
    """A tracker that says what it is told."""

    def __init__(self, *frames):
        self._frames = iter(frames)

    def follow(self, frame, seconds):
        return next(self._frames)


@pytest.fixture
def rows():
    """Of a frame with no face, a face that is lost for a frame, and another that stays."""
    both, one = [at(0, 0), at(3, 70)], [at(3, 70)]
    frames = [[]] + 8 * [both] + [one] + 8 * [both]
    scene = Scene(Scripted(*frames), Settings(window=0.1), 30.0)
    done = []
    for index in range(len(frames)):
        done += scene.push(NOISE, index, index / 30).rows
    assert done[-1].index == len(frames) - 1 - 2  # the window's three frames
    return done + scene.finish().rows


def test_every_frame_has_a_row_for_each_face_in_order(rows):
    assert [row.index for row in rows] == sorted(row.index for row in rows)
    assert [row.face for row in rows if row.index in (0, 1, 9)] == [None, 0, 3, 3]
    assert rows[0].box is None and rows[1].confidence == 0.9


def test_energies_do_not_reach_over_a_gap(rows):
    known = {face: [] for face in (0, 3)}
    for row in rows:
        if row.energies is not None:
            known[row.face].append(row.index)
    assert known[0] == [*range(3, 7), *range(12, 16)]
    assert known[3] == list(range(3, 16))


def test_a_large_face_is_shrunk_with_its_pixels_averaged():
    frame = np.tile(np.array([[0, 200], [200, 0]], np.uint8), (256, 256))
    whole = TrackedFace(0, 1, Box(0, 0, 512), np.array([[1 / 512, 0, 0], [0, 1 / 512, 0]]))
    cut = face_of(frame, whole)
    assert cut.shape == (SIDE, SIDE) and (cut == 100).all()
