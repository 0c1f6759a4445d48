import numpy as np

from originet.clips.faces import Box
from originet.clips.tracking import TrackedFace
from originet.spotting.identities import Identities


def face(identity, x):
    return TrackedFace(identity, 1.0, Box(x, 50, 100), np.zeros((2, 3)))


def test_a_face_keeps_its_name_in_the_next_stretch_whatever_its_tracker_calls_it():
    names = Identities()
    names.see(0, [face(0, 0), face(1, 300)])
    names.see(1, [face(0, 305), face(1, 4), face(2, 600)])
    assert [names.name(1, each) for each in range(3)] == [1, 0, 2]
    assert names.places[2].x == 600


def test_places_are_all_that_a_resumed_run_needs():
    names = Identities()
    names.see(0, [face(0, 0), face(1, 300)])
    resumed = Identities(names.places)
    resumed.see(1, [face(0, 305)])
    assert resumed.name(1, 0) == 1


def test_two_faces_in_one_place_are_two():
    names = Identities({0: Box(0, 50, 100)})
    names.see(1, [face(0, 0), face(1, 20)])
    assert {names.name(1, 0), names.name(1, 1)} == {0, 1}
