"""Clips on disk for the tests of pictures."""

import cv2
import numpy as np


def random_frames(count=6, size=(24, 32), seed=0):
    """Returns [count, *size] uint8 of noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size), dtype=np.uint8)


def write_folder(folder, frames, first=1):
    """Writes frames as numbered PNG files, without loss."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        assert cv2.imwrite(str(folder / f"img{number}.png"), frame)
    return folder


def write_video(path, frames, fps=25):
    """Writes frames, grey or (blue, green, red), as a video of good quality."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    for frame in frames:
        writer.write(frame if frame.ndim == 3 else cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path
