"""Small files whose headers promise frames that no memory holds, byte by byte."""

import struct
import zlib

import cv2
import numpy as np
from clips import random_frames
from PIL import Image


def png(width, height):
    """A header with a right checksum, and pixels of a few rows."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def jpeg(width, height, coding=cv2.IMWRITE_JPEG_QUALITY, value=90):
    written = bytearray(cv2.imencode(".jpg", random_frames(1)[0], [coding, value])[1].tobytes())
    start = max(written.find(b"\xff\xc0"), written.find(b"\xff\xc2"))
    written[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(written)


def bmp(width, height):
    written = bytearray(cv2.imencode(".bmp", random_frames(1)[0])[1].tobytes())
    written[18:26] = struct.pack("<ii", width, height)
    return bytes(written)


def gif(width, height, count=3):
    """A screen of any size, and frames of one pixel."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    frame = b"\x21\xf9\x04\x04\x04\0\0\0\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    return screen + count * (frame + b"\x02\x02\x44\x01\x00") + b";"


def webp(width, height):
    lossy = [cv2.IMWRITE_WEBP_QUALITY, 80]
    written = bytearray(cv2.imencode(".webp", random_frames(1)[0], lossy)[1].tobytes())
    assert written[12:16] == b"VP8 "
    written[26:30] = struct.pack("<HH", width, height)
    return bytes(written)


def animated(folder, suffix, kind):
    """An animation of five frames, by Pillow."""
    first, *others = map(Image.fromarray, random_frames(5, (16, 24)))
    path = folder / f"animated{suffix}"
    first.save(path, kind, save_all=True, append_images=others, duration=40)
    return path.read_bytes()


def animated_webp(folder, width, height):
    written = bytearray(animated(folder, ".webp", "WEBP"))
    assert written[12:16] == b"VP8X"
    written[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(written)


def avif(folder, width, height):
    written = bytearray(animated(folder, ".avif", "AVIF"))
    start = written.find(b"ispe")
    written[start + 8 : start + 16] = struct.pack(">II", width, height)
    start = written.find(b"tkhd") - 4  # the track's, at the end of its header, in 16.16 bits
    end = start + int.from_bytes(written[start : start + 4], "big")
    written[end - 8 : end] = struct.pack(">II", width << 16, height << 16)
    return bytes(written)


def video(folder, suffix, codec, frames=None):
    path = folder / f"video{suffix}"
    frames = random_frames(8, (48, 64)) if frames is None else frames
    code = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 30, frames[0].shape[1::-1])
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.repeat(frame[..., None], 3, 2))
    writer.release()
    return path.read_bytes()


def avi(folder, width, height):
    """Of a codec whose frames do not tell their size."""
    written = bytearray(video(folder, ".avi", "FFV1"))
    start = written.find(b"strf")
    written[start + 12 : start + 20] = struct.pack("<ii", width, height)
    return bytes(written)


def vp9(folder, suffix, width, height):
    """The size in the key frames themselves, which the container does not override."""
    written = bytearray(video(folder, suffix, "vp09"))
    start = written.find(b"\x49\x83\x42")
    while start >= 0:
        bits = int.from_bytes(written[start + 3 : start + 8], "big")
        sizes = width - 1 << 20 | height - 1 << 4
        bits = bits >> 36 << 36 | sizes | bits & 15
        written[start + 3 : start + 8] = bits.to_bytes(5, "big")
        start = written.find(b"\x49\x83\x42", start + 1)
    return bytes(written)
