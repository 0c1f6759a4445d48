"""Face detection by Viola and Jones, as the paper crops its frames.

Reference: Viola and Jones, Rapid object detection using a boosted cascade of simple features, CVPR
2001.
"""

import errno
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.errors import InputError

CASCADE = "haarcascade_frontalface_default.xml"

# Faces narrower than this share of the frame's shorter side are not looked for.
_MIN_SHARE = 0.15


class Box(NamedTuple):
    """A square of `size` pixels; (x, y) is its upper left corner."""

    x: int
    y: int
    size: int


def cascade_path() -> Path:
    """Returns the path of the frontal face cascade that ships with opencv-python below version 5.

    Raises:
        FileNotFoundError: if this OpenCV has no cascade.
    """
    data = getattr(cv2, "data", None)  # distributions' own OpenCV packages lack it
    path = Path(data.haarcascades if data else "") / CASCADE
    if not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
        hint = f"OpenCV {cv2.__version__} has no {CASCADE} (pip install 'opencv-python<5')"
        raise FileNotFoundError(errno.ENOENT, hint, str(path))
    return path


_thread = threading.local()


def _cascade() -> cv2.CascadeClassifier:
    """Returns the thread's own classifier: one keeps its intermediate results in itself."""
    if not hasattr(_thread, "cascade"):
        _thread.cascade = cv2.CascadeClassifier(str(cascade_path()))
    classifier: cv2.CascadeClassifier = _thread.cascade
    return classifier


def detect_faces(frame: NDArray[np.uint8]) -> list[Box]:
    """Finds frontal faces.

    Args:
        frame: [H, W] uint8 grey, or [H, W, 3] uint8 (blue, green, red).

    Returns:
        The faces, the largest first.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame
    smallest = max(24, int(_MIN_SHARE * min(grey.shape)))
    found = _cascade().detectMultiScale(grey, 1.1, 5, minSize=(smallest, smallest))
    boxes = [Box(int(x), int(y), int(width)) for x, y, width, _ in found]
    return sorted(boxes, key=lambda box: (-box.size, box.x, box.y))


def sample_indices(length: int, samples: int = 16) -> list[int]:
    """Spreads samples evenly over a clip, both ends among them: what `stable_box` should see.

    Raises:
        InputError: if a number is below 1.
    """
    for name, value in (("length", length), ("samples", samples)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    return sorted({int(place) for place in np.linspace(0, length - 1, min(samples, length))})


def stable_box(frames: Iterable[NDArray[np.uint8]], *, margin: float = 0.1) -> Box:
    """Finds one box for a whole clip, so that cropping adds no motion of its own.

    The box is the median, over the frames given, of each frame's largest face.

    Args:
        frames: sampled frames of one size, taken one at a time: [H, W] uint8 grey, or [H, W, 3]
            uint8 (blue, green, red).
        margin: added on each side, as a share of the face's size.

    Returns:
        A square inside the frame.

    Raises:
        InputError: if no frame shows a face.
    """
    largest, shape, count = [], (0, 0), 0
    for count, frame in enumerate(frames, start=1):
        shape = frame.shape[:2]
        largest += detect_faces(frame)[:1]
    if not largest:
        height, width = shape
        raise InputError(f"no face found in {count} sampled frames of {width}x{height}")
    x, y, size = np.median(np.array(largest), axis=0)
    return _fit(x - margin * size, y - margin * size, (1 + 2 * margin) * size, shape)


def _fit(x: float, y: float, size: float, shape: tuple[int, ...]) -> Box:
    """Rounds a square and moves it into a frame (height, width); shrinks it only if it must."""
    height, width = shape
    side = min(round(size), height, width)
    return Box(
        min(max(round(x), 0), width - side),
        min(max(round(y), 0), height - side),
        side,
    )


def crop(clip: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Cuts a box out of every frame of a clip [T, H, W] or [T, H, W, 3]; returns a view."""
    return clip[:, box.y : box.y + box.size, box.x : box.x + box.size]
