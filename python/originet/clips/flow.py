"""Optical flow between two frames of a clip: where each pixel of the first one went.

References:
    Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016 ("dis", by OpenCV).
    Zach, Pock, Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007
    ("tvl1", by scikit-image).
    Shreve et al., "Macro- and micro-expression spotting in long videos using spatio-temporal
    strain", FG 2011 (optical strain).
"""

import importlib.util

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.still import Image
from originet.system.choices import FLOWS
from originet.system.errors import InputError

SMALLEST = 16
"""Pixels of a frame's shorter side; DIS needs 12."""


def check_flow(method: str, side: int) -> None:
    """Checks that a flow can be computed here, in frames of a size.

    Raises:
        InputError: if there is no such method, its package is missing, or the frames are too small.
    """
    if method not in FLOWS:
        raise InputError(f"flow must be one of {', '.join(FLOWS)}, got {method!r}")
    if method == "tvl1" and importlib.util.find_spec("skimage") is None:
        raise InputError("method 'tvl1' needs scikit-image: pip install 'originet[flow]'")
    if side < SMALLEST:
        raise InputError(f"method {method!r} needs frames of {SMALLEST} pixels, got {side}")


def flow(onset: Image, apex: Image, method: str = "dis") -> NDArray[np.float32]:
    """Computes the flow from one frame to another, and its strain.

    Args:
        onset: [H, W] uint8.
        apex: [H, W] uint8.
        method: "dis" or "tvl1".

    Returns:
        [H, W, 3] float32: how far each pixel of the onset moves to the right (u) and down (v), in
        pixels; and the optical strain.

    Raises:
        InputError: as for `check_flow`.
    """
    check_flow(method, min(onset.shape))
    if method == "dis":
        # The preset computes at half the size and enlarges, which blurs small movements.
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        dis.setFinestScale(0)
        u, v = np.moveaxis(dis.calc(onset, apex, None), -1, 0)  # type: ignore[call-overload]
    else:
        from skimage.registration import optical_flow_tvl1

        # By default it follows the levels more closely, to the noise of their rounding.
        v, u = optical_flow_tvl1(onset / np.float32(255), apex / np.float32(255), attachment=5)
    return np.stack([u, v, strain(u, v)], axis=-1).astype(np.float32, copy=False)


def strain(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.floating]:
    """Computes the magnitude of the optical strain, sqrt(e_xx^2 + e_yy^2 + 2 e_xy^2).

    A shift has none, and turning or mirroring the flow does not change it.

    Args:
        u: motion to the right [H, W], in pixels.
        v: motion down [H, W], in pixels.

    Returns:
        [H, W], in pixels per pixel.
    """
    u_y, u_x = np.gradient(u)
    v_y, v_x = np.gradient(v)
    magnitude: NDArray[np.floating] = np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)
    return magnitude
