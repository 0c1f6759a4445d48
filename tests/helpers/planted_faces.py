"""A real face, small and still, with movements planted into it: seconds to spot, not minutes."""

from functools import cache

import cv2
import numpy as np
from skimage import data

from originet.clips.cascade_tracker import CascadeTracker
from originet.datasets.planted import Planted, movements, still_video

FPS = 30.0


@cache
def face() -> tuple[np.ndarray, np.ndarray]:
    """A frame [150, 160], and where its face is."""
    grey = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)[:300, 80:400]
    frame = cv2.resize(grey, (160, 150), interpolation=cv2.INTER_AREA)
    tracker = CascadeTracker()
    for index in range(6):
        faces = tracker.follow(frame, index / FPS)
    return frame, faces[0].warp


@cache
def clip(seconds: float = 4.5, seed: int = 0) -> tuple[np.ndarray, list[Planted]]:
    """Frames [T, 150, 160] of a face, and the movements in them."""
    frame, warp = face()
    rng = np.random.default_rng(seed)
    length = round(seconds * FPS)
    planted = movements(length, FPS, rng, first=1.2, gaps=(1.0, 1.4))
    frames = np.stack(list(still_video(frame, warp, planted, length, FPS, rng, sway=1.0)))
    frames.setflags(write=False)
    return frames, planted
