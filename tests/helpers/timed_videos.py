"""Videos whose frames are shown at times of their own, written by PyAV."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image

_TICKS = 600  # a second: divides the frame times of 15, 24, 25, 30, 50 and 60 frames/s

# 36 frames at 15/s, then 36 at 60/s.
UNEVEN = [k / 15 for k in range(36)] + [2.4 + k / 60 for k in range(36)]


# MPEG-1 and MPEG-2 know a few constant rates only.
_CONSTANT = {"mpeg1video", "mpeg2video"}


def bars(count, size=(48, 144)):
    """Makes frames that show their place: a bright bar grows from left to right."""
    frames = np.full((count, *size, 3), 20, np.uint8)
    for index, frame in enumerate(frames):
        frame[:, : (index + 1) * size[1] // count] = 220
    return frames


def write_timed(path, frames, times, codec="mpeg4", format=None):
    """Writes frames (blue, green, red) that are shown at times in seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=format) as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        ticks = 25 if codec in _CONSTANT else _TICKS
        stream.codec_context.time_base = Fraction(1, ticks)
        for pixels, seconds in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, "bgr24")
            frame.pts, frame.time_base = round(seconds * ticks), Fraction(1, ticks)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def write_animation(path, frames, durations):
    first, *others = [Image.fromarray(frame[..., ::-1]) for frame in frames]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, **options)
    return path
