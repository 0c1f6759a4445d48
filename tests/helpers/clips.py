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


def leaves(frames, first, over, returns=None):
    """Has the picture's content move out to the right from one frame on, and perhaps return."""
    noise = np.random.default_rng(0)
    background = int(np.median(frames[0][:, :4]))
    moved = frames.copy()
    width = frames.shape[2]
    for index in range(first, len(frames)):
        shift = min(width, width * (index - first + 1) // over)
        if returns is not None and index >= returns:
            shift = max(0, width - width * (index - returns + 1) // over)
        if not shift:  # it is back
            continue
        picture = np.full(frames.shape[1:], float(background))
        picture[:, shift:] = frames[index][:, : width - shift]
        moved[index] = (picture + noise.normal(0, 1.5, picture.shape)).round().clip(0, 255)
    return moved


def write_frames(folder, count=6, size=(24, 32)):
    return write_folder(folder, random_frames(count, size))
