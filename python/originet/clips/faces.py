"""Face detection by Viola and Jones, with which the paper crops its frames.

Reference: Viola and Jones, Rapid object detection using a boosted cascade of simple features, CVPR
2001.
"""

import errno
import math
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.system.errors import InputError
from originet.system.words import counted

CASCADE = "haarcascade_frontalface_default.xml"
EYE_CASCADE = "haarcascade_eye.xml"

# The smallest face searched for, as a share of the frame's shorter side.
_MIN_SHARE = 0.15
_LARGE_SHARE = 0.25  # the same in the first, coarse search

_WINDOW = 24  # pixels: the smallest face that the cascade can find

# The search time grows with the pixels, and a face hardly moves from frame to frame. So a clip is
# searched coarse to fine: first with the frame's shorter side shrunk to _COARSE_SIDE pixels, then
# around the box found there, with the face shrunk to _FINE_FACE. Smaller values missed faces. Boxes
# agree with full resolution to about 7 % of the face in size and 4 % in place.
_COARSE_SIDE = 120
_FINE_FACE = 36
_REACH = 0.15  # to each side of the box, as a share of it

_COUNT_SIDE = 240  # pixels of the shorter side when faces are counted

# Eyes lie in the upper part of a box, one in each half. A steeper line between them is an error:
# the cascade would not take a head tilted that far for a frontal face.
_EYES_DOWN_TO = 0.6
_STEEPEST = 20.0  # degrees


class NoFaceError(InputError):
    """No frame of a clip shows a face."""


class Box(NamedTuple):
    """A square of `size` pixels; (x, y) is its upper left corner."""

    x: int
    y: int
    size: int


def cascade_path(name: str = CASCADE) -> Path:
    """Returns the path of a cascade that ships with opencv-python below version 5.

    Raises:
        FileNotFoundError: if this OpenCV has no cascade.
    """
    data = getattr(cv2, "data", None)  # missing from Linux distributions' OpenCV packages
    path = Path(data.haarcascades if data else "") / name
    if not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
        hint = f"OpenCV {cv2.__version__} has no {name} (pip install 'opencv-python<5')"
        raise FileNotFoundError(errno.ENOENT, hint, str(path))
    return path


_thread = threading.local()


def _cascade(name: str) -> cv2.CascadeClassifier:
    """Returns this thread's own classifier, since a classifier stores intermediate results."""
    cascades: dict[str, cv2.CascadeClassifier] = vars(_thread).setdefault("cascades", {})
    if name not in cascades:
        cascades[name] = cv2.CascadeClassifier(str(cascade_path(name)))
    return cascades[name]


def detect_faces(frame: NDArray[np.uint8]) -> list[Box]:
    """Finds frontal faces at full resolution.

    Args:
        frame: [H, W] uint8 grey, or [H, W, 3] uint8 (blue, green, red).

    Returns:
        The faces, largest first.
    """
    grey = _grey(frame)
    smallest = max(_WINDOW, int(_MIN_SHARE * min(grey.shape)))
    return _search(grey, 1.0, step=1.1, neighbors=5, smallest=smallest)


def _search(
    grey: NDArray[np.uint8],
    scale: float,
    *,
    step: float,
    neighbors: int,
    smallest: int = _WINDOW,
    largest: int = 0,
) -> list[Box]:
    """Finds faces in a frame shrunk by `scale`; size limits are in pixels of the shrunk frame."""
    if scale < 1:
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = np.asarray(small, np.uint8)
    found = _cascade(CASCADE).detectMultiScale(
        grey, step, neighbors, minSize=(smallest, smallest), maxSize=(largest, largest)
    )
    boxes = [Box(*(round(side / scale) for side in face[:3])) for face in found]
    return sorted(boxes, key=lambda box: (-box.size, box.x, box.y))


def _detect_coarsely(grey: NDArray[np.uint8]) -> list[Box]:
    """Finds large faces in a tenth of the time that `detect_faces` takes."""
    side = min(grey.shape)
    scale = min(1.0, _COARSE_SIDE / side)
    smallest = max(_WINDOW, round(_LARGE_SHARE * scale * side))
    return _search(grey, scale, step=1.2, neighbors=2, smallest=smallest)


def _detect_near(grey: NDArray[np.uint8], box: Box) -> list[Box]:
    """Finds a face near a box and of similar size."""
    reach = round(_REACH * box.size)
    x, y = max(0, box.x - reach), max(0, box.y - reach)
    window = grey[y : box.y + box.size + reach, x : box.x + box.size + reach]
    scale = min(1.0, _FINE_FACE / box.size)
    # With a narrower or an asymmetric range of sizes, the box would drift from frame to frame.
    smallest, largest = (round(share * scale * box.size) for share in (0.75, 1.3))
    near = _search(
        window, scale, step=1.05, neighbors=2, smallest=max(_WINDOW, smallest), largest=largest
    )
    return [Box(x + face.x, y + face.y, face.size) for face in near]


def _detect_after(grey: NDArray[np.uint8], last: Box | None) -> list[Box]:
    """Finds the face of a frame, given the face of the frame before."""
    if last is not None and (near := _detect_near(grey, last)):
        return near
    # The coarse search has false positives, so its result is confirmed by a finer one.
    if (coarse := _detect_coarsely(grey)) and (near := _detect_near(grey, coarse[0])):
        return near
    # Full resolution only until a face is known: later frames may lack one, their neighbours count.
    return detect_faces(grey) if last is None else []


def find_face(frame: NDArray[np.uint8], last: Box | None = None) -> Box | None:
    """Finds the largest face of a frame quickly, searching near its last place first.

    Args:
        frame: [H, W] uint8 grey, or [H, W, 3] uint8 (blue, green, red).
        last: the face in an earlier frame.

    Returns:
        The face; None if none is found, or this OpenCV has no cascade.
    """
    try:
        found = _detect_after(_grey(frame), last)
    except FileNotFoundError:
        return None
    return found[0] if found else None


def count_faces(frames: Sequence[NDArray[np.uint8]]) -> int:
    """Counts the faces that at least half of the frames show; 0 if this OpenCV has no cascade."""
    try:
        counts = [len(detect_faces(for_counting(frame))) for frame in frames]
    except FileNotFoundError:
        return 0
    return sorted(counts)[(len(counts) - 1) // 2] if counts else 0


def for_counting(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrinks a frame, [H, W] or [H, W, 3], to the grey image in which faces are counted."""
    grey = _grey(frame)
    scale = _COUNT_SIDE / min(grey.shape)
    if scale >= 1:
        return grey
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _clip_faces(frames: Sequence[NDArray[np.uint8]]) -> list[Box]:
    """Finds the largest face of each frame that shows one."""
    greys = [_grey(frame) for frame in frames]
    found: list[Box] = []
    for grey in greys:
        found += _detect_after(grey, found[-1] if found else None)[:1]
    if 0 < 3 * len(found) < len(frames):  # possibly false positives: search at full resolution
        found = [face for grey in greys for face in detect_faces(grey)[:1]]
    return found


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame
    return np.asarray(grey, np.uint8)


def sample_indices(length: int, samples: int | None = None) -> list[int]:
    """Spreads samples for `stable_box` evenly over a clip, including both ends.

    Args:
        length: number of frames in the clip.
        samples: number of samples; None means 5, or in longer clips one frame in 28, up to 16, so
            that detection takes a constant share of the reading time.

    Returns:
        Indices from 0, ascending.

    Raises:
        InputError: if a number is below 1.
    """
    samples = min(max(5, length // 28), 16) if samples is None else samples
    for name, value in (("length", length), ("samples", samples)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    return sorted({int(place) for place in np.linspace(0, length - 1, min(samples, length))})


def stable_box(frames: Iterable[NDArray[np.uint8]], *, margin: float = 0.1) -> Box:
    """Finds one box for a whole clip, so that cropping adds no motion.

    The box is the median of the largest faces in the given frames.

    Args:
        frames: sampled frames of one size: [H, W] uint8 grey, or [H, W, 3] uint8 (blue, green,
            red).
        margin: added on each side, as a share of the face's size.

    Returns:
        A square inside the frame.

    Raises:
        NoFaceError: if no frame shows a face.
        InputError: if there are no frames.
    """
    frames = list(frames)
    if not frames:
        raise InputError("face detection needs at least one frame, got none")
    height, width = frames[0].shape[:2]
    found = _clip_faces(frames)
    if not found:
        raise NoFaceError(
            f"no face found in {counted(len(frames), 'sampled frame')} of {width}x{height}"
        )
    x, y, size = np.median(np.array(found), axis=0)
    return fitted(x - margin * size, y - margin * size, (1 + 2 * margin) * size, (height, width))


def fitted(x: float, y: float, size: float, shape: tuple[int, ...]) -> Box:
    """Rounds a square and moves it into a frame (height, width); shrinks it only if needed."""
    height, width = shape
    side = min(round(size), height, width)
    return Box(
        min(max(round(x), 0), width - side),
        min(max(round(y), 0), height - side),
        side,
    )


def crop(clip: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Crops every frame of a clip [T, H, W] or [T, H, W, 3] to a box; returns a view."""
    return clip[:, box.y : box.y + box.size, box.x : box.x + box.size]


def eye_angle(frames: Sequence[NDArray[np.uint8]], box: Box) -> float:
    """Measures the tilt of the line between the eyes: the median over the given frames.

    Args:
        frames: sampled frames of one size: [H, W] uint8 grey, or [H, W, 3] uint8.
        box: the face, from `stable_box`.

    Returns:
        Degrees, from -20 to 20; positive if the eye on the right of the picture is lower.

    Raises:
        InputError: if no frame shows two eyes. Leaving such a clip as it is would make it differ
            from the levelled clips of its set.
    """
    angles = []
    for frame in frames:
        eyes = two_eyes(frame, box)
        if eyes is None:
            continue
        (left_x, left_y), (right_x, right_y) = eyes
        across, down = right_x - left_x, right_y - left_y
        angle = math.degrees(math.atan2(down, across))
        if abs(angle) <= _STEEPEST:
            angles.append(angle)
    if not angles:
        raise InputError(f"no two eyes found in {counted(len(frames), 'sampled frame')}")
    return float(np.median(angles))


def two_eyes(
    frame: NDArray[np.uint8], box: Box
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Finds the centres of both eyes of a face.

    Args:
        frame: [H, W] uint8 grey, or [H, W, 3] uint8.
        box: The face.

    Returns:
        (x, y) in pixels of the frame, the eye on the left of the picture first; None unless both
        are found.
    """
    face = _grey(crop(frame[None], box)[0])
    middle = box.size // 2
    upper = face[: round(_EYES_DOWN_TO * box.size)]
    left, right = _eye(upper[:, :middle], box.size), _eye(upper[:, middle:], box.size)
    if left is None or right is None:
        return None
    return (box.x + left[0], box.y + left[1]), (box.x + middle + right[0], box.y + right[1])


def _eye(half: NDArray[np.uint8], size: int) -> tuple[float, float] | None:
    """Finds the centre of the likeliest eye in half a face of `size` pixels; None if none."""
    found, votes = _cascade(EYE_CASCADE).detectMultiScale2(
        half, scaleFactor=1.05, minNeighbors=3, minSize=(size // 8, size // 8)
    )
    if not len(found):
        return None
    x, y, width, height = found[int(np.argmax(votes))]
    return x + width / 2, y + height / 2


def cut(frame: NDArray[np.uint8], box: Box, angle: float = 0.0) -> NDArray[np.uint8]:
    """Crops a frame, [H, W] or [H, W, 3], to a box.

    Args:
        frame: the frame.
        box: the box.
        angle: tilt of the line between the eyes, in degrees. The frame is rotated back by it about
            the centre of the box; beyond the frame's edge, the edge pixels are repeated.

    Returns:
        A view if the angle is 0, else new pixels.
    """
    if angle == 0:
        return crop(frame[None], box)[0]
    middle = (box.size - 1) / 2
    turn = cv2.getRotationMatrix2D((box.x + middle, box.y + middle), angle, 1.0)
    turn[:, 2] -= box.x, box.y
    turned = cv2.warpAffine(frame, turn, (box.size, box.size), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)
