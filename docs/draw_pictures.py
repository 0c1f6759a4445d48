"""Draw the pictures of docs/active-images.md: one semi-synthetic clip by every method.

python docs/draw_pictures.py     # writes docs/pictures/*.png
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from originet import load_dataset, synth
from originet_ext import METHODS, active_image

PICTURES = Path(__file__).parent / "pictures"
EMOTION = "surprise"  # the first subject's first clip: the brows rise and come down again


def pictures() -> dict[str, NDArray[np.uint8]]:
    """Make the pictures by file name: an active image a method, and three frames of the clip."""
    with tempfile.TemporaryDirectory() as folder:
        clips = synth.generate(Path(folder) / "clips", subjects=1, clips_per_class=1, seed=0)
        table = load_dataset("synthetic", clips)
        paths = table[table["label"] == EMOTION].iloc[0]["frames"]
        frames = np.stack([cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in paths])
    clip = torch.from_numpy(frames)
    images = {
        method: active_image(clip, method=method, normalize="minmax").round().byte().numpy()
        for method in METHODS
    }
    # The apex: the frame that differs most from the first one.
    apex = np.abs(frames.astype(np.int16) - frames[0]).mean(axis=(1, 2)).argmax()
    return images | {"clip": np.hstack([frames[0], frames[apex], frames[-1]])}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    for name, picture in pictures().items():
        path = PICTURES / f"{name}.png"
        if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
            raise SystemExit(f"cannot write {path}")
        print(path)


if __name__ == "__main__":
    main()
