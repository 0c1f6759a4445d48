import dataclasses

import cv2
import numpy as np
from made_up import interval

from originet.spotting.face import Spotted
from originet.spotting.snapshots import MOST, Snapshots
from originet.spotting.source import Frame


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


def test_a_long_video_leaves_as_many_pictures_as_a_page_shows(tmp_path):
    pictures = Snapshots(tmp_path, 3600.0, 8)
    pixels = np.full((48, 640), 100, np.uint8)
    for index in range(3600):
        pictures.see(Frame(index, pixels, float(index)))
    kept = pictures.frames([])
    assert len(kept) == MOST and [index for index, _, _ in kept[:3]] == [0, 15, 30]
    assert kept[1][1] == 15.0 and decoded(kept[1][2]).shape == (24, 320)
    assert len(pictures._recent) == 8


def test_a_movement_leaves_its_frames_and_faces(tmp_path):
    pictures = Snapshots(tmp_path, 3600.0, 60)
    for index in range(60):
        pictures.see(Frame(index, np.full((20, 30), 4 * index, np.uint8), index / 30))
    faces = np.zeros((7, 128, 128), np.uint8)
    faces[3, 40:60, 40:60] = 200
    found = interval()
    pictures.keep(Spotted(found, faces, 3))
    later = dataclasses.replace(found, apex_seconds=found.apex_seconds + 0.5)
    pictures.keep(Spotted(later, faces, 3))  # not shown
    renumbered = dataclasses.replace(found, onset=101, apex=102, offset=103)  # as files may be
    for shown in ([found], [renumbered]):
        assert [index for index, _, _ in pictures.frames(shown)] == [0, 30, 33, 36]
    assert [index for index, _, _ in pictures.frames([])] == [0]
    strip = decoded(pictures.faces(found))
    assert strip.shape == (128, 512)
    onset, apex, offset, image = np.hsplit(strip.astype(int), 4)
    assert onset[50, 50] < 20 > offset[50, 50] and apex[50, 50] > 180
    assert image[50, 50] > image[10, 10] + 100
    assert pictures.faces(interval(face=5)) is None
