from itertools import pairwise

import numpy as np
import pytest
from planted_faces import face

from originet.datasets import synth
from originet.datasets.planted import PEAK, movements, plant, still_video

FPS = 60.0


@pytest.fixture(scope="module")
def planted():
    return movements(1500, FPS, np.random.default_rng(3))


def test_movements_have_the_lengths_and_sizes_of_micro_movements(planted):
    assert len(planted) > 8
    for each in planted:
        seconds = (len(each.course) - 1) / FPS
        assert synth.DURATION[0] / 1000 <= seconds <= synth.DURATION[1] / 1000 + 1 / FPS
        assert each.course[0] == 0 and each.course[-1] < 1e-9 and each.course.max() > 0.9
        assert PEAK[0] <= each.peak <= PEAK[1] and each.emotion in synth.MOVEMENTS
    for one, other in pairwise(planted):
        assert other.onset - one.offset > FPS
    assert planted[-1].offset + FPS <= 1500


def test_a_frame_outside_movements_stays_as_it_is(planted):
    frame, warp = face()
    for index in (0, planted[0].onset, planted[0].offset, planted[0].offset + 1):
        assert np.abs(plant(frame, index, warp, planted) - frame).max() < 1e-3


def test_the_strongest_point_moves_by_as_much_as_stated(planted):
    """A ramp of grey levels shows how far each pixel came from."""
    each = planted[0]
    apex = each.onset + int(each.course.argmax())
    warp = np.array([[1 / 128, 0, 0], [0, 1 / 128, 0]])
    ramps = np.mgrid[:128, :128].astype(np.uint8)
    moved = [plant(ramp, apex, warp, [each])[4:-4, 4:-4] for ramp in ramps]
    steps = [ramp[4:-4, 4:-4] - other for ramp, other in zip(ramps, moved, strict=True)]
    largest = np.hypot(*steps).max()
    assert largest == pytest.approx(each.peak * each.course.max(), abs=0.06)


def test_a_still_video_sways_and_has_noise():
    frame, warp = face()
    one, other = (
        list(still_video(frame, warp, [], 40, FPS, np.random.default_rng(1), sway=sway))
        for sway in (0.0, 3.0)
    )
    alone, swaying = (each[0].astype(float) - each[39] for each in (one, other))
    assert alone.std() > 2  # the noise of both frames; the head turns a little
    assert swaying.std() > 1.3 * alone.std()
