"""
Active images of a camera
=========================

Follow a camera and keep the active image of everything seen so far. An accumulator takes one frame
at a time and needs no more memory after two hours than after two seconds::

    python camera_stream.py --camera 0 -o active.png      # until Ctrl-C
    python camera_stream.py --video clip.mp4 -o active.png
    python camera_stream.py -o active.png                 # no camera: 200 synthetic frames
"""

import argparse
from collections.abc import Iterator

import cv2
import numpy as np

from originet_ext import ActiveImageAccumulator

# %%
# Where the frames come from
# --------------------------
# OpenCV reads a camera (by its number) and a video file (by its path) in the same way. Without
# either, a bright spot that moves a little and comes back stands in for them.


def captured(source: int | str) -> Iterator[np.ndarray]:
    """Yield the grey frames [H, W] uint8 of a camera or a video file."""
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        raise SystemExit(f"cannot open {source!r}")
    try:
        while True:
            found, frame = capture.read()
            if not found:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    finally:
        capture.release()


def synthetic(length: int = 200) -> Iterator[np.ndarray]:
    """Yield frames [128, 128] uint8 of a spot that moves 3 pixels and comes back."""
    rows, columns = np.mgrid[:128, :128]
    for time in range(length):
        shift = 3 * np.sin(np.pi * time / (length - 1))
        distance = (rows - 64) ** 2 + (columns - 64 - shift) ** 2
        yield np.uint8(40 + 200 * np.exp(-distance / 200))


# %%
# Watch it
# --------
# ``result()`` may be asked for at any time: the image so far, here after every 100 frames.


def watch(frames: Iterator[np.ndarray], out: str) -> None:
    """Sum frames until they end or Ctrl-C, and write the active image."""
    image = ActiveImageAccumulator(method="cumulative", normalize="minmax")
    try:
        for frame in frames:
            image.update(frame)
            if image.count % 100 == 0:
                print(f"{image.count} frames, mean {image.result().mean():.0f} of 255")
    except KeyboardInterrupt:
        print(f"stopped after {image.count} frames")
    if image.count == 0:
        raise SystemExit("no frame came")
    if not cv2.imwrite(out, image.result()):
        raise SystemExit(f"cannot write {out}")
    print(f"{out}: active image of {image.count} frames")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Active image of a camera, frame by frame.")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", type=int, help="number of the camera, 0 for the first")
    source.add_argument("--video", help="a video file in place of the camera")
    parser.add_argument("-o", "--out", default="active.png", help="the picture to write")
    arguments = parser.parse_args()
    if arguments.camera is not None:
        watch(captured(arguments.camera), arguments.out)
    elif arguments.video is not None:
        watch(captured(arguments.video), arguments.out)
    else:
        watch(synthetic(), arguments.out)
