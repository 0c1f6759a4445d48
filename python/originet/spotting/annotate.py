"""The video again, with boxes around faces and the names of their movements."""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from originet.clips.still import Image
from originet.spotting.intervals import Interval
from originet.spotting.source import Source
from originet.spotting.subtitles import caption
from originet.system.errors import InputError
from originet.system.opencv import no_stderr, silence

# Browsers play VP8. It takes OpenCV about as long to write as the video lasts; VP9 takes five times
# as long, and MPEG-4 Part 2, which is fast, is not played.
_CODEC = "VP80"
_WIDEST = 640  # pixels
_QUIET, _MOVING = (180, 180, 180), (40, 170, 255)  # blue, green, red


class _Seen(NamedTuple):
    """A line of frames.csv that shows a face."""

    number: int
    face: int
    box: tuple[int, int, int]


def annotate(
    source: Source, table: Path, intervals: Sequence[Interval], out: Path, frames: int
) -> None:
    """Writes an annotated video, whole or not at all.

    Args:
        source: The video.
        table: Its frames.csv.
        intervals: Its movements.
        out: The file, a .webm.
        frames: How many frames of the video there are.

    Raises:
        InputError: If this OpenCV cannot write such videos.
        OSError: If the file cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".video") as folder:
        path = Path(folder) / out.name
        writer: cv2.VideoWriter | None = None
        try:
            lines = _lines(table)
            line = next(lines, None)
            for frame in source.frames():
                number = source.number(frame.index)
                faces = []
                while line is not None and line.number <= number:
                    faces.append(line)
                    line = next(lines, None)
                picture = _draw(frame.pixels, number, faces, intervals)
                writer = writer or _writer(path, source.fps, picture)
                writer.write(picture)
                if frame.index + 1 == frames:  # behind it, a broken video is an error
                    break
        finally:
            if writer is not None:
                writer.release()
        if not path.exists() or path.stat().st_size == 0:
            raise OSError(None, "truncated while being written: is the disk full?", str(out))
        path.replace(out)


def _lines(table: Path) -> Iterator[_Seen]:
    with open(table, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["face"]:
                box = (int(row["x"]), int(row["y"]), int(row["size"]))
                yield _Seen(int(row["frame"]), int(row["face"]), box)


def _draw(
    pixels: Image, number: int, faces: Sequence[_Seen], intervals: Sequence[Interval]
) -> Image:
    """Returns a frame in colour, of even height and width, with boxes and words."""
    height, width = pixels.shape
    scale = min(1.0, _WIDEST / width)
    size = (max(2, round(scale * width) // 2 * 2), max(2, round(scale * height) // 2 * 2))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    picture = np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), np.uint8)
    now = [each for each in intervals if each.onset <= number <= each.offset]
    for seen in faces:
        moving = [each for each in now if each.face == seen.face]
        x, y, side = (round(scale * length) for length in seen.box)
        color = _MOVING if moving else _QUIET
        cv2.rectangle(picture, (x, y), (x + side, y + side), color, 2 if moving else 1)
        words = caption(moving[0]) if moving else f"face {seen.face}"
        place = (max(x, 0), max(y - 5, 12))
        cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)
    return picture


def _writer(path: Path, fps: float, picture: Image) -> cv2.VideoWriter:
    codec = cv2.VideoWriter.fourcc(*_CODEC)
    size = (picture.shape[1], picture.shape[0])
    with silence, no_stderr:
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, size)
    if not writer.isOpened():
        raise InputError("this OpenCV cannot write .webm files: use --no-video")
    return writer
