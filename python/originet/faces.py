"""Face detection by Viola and Jones, as the paper crops its frames.

Reference: Viola and Jones, Rapid object detection using a boosted cascade of simple features, CVPR
2001.
"""

import errno
from functools import lru_cache
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


@lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(cascade_path()))


def detect_faces(frame: NDArray[np.uint8]) -> list[Box]:
    """Finds frontal faces; not to be called from two threads at once.

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


def stable_box(clip: NDArray[np.uint8], *, samples: int = 16, margin: float = 0.1) -> Box:
    """Finds one box for a whole clip, so that cropping adds no motion of its own.

    The box is the median, over frames spread evenly in time, of each frame's largest face.

    Args:
        clip: [T, H, W] uint8 grey, or [T, H, W, 3] uint8 (blue, green, red).
        samples: how many frames to search.
        margin: added on each side, as a share of the face's size.

    Returns:
        A square inside the frame.

    Raises:
        InputError: if no sampled frame shows a face.
    """
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    indices = np.unique(np.linspace(0, len(clip) - 1, min(samples, len(clip))).astype(int))
    largest = [faces[0] for faces in (detect_faces(clip[index]) for index in indices) if faces]
    if not largest:
        height, width = clip.shape[1:3]
        raise InputError(
            f"no face found in {len(indices)} of {len(clip)} frames of {width}x{height}"
        )
    x, y, size = np.median(np.array(largest), axis=0)
    return _fit(x - margin * size, y - margin * size, (1 + 2 * margin) * size, clip.shape[1:3])


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
