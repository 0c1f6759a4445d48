"""Figures of the report, as `matplotlib.figure.Figure` objects: no pyplot, no global state.

Colours are a blue, an orange and greys that stay apart for colour-blind readers and in grey print.
Names come from the user's data, so they are never read as mathematical text.
"""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from originet.errors import InputError
from originet.files import write_atomically

if TYPE_CHECKING:
    from originet.timing import Row

_BLUE, _ORANGE, _GREY, _INK = "#0072b2", "#d55e00", "#8a8a8a", "#222222"


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
    figure = _figure(2.1 * columns, 2.35 * lines + 0.4)
    figure.suptitle(title, fontsize=12, parse_math=False)
    for place, (name, image) in enumerate(images.items(), start=1):
        grey = image.ndim == 2
        if image.dtype != np.uint8 or not (grey or image.shape[2:] == (3,)):
            what = f"{list(image.shape)} {image.dtype}"
            raise InputError(f"image {name!r} must be [H, W] or [H, W, 3] uint8, got {what}")
        axes = figure.add_subplot(lines, columns, place)
        axes.imshow(image, cmap="gray" if grey else None, vmin=0, vmax=255)
        axes.set_title(name, fontsize=10, parse_math=False)
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
    count = len(classes)
    if count == 0 or confusion.shape != (count, count):
        raise InputError(f"confusion must be [{count}, {count}], got {list(confusion.shape)}")
    totals = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)  # a class without clips keeps an empty row
    size = max(4.0, 1.1 + 0.85 * count)
    figure = _figure(size, size - 0.4)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=12, parse_math=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(count, count):
        share = float(shares[row, column])
        text = f"{confusion[row, column]}\n{share:.0%}"
        colour = "white" if share > 0.5 else _INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    tilt = 30 if count > 4 else 0
    axes.set_xticks(range(count), classes, rotation=tilt, ha="right" if tilt else "center")
    axes.set_yticks(range(count), classes)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.set_xlabel("predicted (per cent of the true class)")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def kernel_speedup(rows: Sequence["Row"]) -> Figure:
    """Draw how many times faster than eager the fused kernel is, one bar a case.

    Args:
        rows: Bench rows; cases timed for both "fused" and "eager" are drawn, in their order.

    Raises:
        InputError: No case has both.
    """
    medians: dict[tuple[str | int, ...], dict[str, float]] = {}
    labels: dict[tuple[str | int, ...], str] = {}
    for row in rows:
        medians.setdefault(row.case, {})[row.provider] = row.median_us
        labels[row.case] = f"{row.benchmark} {row.mode}\n{row.shape} {row.dtype}"
    cases = [case for case, times in medians.items() if {"fused", "eager"} <= times.keys()]
    if not cases:
        raise InputError('rows: no case was timed for both "fused" and "eager"')
    speedups = [medians[case]["eager"] / medians[case]["fused"] for case in cases]
    figure = _figure(6.4, 1.3 + 0.5 * len(cases))
    axes = figure.add_subplot()
    axes.set_title("Fused kernel against eager PyTorch", fontsize=12)
    colours = [_BLUE if speedup >= 1 else _ORANGE for speedup in speedups]
    axes.barh(range(len(cases)), speedups, height=0.62, color=colours)
    for place, (case, speedup) in enumerate(zip(cases, speedups, strict=True)):
        eager, fused = (duration(medians[case][provider]) for provider in ("eager", "fused"))
        text = f" {speedup:.1f}x  ({eager} to {fused})"
        axes.text(max(speedup, 1.0), place, text, va="center", fontsize=9, color=_INK)
    axes.axvline(1, color=_GREY, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(cases)), [labels[case] for case in cases], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.0, *speedups) * 1.7)  # room for the text behind the longest bar
    axes.set_xlabel("times faster (dashed line: eager)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def duration(microseconds: float) -> str:
    """Write a time with three digits and its unit, as in "1.25 ms"."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds:.3g} µs"


def png(figure: Figure) -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    return _render(figure, "png")


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


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _render(figure: Figure, ending: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, dpi=150)
    return buffer.getvalue()
