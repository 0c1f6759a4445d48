"""The figures of the reproduction, as `matplotlib.figure.Figure` objects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from originet.drawing.figures import GREY, WIDTH, axis_label, new_figure
from originet.paper.reproduce.activations import ACTIVATIONS, PSI, curves
from originet.system.words import printable

# Markers and lines are those that the paper's text names for Fig. 3. The colours are close to its
# own, but visible on white and on dark pages.
_LINES = {
    "Sigmoid": ("#1f77b4", "", "-."),
    "Tanh": ("#e07b00", "o", "-."),
    "ReLU": ("#a6683c", "*", "--"),
    "ELU": ("#2c8a2c", "o", "--"),
    "Leaky ReLU": ("#9b5fc4", "+", "--"),
    PSI.name: ("#c0392b", "", "-"),
}
_BRIGHT = "#e0457b"


class Picture(NamedTuple):
    """One picture of a sheet.

    Attributes:
        pixels: [H, W]; uint8 is grey from black to white, anything else is stretched from its own
            smallest to its own largest value.
        note: Text below it.
    """

    pixels: NDArray[Any]
    note: str = ""


def activation_curves() -> Figure:
    """Draws Fig. 3: the functions, and their derivatives."""
    figure = new_figure(WIDTH, 3.2)
    functions, slopes = figure.subplots(1, 2)
    drawn = curves(-5, 5)
    for activation in ACTIVATIONS:
        colour, marker, line = _LINES[activation.name]
        style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line}
        style |= {"markevery": 25, "ms": 5, "label": activation.name}
        style["linewidth"] = 2.4 if activation is PSI else 1.3
        functions.plot(drawn["x"], drawn[activation.name], **style)
        slopes.plot(drawn["x"], drawn[f"{activation.name}′"], **style)
    functions.set(title="functions", ylim=(-1.6, 5))
    slopes.set(title="derivatives", ylim=(-0.1, 1.3))
    functions.legend(fontsize=8, frameon=False, loc="upper left")
    for axes in (functions, slopes):
        _cross(axes)
    return figure


def erratum_curves() -> Figure:
    """Draws the derivative of psi, and the one that Table I prints for x < 0."""
    figure = new_figure(WIDTH, 3.2)
    axes = figure.add_subplot()
    drawn = curves(-6, 2)
    below = drawn["x"] < 0
    colour = _LINES[PSI.name][0]
    axes.plot(drawn["x"], drawn[f"{PSI.name}′"], color=colour, linewidth=2.4, label="ψ′")
    x, wrong = drawn["x"][below], drawn["printed ψ′"][below]
    axes.plot(x, wrong, "--", color=_BRIGHT, linewidth=1.6, label="as printed, x < 0")
    axes.set(title="derivative of ψ", xlim=(-6, 2), ylim=(-0.1, 1.3))
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    _cross(axes)
    return figure


def picture_sheet(rows: Mapping[str, Sequence[Picture | None]], columns: Sequence[str]) -> Figure:
    """Draws pictures in named rows and columns.

    Args:
        rows: The pictures of each row by its name, one for each column; None leaves the place
            empty.
        columns: The names of the columns. All names may have several lines.
    """
    figure = new_figure(0.5 + 1.75 * len(columns), 0.35 + 2.0 * len(rows))
    panels = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, (name, pictures) in zip(panels, rows.items(), strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if picture is None:
                continue
            grey = picture.pixels.dtype == np.uint8
            limits = {"vmin": 0, "vmax": 255} if grey else {}
            axes.imshow(picture.pixels, cmap="gray" if grey else "viridis", **limits)
            axes.set_xlabel(printable(picture.note), fontsize=8, parse_math=False)
        line[0].set_ylabel(_lines(name, axis_label), fontsize=10, parse_math=False)
    for axes, title in zip(panels[0], columns, strict=True):
        axes.set_title(_lines(title, printable), fontsize=10, parse_math=False)
    return figure


def _lines(name: str, write: Callable[[str], str]) -> str:
    """Writes each line of a name by itself, so that the line breaks stay."""
    return "\n".join(map(write, name.split("\n")))


def _cross(axes: Axes) -> None:
    """Draws the axes through 0."""
    axes.set_xlabel("x")
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
