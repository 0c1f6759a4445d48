import numpy as np

from originet.clips.faces import Box
from originet.clips.tracking import TrackedFace, aligned


def face_of(warp):
    return TrackedFace(0, 1.0, Box(0, 0, 8), np.array(warp, np.float64))


def test_a_warp_onto_the_whole_frame_leaves_it_as_it_is():
    frame = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    whole = face_of([[1 / 8, 0, 0], [0, 1 / 8, 0]])
    assert (aligned(frame, whole, 8) == frame).all()


def test_a_warp_of_a_box_cuts_it_out_and_halves_it():
    frame = np.random.default_rng(1).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    box = face_of([[1 / 8, 0, -3 / 8], [0, 1 / 8, -1 / 8]])  # 8 x 8 pixels from (3, 1)
    assert (aligned(frame, box, 8) == frame[1:9, 3:11]).all()
    halves = frame[1:9, 3:11].reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(aligned(frame, box, 4) - halves).max() <= 0.51
