"""One face, frame by frame: what was planted is spotted, soon after it ends."""

import numpy as np
import pytest
from planted_faces import FPS, clip, face

from originet.clips.tracking import TrackedFace
from originet.datasets.planted import Planted, still_video
from originet.spotting.actions import Usual
from originet.spotting.baseline import Baseline
from originet.spotting.face import FaceSpotter
from originet.spotting.regions import SIDE
from originet.spotting.scene import face_of
from originet.spotting.settings import Settings

pytestmark = pytest.mark.slow

STILL = np.zeros(2)


@pytest.fixture(scope="module")
def cut():
    """The face [T, 128, 128] where it was before it swayed."""
    _, warp = face()
    return [face_of(frame, TrackedFace(0, 1.0, None, warp)) for frame in clip()[0]]


def spotter(settings=None):
    settings = settings or Settings()
    baseline = Baseline(settings.baseline, settings.ground)
    return FaceSpotter(7, settings, FPS, baseline, Usual(settings.usual, settings.ground))


def push_all(each, faces):
    found, energies = [], {}
    for index, pixels in enumerate(faces):
        known, spotted = each.push(pixels, index, index / FPS, STILL)
        found += [(index, one) for one in spotted]
        if known is not None:
            energies[known.index] = known.values
    return found, energies


def test_planted_movements_are_spotted_within_half_a_second_of_their_end(cut):
    found, energies = push_all(spotter(Settings().live()), cut)
    planted = clip()[1]
    assert len(found) == len(planted) == 2
    for (when, spotted), truth in zip(found, planted, strict=True):
        interval = spotted.interval
        assert interval.face == 7 and interval.kind == "micro" and interval.note == ""
        assert abs(interval.onset - 1 - truth.onset) <= 2
        assert abs(interval.offset - 1 - truth.offset) <= 2
        assert (when - (interval.offset - 1)) / FPS < 0.5
        assert len(spotted.faces) == interval.offset - interval.onset + 1
        assert np.array_equal(spotted.faces[spotted.apex], cut[interval.apex - 1])
    # Known for every frame but those next to both ends.
    delay = FaceSpotter.delay(Settings(), FPS)
    assert list(energies) == list(range(delay, len(cut) - delay))


def test_a_still_face_does_not_move(cut):
    noise = np.random.default_rng(0)
    faces = [
        np.clip(cut[0] + noise.normal(0, 1.5, cut[0].shape), 0, 255).astype(np.uint8)
        for _ in range(60)
    ]
    found, energies = push_all(spotter(), faces)
    assert found == []
    assert np.max(list(energies.values())) < Settings().least


def test_memory_does_not_grow(cut):
    each = spotter(Settings(longest=0.5))
    push_all(each, cut)
    size = len(each._stamps), len(each._moments), len(each._ring._faces)
    push_all(each, cut[:60])
    assert (len(each._stamps), len(each._moments), len(each._ring._faces)) == size
    assert size[0] < 120


@pytest.mark.parametrize("pull", [(0.3, 0.45, 0.07, 1.3, -1.3), (0.7, 0.7, 0.08, -1, -1)])
def test_a_movement_that_is_no_action_is_spotted_in_a_still_face(pull):
    frame, warp = face()
    x, y, radius, right, down = pull
    bumps = np.array([[x, y, radius, right / SIDE, down / SIDE]])
    course = np.sin(np.pi * np.arange(11) / 10) ** 2
    truth = Planted(60, course, "none", 1.5, bumps)
    rng = np.random.default_rng(0)
    frames = still_video(frame, warp, [truth], 110, FPS, rng, sway=0.0)
    faces = [face_of(each, TrackedFace(0, 1.0, None, warp)) for each in frames]
    found, _ = push_all(spotter(), faces)
    assert [spotted.interval.kind for _, spotted in found] == ["micro"]
    interval = found[0][1].interval
    assert abs(interval.onset - 1 - truth.onset) <= 2
    assert abs(interval.offset - 1 - truth.offset) <= 2


def test_what_ended_is_told_when_the_face_is_gone(cut):
    """Too early for `push`, which waits for what may explain it better."""
    truth = clip()[1][0]
    each = spotter()
    found, _ = push_all(each, cut[: truth.offset + 14])
    assert found == []
    (left,) = each.finish()
    assert abs(left.interval.offset - 1 - truth.offset) <= 2 and each.finish() == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fps", [1, 5, 24, 200])
def test_what_is_no_face_spoils_nothing(cut, fps):
    """Darkness, flashes and noise, at rates that cameras have."""
    settings = Settings(brief=0.3, alone=0.3, threshold=0.5, longest=0.5)  # all may be a movement
    baseline = Baseline(settings.baseline, settings.ground)
    each = FaceSpotter(7, settings, fps, baseline, Usual(settings.usual, settings.ground))
    noise = np.random.default_rng(0)
    black = np.zeros_like(cut[0])
    for index in range(240):
        random = noise.integers(0, 256, black.shape, dtype=np.uint8)
        pixels = (black, cut[0], random, (black, cut[0])[index % 2])[index // 60]
        known, _ = each.push(pixels, index, index / fps, STILL)
        assert known is None or np.isfinite(known.values).all()
    each.finish()
