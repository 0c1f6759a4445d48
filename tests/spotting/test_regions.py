import numpy as np

from originet.clips.tracking import EYES
from originet.spotting.regions import CELLS, LIDS, PARTS, REGIONS, RIGID, SHARES


def test_left_and_right_mirror_each_other():
    for left, name in enumerate(REGIONS):
        if name.endswith("_left"):
            right = REGIONS.index(name.replace("_left", "_right"))
            assert np.allclose(SHARES[left], SHARES[right][:, ::-1])


def test_eyes_lie_in_the_lids_and_in_no_other_region():
    for index, (x, y) in zip(LIDS, EYES, strict=True):
        cell = SHARES[:, int(y * CELLS), int(x * CELLS)]
        assert cell.argmax() == index and cell[index] > 0.5


def test_every_region_is_in_one_part():
    assert sorted(index for part in PARTS for index in part) == list(range(len(REGIONS)))


def test_the_mouth_is_not_rigid_and_the_bridge_of_the_nose_is():
    assert RIGID[int(0.78 * CELLS), CELLS // 2] < 0.1 < 0.8 < RIGID[int(0.42 * CELLS), CELLS // 2]
