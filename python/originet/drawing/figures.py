"""Figures of the report, as `matplotlib.figure.Figure` objects: no pyplot, no global state.

Colours are a blue, an orange and greys that stay apart for colour-blind readers and in grey print,
and that stand out from a white page and from a dark one. Names come from the user's data, so they
are never read as mathematical text, and what a font has no sign for, or an SVG file no place, is
written out, see `originet.system.words.printable`.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from originet.system.errors import InputError
from originet.system.files import write_atomically
from originet.system.words import printable

_LONGEST = 32  # characters of a name beside an axis
BLUE, ORANGE, GREY, INK, GRID = "#0072b2", "#d55e00", "#8a8a8a", "#222222", "#e5e5e5"
WIDTH = 7.0  # inches of a chart as wide as a report's column; its text is made for that

# From nothing to a deep blue, so that the page's own white or black shows through.
_SHADES = LinearSegmentedColormap.from_list("shades", [(0.03, 0.32, 0.61, a) for a in (0, 1)])
_DARK_CELL = 0.65  # the share from which white is easier to read on a cell than ink

# What in a drawing takes a colour of the page around it: the text, and the lines of a grid.
_OF_THE_PAGE = {"#000000": "--ink", INK: "--ink", GRID: "--line"}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def axis_label(name: str) -> str:
    """Returns a name as it stands beside an axis, to which a long one would leave no room."""
    text = printable(name)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def as_they_are(*labels: Text) -> None:
    """Keeps the labels of an axis from being read as mathematical text."""
    for each in labels:
        each.set_parse_math(False)


def active_image_grid(images: Mapping[str, NDArray[np.uint8]], title: str) -> Figure:
    """Draw images side by side, each under its name, at most four in a line.

    Args:
        images: [H, W] or [H, W, 3] (RGB) uint8 by name.
        title: Heading of the figure.

    Raises:
        InputError: No image, or one of another shape or dtype.
    """
    if not images:
        raise InputError("images: at least one is needed, got none")
    columns = min(4, len(images))
    lines = math.ceil(len(images) / columns)
    figure = new_figure(2.1 * columns, 2.35 * lines + 0.4)
    figure.suptitle(printable(title), fontsize=12, parse_math=False)
    for place, (name, image) in enumerate(images.items(), start=1):
        grey = image.ndim == 2
        if image.dtype != np.uint8 or not (grey or image.shape[2:] == (3,)):
            what = f"{list(image.shape)} {image.dtype}"
            raise InputError(f"image {name!r} must be [H, W] or [H, W, 3] uint8, got {what}")
        axes = figure.add_subplot(lines, columns, place)
        axes.imshow(image, cmap="gray" if grey else None, vmin=0, vmax=255)
        axes.set_title(printable(name), fontsize=10, parse_math=False)
        axes.set_axis_off()
    return figure


def confusion_matrix(
    confusion: NDArray[np.integer[Any]], classes: Sequence[str], title: str
) -> Figure:
    """Draw a confusion matrix: counts written in, colour for the share of the true class.

    Args:
        confusion: Counts [C, C]; rows are true classes, columns predictions.
        classes: The C names.
        title: Heading of the figure.

    Raises:
        InputError: The matrix does not fit the names.
    """
    classes = list(map(axis_label, classes))
    count = len(classes)
    if count == 0 or confusion.shape != (count, count):
        raise InputError(f"confusion must be [{count}, {count}], got {list(confusion.shape)}")
    totals = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)  # a class without clips keeps an empty row
    figure = new_figure(max(WIDTH, 1.4 + 0.62 * count), 1.4 + 0.5 * count)
    axes = figure.add_subplot()
    axes.set_title(printable(title), fontsize=12, parse_math=False)
    axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=1, aspect="auto")
    for edge in np.arange(count + 1) - 0.5:
        axes.axhline(edge, color=GRID, linewidth=0.8)
        axes.axvline(edge, color=GRID, linewidth=0.8)
    for row, column in np.ndindex(count, count):
        share = float(shares[row, column])
        text = f"{confusion[row, column]}\n{100 * share:.0f} %"
        colour = "white" if share > _DARK_CELL else INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    # Names that are longer than their column is wide would run into each other.
    tilt = 30 if max(map(len, classes)) * count > 55 else 0
    axes.set_xticks(range(count), classes, rotation=tilt, ha="right" if tilt else "center")
    axes.set_yticks(range(count), classes)
    as_they_are(*axes.get_xticklabels(), *axes.get_yticklabels())
    axes.set_xlabel("predicted (share of the true class)")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element for a page, on whose background it is drawn.

    Text and grid take the colours `--ink` and `--line` of the page, so that they follow its dark
    mode; the page's style must also fill with `--ink` what has no colour of its own. Text is drawn
    as outlines: it looks alike everywhere, and no name in it can act. The same figure gives the
    same element.
    """
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "originet"}):
        drawn = _render(figure, "svg", transparent=True, metadata={"Date": None}).decode()
    drawn = drawn[drawn.index("<svg") :]
    # A style inside would apply to the whole page, whose own sheet says the same of charts.
    drawn = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", drawn, flags=re.S)
    drawn = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", drawn).replace("xlink:href", "href")
    for colour, variable in _OF_THE_PAGE.items():
        drawn = drawn.replace(f": {colour}", f": var({variable})")
    return re.sub(r"\s*\n\s*", "\n", drawn).strip()


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, atomically, in the format that the file name's ending says.

    Raises:
        InputError: The ending is not that of a format matplotlib can write.
        OSError: The file cannot be written there.
    """
    ending = Path(path).suffix.removeprefix(".").lower()
    formats = sorted(figure.canvas.get_supported_filetypes())
    if ending not in formats:
        raise InputError(f"{path}: the name must end in one of {', '.join(formats)}")
    write_atomically(path, _render(figure, ending))


def _render(figure: Figure, ending: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, dpi=150, **options)
    return buffer.getvalue()
