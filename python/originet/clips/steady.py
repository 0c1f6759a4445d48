"""Holds one face still: the warp that takes head motion out of a video, frame by frame.

Landmarks say where a face is, but they waver by a third of a pixel of 128 as the head moves, more
than many a micro-expression. So the motion from frame to frame is measured in the pixels: by the
optical flow (Lucas and Kanade) of small windows around the eye corners and along the nose, points
that an expression does not move. Landmarks start this off, keep it from drifting, and take over
where the flow fails.

Everything is causal: a frame's warp depends on that frame and those before.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.one_euro import OneEuro, share
from originet.clips.similarity import Points, Similarity, fit, fit_most, to_complex, to_real
from originet.clips.still import Image
from originet.clips.tracking import EYES, warped

# Of the mesh's points, see MediaPipe's canonical face model (mediapipe/modules/face_geometry/data):
# outer and inner corner of each eye, left in the picture first.
EYE_CORNERS = ((33, 133), (362, 263))
# Root and bridge of the nose: not its base and wings, which a raised lip pulls up, nor its tip,
# which stands out and shifts when the head turns.
NOSE = (168, 6, 197, 195)
RIGID = (*EYE_CORNERS[0], *EYE_CORNERS[1], *NOSE)

_EYES = to_complex(np.array(EYES))
_MIDDLE = 0.5 + 0.5j

_SIDE = 128  # pixels of the aligned face in which the flow is measured
_WINDOW = 21
_FEWEST = 4  # points whose flow is found
# In pixels of _SIDE: of a window's flow when nothing moves; of the flow of most windows about a
# similarity, and of the similarity about the landmarks' motion, beyond which the flow is wrong.
_FLOW_NOISE, _FLOW_SPREAD, _FLOW_REACH = 0.02, 2.0, 5.0

# How fast the warp follows the landmarks, in Hz: at rest, and for each unit (the aligned face's
# side) between the two. At rest this takes a second and a half; 4 pixels of 128 are halved in one.
_CUTOFF, _QUICKEN = 0.1, 5.0

_TEMPLATE_SECONDS = 2.0  # over which the rigid points' places in the aligned face are averaged

# Of the landmarks within the aligned face: a movement of two pixels of 128 that takes 0.2 s keeps
# 86 to 94 % of its height, at 30 to 200 frames a second.
_POINT_CUTOFF, _POINT_QUICKEN = 3.0, 120.0


class _Past(NamedTuple):
    """What is kept of the frame before."""

    seconds: float
    landmarks: Similarity
    """From the frame to the aligned face, by landmarks alone."""
    warp: Similarity
    """The same as it was returned."""
    pixels: Image
    """[_SIDE, _SIDE] grey, the frame under the warp `view`."""
    view: Similarity


class Steady:
    """Aligns one face through a video."""

    def __init__(self) -> None:
        self._template: Points | None = None  # places of RIGID in the aligned face
        self._seen = 0  # frames
        self._past: _Past | None = None
        self._filter = OneEuro(_POINT_CUTOFF, _POINT_QUICKEN)

    def restart(self) -> None:
        """Forgets the frame before: the face was lost. What the person looks like is kept."""
        self._past = None
        self._filter = OneEuro(_POINT_CUTOFF, _POINT_QUICKEN)

    def see(
        self, frame: Image, points: NDArray[np.float64], seconds: float
    ) -> tuple[Similarity, NDArray[np.float64]]:
        """Takes the face's landmarks in the next frame.

        Args:
            frame: [H, W] grey or [H, W, 3] (blue, green, red) uint8.
            points: [468, 2], (x, y) in pixels from the frame's corner.
            seconds: the frame's time.

        Returns:
            The similarity from the frame to the aligned face's unit square, and the landmarks
            smoothed, in pixels of the frame.
        """
        flat = to_complex(points)
        step = 0.0 if self._past is None else max(0.0, seconds - self._past.seconds)
        landmarks = self._align(flat, step)
        if self._past is None:
            warp = view = landmarks
            pixels = _view(frame, view)
        else:
            # The frame before, moved as the landmarks have moved since.
            view = self._past.warp.after(self._past.landmarks.inverse()).after(landmarks)
            pixels = _view(frame, view)
            warp = self._flow(self._past, pixels).after(view)
            error = landmarks.after(warp.inverse())
            far = abs(error.a * _MIDDLE + error.b - _MIDDLE) + abs(error.a - 1) / 2
            followed = float(share(_CUTOFF + _QUICKEN * far, step))
            warp = error.part(followed, _MIDDLE).after(warp)
        self._past = _Past(seconds, landmarks, warp, pixels, view)
        smooth = self._filter.see(landmarks(flat), seconds)
        return warp, to_real(warp.inverse()(smooth))

    def _align(self, points: Points, step: float) -> Similarity:
        """Aligns a face by its landmarks, and learns where its rigid points are."""
        rigid = points[list(RIGID)]
        if self._template is None:
            self._template = level_eyes(points)(rigid)
        found = fit(rigid, self._template)
        self._seen += 1
        new = max(1 / self._seen, -np.expm1(-step / _TEMPLATE_SECONDS))
        template = self._template + new * (found(rigid) - self._template)
        self._template = _onto_eyes(template[:4])(template)
        return found

    def _flow(self, past: _Past, pixels: Image) -> Similarity:
        """Measures what motion is left; returns what undoes it, in the aligned face."""
        assert self._template is not None
        then = past.view.after(past.warp.inverse())(self._template)
        flowed, found, _ = cv2.calcOpticalFlowPyrLK(
            past.pixels,
            pixels,
            (to_real(then) * _SIDE - 0.5).astype(np.float32)[:, None],
            None,  # type: ignore[call-overload]
            winSize=(_WINDOW, _WINDOW),
            maxLevel=2,
            criteria=(cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 20, 0.01),
        )
        chosen = found.reshape(-1) == 1
        if np.count_nonzero(chosen) >= _FEWEST:
            now = to_complex((flowed[:, 0].astype(np.float64) + 0.5) / _SIDE)
            undo, spread = fit_most(now[chosen], self._template[chosen], _FLOW_NOISE / _SIDE)
            reach = abs(undo.a * _MIDDLE + undo.b - _MIDDLE) + abs(undo.a - 1) / 2
            if spread * _SIDE <= _FLOW_SPREAD and reach * _SIDE <= _FLOW_REACH:
                return undo
        return Similarity(1, 0)


def level_eyes(points: Points) -> Similarity:
    """Returns what brings the eyes of landmarks [468] to where an aligned face has them."""
    return _onto_eyes(points[[*EYE_CORNERS[0], *EYE_CORNERS[1]]])


def _onto_eyes(corners: Points) -> Similarity:
    return fit(corners.reshape(2, 2).mean(axis=1), _EYES)


def _view(frame: Image, warp: Similarity) -> Image:
    pixels = warped(frame, warp.matrix(), _SIDE)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)) if pixels.ndim == 3 else pixels
