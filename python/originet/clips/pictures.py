"""Labelled pictures of clips: sheets of frames and active images, and animations of them.

Pillow draws them pixel by pixel. With matplotlib, panels would differ in size and lose pixels.
"""

import errno
import io
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from PIL.Image import Image as Picture

from originet.clips.still import Image
from originet.system.errors import InputError
from originet.system.files import check_regular
from originet.system.opencv import no_stderr, silence
from originet.system.words import printable

# Limits of a panel's longer side in pixels: smaller panels are enlarged, larger ones shrunk.
PANEL_SIDES = (224, 640)

CONTACT_SIDE = 128  # pixels of the longer side of the many panels on a contact sheet

# GIFs count in hundredths of a second. Browsers treat a delay below two of them as ten.
_GIF_RATE = 100.0
_GIF_SHORTEST = 2
_GIF_LONGEST = 2**16 - 1  # the largest delay that the format can store

# Limits of a video's rate, which is constant; pictures are repeated to last as long as they should.
_VIDEO_RATES = (10.0, 60.0)
_VIDEO_LONGEST = 86_400.0  # seconds; every repetition of a picture is encoded
# VP9, also in MP4: browsers play it, and OpenCV's wheels can encode it but not H.264.
_VIDEO_CODEC = "vp09"
VIDEO_SUFFIXES = (".mp4", ".webm")

_INK, _GREY, _PAPER = 0x22, 0x6A, 0xFF


class Panel(NamedTuple):
    """A picture and its caption, which stands above it.

    Attributes:
        title: the first line.
        note: the second line, in smaller type.
        pixels: [H, W] or [H, W, 3] (blue, green, red) uint8.
    """

    title: str
    note: str
    pixels: Image


def sheet(panels: Sequence[Panel], columns: int) -> Picture:
    """Draws panels of one size in rows, each under its title.

    Raises:
        InputError: if there is no panel, columns is below 1, or the panels' shapes differ.
    """
    return next(sheets([panels], columns))


def contact_sheet(panels: Sequence[Panel]) -> Picture:
    """Draws many small panels of one size in about as many rows as columns; raises like `sheet`."""
    columns = math.ceil(math.sqrt(len(panels)))
    return next(sheets([panels], columns, sides=(CONTACT_SIDE, CONTACT_SIDE)))


def sheets(
    pages: Sequence[Sequence[Panel]], columns: int, sides: tuple[int, int] = PANEL_SIDES
) -> Iterator[Picture]:
    """Draws sheets of one size, the pages of an animation.

    Args:
        pages: the panels of each sheet, the same number on every sheet.
        columns: panels per row.
        sides: limits of a panel's longer side, in pixels.

    Returns:
        The sheets.

    Raises:
        InputError: as for `sheet`, and if the sheets have different numbers of panels.
    """
    panels = [panel for page in pages for panel in page]
    shapes = {panel.pixels.shape for panel in panels}
    if columns < 1 or len(shapes) != 1 or len({len(page) for page in pages}) != 1:
        raise InputError(
            f"a sheet needs panels of one shape in at least 1 column, got "
            f"{', '.join(str(list(shape)) for shape in sorted(shapes))} in {columns}"
        )
    layout = _Layout(panels, columns, max(map(len, pages)), sides)
    return (layout.draw(page) for page in pages)


def png(picture: Picture) -> bytes:
    """Returns a picture as PNG; the same picture gives the same bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


class Playing(NamedTuple):
    """How an animation is played.

    Attributes:
        rate: ticks per second; in a video, a tick is a frame.
        ticks: for how many ticks each picture is shown, by its index; skipped pictures are absent.
    """

    rate: float
    ticks: dict[int, int]


def playing(times: Sequence[float], suffix: str) -> Playing:
    """Chooses for how long each picture is shown, so that the whole lasts as long as it should.

    If pictures follow each other faster than the format or a screen can show, some are skipped, but
    never the last.

    Args:
        times: when each picture appears, in seconds, ascending, and when the last one ends.
        suffix: ".gif" or one of `VIDEO_SUFFIXES`.

    Returns:
        The rate and the ticks of each picture.

    Raises:
        InputError: if a picture of a GIF would be shown for longer than the format can store, or a
            video would last longer than a day.
    """
    if suffix == ".gif":
        rate, shortest = _GIF_RATE, _GIF_SHORTEST
    else:
        rate, shortest = _video_rate(times), 1
    starts = [round((seconds - times[0]) * rate) for seconds in times]
    until = max(starts.pop(), shortest)
    ticks: dict[int, int] = {}
    for index in reversed(range(len(starts))):
        # The last picture is always shown, if necessary too early.
        start = min(starts[index], until - shortest) if not ticks else starts[index]
        if until - start >= shortest:
            ticks[index] = until - start
            until = start
    ticks[min(ticks)] += until
    longest = max(ticks.values()) if suffix == ".gif" else sum(ticks.values())
    if longest > (_GIF_LONGEST if suffix == ".gif" else _VIDEO_LONGEST * rate):
        what = "a picture of the .gif" if suffix == ".gif" else f"the {suffix}"
        most = _GIF_LONGEST / _GIF_RATE if suffix == ".gif" else _VIDEO_LONGEST
        raise InputError(
            f"{what} would be shown for {longest / rate:.6g} s, at most {most:g} s are possible: "
            "choose a higher speed"
        )
    return Playing(rate, dict(sorted(ticks.items())))


def _video_rate(times: Sequence[float]) -> float:
    """Returns a rate that shows evenly spaced pictures evenly, and also shows short ones."""
    gaps = np.diff(times)
    slowest, fastest = _VIDEO_RATES
    usual = float(gaps.mean() if gaps.max() < 1.25 * gaps.min() else np.quantile(gaps, 0.1))
    if usual * fastest <= 1:
        return fastest
    return max(1, math.ceil(slowest * usual - 1e-9)) / usual


def gif(pages: Iterable[Picture], play: Playing) -> bytes:
    """Returns pictures of one size as a looping GIF, timed by `playing`."""
    first, *others = [page for index, page in enumerate(pages) if index in play.ticks]
    times = [round(1000 * ticks / play.rate) for ticks in play.ticks.values()]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=times, loop=0)
    return buffer.getvalue()


class CannotWrite(OSError):
    """A movie could not be written completely to the folder for temporary files."""


def movie(pages: Iterable[Picture], play: Playing, suffix: str) -> bytes:
    """Returns pictures of one size as a video, timed by `playing`.

    Raises:
        InputError: if this OpenCV cannot write such videos.
        CannotWrite: if the folder for temporary files has no room for it; the message does not name
            the temporary file, which the user does not know.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"movie{suffix}"
            written = _write_movie(path, pages, play)
            data = path.read_bytes() if path.exists() else b""
            # OpenCV does not report a full disk.
            whole = _count_frames(path) == written
    except OSError as error:
        raise CannotWrite(error.errno, f"{error.strerror}, in the temporary folder") from error
    if not whole:
        reason = "truncated while being written to the temporary folder: is the disk full?"
        raise CannotWrite(errno.ENOSPC, reason)
    return data


def _write_movie(path: Path, pages: Iterable[Picture], play: Playing) -> int:
    """Writes a video; returns how many frames it should have."""
    writer: cv2.VideoWriter | None = None
    try:
        for index, page in enumerate(pages):
            pixels = _even(np.asarray(page.convert("RGB"))[..., ::-1])
            writer = writer or _video_writer(path, play.rate, pixels)
            for _ in range(play.ticks.get(index, 0)):
                writer.write(pixels)
    finally:
        if writer is not None:
            writer.release()
    return sum(play.ticks.values())


def _count_frames(path: Path) -> int:
    """Counts the frames that can be read from a video."""
    with silence:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def _video_writer(path: Path, rate: float, pixels: Image) -> cv2.VideoWriter:
    codec = cv2.VideoWriter.fourcc(*_VIDEO_CODEC)
    size = (pixels.shape[1], pixels.shape[0])
    with silence, no_stderr:
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, rate, size)
    if not writer.isOpened():
        raise InputError(f"this OpenCV cannot write {path.suffix} files with VP9: write a .gif")
    return writer


def _even(pixels: Image) -> Image:
    """Pads odd heights and widths with a white row or column: the codec needs even ones."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=_PAPER)


def _font(weight: str, size: int) -> ImageFont.FreeTypeFont:
    """Loads the font that ships with matplotlib."""
    path = findfont(FontProperties(family="DejaVu Sans", weight=weight))
    check_regular(path)
    return ImageFont.truetype(path, size)


class _Layout:
    """Layout of sheets whose panels have one size."""

    def __init__(
        self, panels: Sequence[Panel], columns: int, count: int, sides: tuple[int, int]
    ) -> None:
        height, width = panels[0].pixels.shape[:2]
        longer = max(height, width)
        scale = min(max(longer, sides[0]), sides[1]) / longer
        self._size = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._shrinks = scale < 1
        unit = max(14, round(0.045 * max(self._size)))
        self._title = _font("bold", unit)
        self._note = _font("normal", round(0.86 * unit))
        self._line = round(1.35 * unit)
        self._head = 2 * self._line + unit // 4
        self._gap = unit
        # Text wider than its panel pushes the panels apart instead of overlapping its neighbour.
        texts = [(self._title, printable(panel.title)) for panel in panels]
        texts += [(self._note, printable(panel.note)) for panel in panels]
        widest = max(round(font.getlength(text)) for font, text in texts)
        self._columns = min(columns, count)
        self._cell = (max(self._size[0], widest), self._head + self._size[1])
        rows = -(-count // self._columns)
        self._sheet = (
            self._gap + self._columns * (self._cell[0] + self._gap),
            self._gap + rows * (self._cell[1] + self._gap),
        )

    def draw(self, panels: Sequence[Panel]) -> Picture:
        colored = panels[0].pixels.ndim == 3
        picture = PillowImage.new("L", self._sheet, _PAPER)
        if colored:
            picture = picture.convert("RGB")
        pen = ImageDraw.Draw(picture)
        for place, panel in enumerate(panels):
            row, column = divmod(place, self._columns)
            left = self._gap + column * (self._cell[0] + self._gap)
            top = self._gap + row * (self._cell[1] + self._gap)
            for line, (font, text, shade) in enumerate(
                ((self._title, panel.title, _INK), (self._note, panel.note, _GREY))
            ):
                color = (shade,) * 3 if colored else shade
                pen.text((left, top + line * self._line), printable(text), fill=color, font=font)
            picture.paste(self._scaled(panel.pixels), (left, top + self._head))
        return picture

    def _scaled(self, pixels: Image) -> Picture:
        interpolation = cv2.INTER_AREA if self._shrinks else cv2.INTER_CUBIC
        scaled = np.asarray(cv2.resize(pixels, self._size, interpolation=interpolation))
        return PillowImage.fromarray(scaled if scaled.ndim == 2 else scaled[..., ::-1].copy())
