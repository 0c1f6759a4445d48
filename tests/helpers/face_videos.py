"""A real face that moves in known ways."""

import cv2
import numpy as np
from skimage import data

from originet.clips.similarity import Similarity


def astronaut():
    """A face of 105 pixels in [512, 512, 3] (blue, green, red)."""
    return data.astronaut()[:, :, ::-1].copy()


def close_up():
    """The same face in [280, 280, 3]."""
    return astronaut()[:280, 90:370].copy()


def turn(degrees, scale, about, shift=0):
    """Returns what turns and scales about a point, then shifts."""
    a = complex(scale * np.exp(1j * np.radians(degrees)))
    return Similarity(a, about - a * about + shift)


def nod(seconds, about, size):
    """Returns how a head sways: by a twelfth of its size, 8 degrees and a twentieth in size."""
    sines = [np.sin(2 * np.pi * rate * seconds) for rate in (0.5, 0.35, 0.4, 0.3)]
    shift = size * complex(sines[0], sines[1]) / 12
    return turn(8 * sines[2], 1 + sines[3] / 20, about, shift)


def moved(image, motion, rng=None):
    """Moves a picture; with a generator, adds a camera's noise of 3 grey levels."""
    half = 0.5 + 0.5j  # pixel centres
    warp = Similarity(1, -half).after(motion).after(Similarity(1, half))
    frame = cv2.warpAffine(
        image,
        warp.matrix(),
        image.shape[1::-1],
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if rng is None:
        return frame
    noisy = frame + 3 * rng.standard_normal(frame.shape, np.float32)
    return noisy.round().clip(0, 255).astype(np.uint8)


def left_over(warps, motions, points):
    """How far points of the first picture waver in the aligned face, in pixels of 128.

    Args:
        warps: A `Similarity` a frame, from the frame to the aligned face.
        motions: A `Similarity` a frame, from the first picture to the frame.
        points: [K] complex, in the first picture.

    Returns:
        [T, K], distances from the points' mean places.
    """
    places = np.array([warp(motion(points)) for warp, motion in zip(warps, motions, strict=True)])
    return 128 * np.abs(places - places.mean(axis=0))
