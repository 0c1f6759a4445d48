"""Pictures of what a network takes of a clip, for contact sheets and reports."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from originet.clips.still import Image
from originet.system.channels import GREY, U, V, channels_of, is_one_image

LEGEND = (
    "A flow is drawn as colours beside its strain: the hue is the direction (red right, green down "
    "and to the left, blue up and to the left), the saturation the length, white no motion. Both "
    "are stretched within each picture."
)


def picture_of(image: NDArray[Any], method: str) -> Image:
    """Draws the channels of a clip side by side, in as many rows as columns.

    Args:
        image: [S, S] or [S, S, C], as `method` says.
        method: see `originet.system.channels`.

    Returns:
        [H, W] uint8, one image as it is; with a flow [H, W, 3] uint8 (red, green, blue).
    """
    if is_one_image(method):
        return image
    tiles: list[Image] = []
    for place, channel in enumerate(channels_of(method)):
        plane = image[..., place]
        if channel.kind == U:
            tiles.append(_wheel(plane, image[..., place + 1]))
        elif channel.kind == GREY:
            tiles.append(plane.astype(np.uint8))
        elif channel.kind != V:
            tiles.append(_stretched(plane))
    if any(tile.ndim == 3 for tile in tiles):
        tiles = [tile if tile.ndim == 3 else np.stack([tile] * 3, axis=-1) for tile in tiles]
    columns = math.ceil(math.sqrt(len(tiles)))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[at : at + columns], 1) for at in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def _wheel(u: NDArray[np.floating], v: NDArray[np.floating]) -> Image:
    length = np.hypot(u, v)
    share = length / max(float(length.max()), 1e-6)
    degrees = np.degrees(np.arctan2(v, u)) % 360
    white = np.ones_like(share)
    hsv = np.stack([degrees, share, white], axis=-1).astype(np.float32)
    rgb = 255 * np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    return rgb.round().astype(np.uint8)


def _stretched(plane: NDArray[Any]) -> Image:
    values = plane.astype(np.float64)
    spread = values - values.min()
    return (255 * spread / max(float(spread.max()), 1e-12)).round().astype(np.uint8)
