"""Figures of the benchmarks: speed-up, bandwidth and times, as `matplotlib.figure.Figure`."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from originet.drawing.figures import BLUE, GREY, INK, ORANGE, as_they_are, new_figure
from originet.system.errors import InputError
from originet.system.timings import Row
from originet.system.words import printable

# Colour, marker and line of a provider; the clone is the ceiling, not a rival, nor is reading once.
_PROVIDERS = {
    "fused": ("#0072b2", "o", "-"),
    "eager": ("#d55e00", "s", "-"),
    "compile": ("#009e73", "^", "-"),
    "silu": ("#cc79a7", "v", "-"),
    "mish": ("#b8860b", "D", "-"),
    "opencv": ("#cc79a7", "v", "-"),
    "numpy": ("#b8860b", "D", "-"),
    "each": ("#56b4e9", "^", "-"),
    "read": ("#8a8a8a", "", ":"),
    "clone": ("#222222", "", "--"),
}


def kernel_speedup(
    rows: Sequence[Row], unreliable: Collection[tuple[str | int, ...]] = ()
) -> Figure:
    """Draw how many times faster than eager the fused kernel is, one bar a case.

    Args:
        rows: Bench rows; cases timed for both "fused" and "eager" are drawn, in their order.
        unreliable: Cases to mark with "?", see `originet.system.timings.Row.reliable`.

    Raises:
        InputError: No case has both.
    """
    medians: dict[tuple[str | int, ...], dict[str, float]] = {}
    labels: dict[tuple[str | int, ...], str] = {}
    for row in rows:
        medians.setdefault(row.case, {})[row.provider] = row.median_us
        names = f"{row.benchmark} {row.mode}", f"{row.shape} {row.dtype}"
        labels[row.case] = "\n".join(map(printable, names))
    cases = [case for case, times in medians.items() if {"fused", "eager"} <= times.keys()]
    if not cases:
        raise InputError('rows: no case was timed for both "fused" and "eager"')
    speedups = [medians[case]["eager"] / medians[case]["fused"] for case in cases]
    figure = new_figure(6.4, 1.3 + 0.5 * len(cases))
    axes = figure.add_subplot()
    axes.set_title("Fused kernel against eager PyTorch", fontsize=12)
    colours = [BLUE if speedup >= 1 else ORANGE for speedup in speedups]
    axes.barh(range(len(cases)), speedups, height=0.62, color=colours)
    for place, (case, speedup) in enumerate(zip(cases, speedups, strict=True)):
        eager, fused = (duration(medians[case][provider]) for provider in ("eager", "fused"))
        mark = " ?" if case in unreliable else ""
        text = f" {speedup:.1f}x{mark}  ({eager} to {fused})"
        axes.text(max(speedup, 1.0), place, text, va="center", fontsize=9, color=INK)
    axes.axvline(1, color=GREY, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(cases)), [labels[case] for case in cases], fontsize=8)
    as_they_are(*axes.get_yticklabels())
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.0, *speedups) * 1.7)  # room for the text behind the longest bar
    axes.set_xlabel("times faster (dashed line: eager)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def bandwidth(rows: Sequence[Row], title: str, down: str = "dtype") -> Figure:
    """Draw GB/s over the bytes moved, a panel for each dtype or variant (down) and mode (across).

    The clone of as many bytes is the ceiling; vertical lines mark the caches.

    Args:
        rows: Bench rows of one device and number of threads.
        title: Heading of the figure.
        down: The attribute of a row that names its line of panels.

    Raises:
        InputError: There is no row.
    """
    if not rows:
        raise InputError("rows: none was given, so there is nothing to draw")
    names, modes = (list(dict.fromkeys(getattr(r, f) for r in rows)) for f in (down, "mode"))
    figure = new_figure(1.2 + 3.4 * len(modes), 0.9 + 2.5 * len(names))
    size = 12 if len(modes) > 1 else 9  # as wide as there is room
    heading = f"{printable(title)}: GB/s over bytes moved"
    figure.suptitle(heading, fontsize=size, parse_math=False)
    panels = figure.subplots(len(names), len(modes), squeeze=False, sharex=True, sharey=True)
    panels[0, 0].set(xscale="log", yscale="log")
    panels[0, 0].set_xlim(*_limits([row.bytes for row in rows]))
    panels[0, 0].set_ylim(*_limits([row.gbps for row in rows]))
    for (line, name), (across, mode) in itertools.product(enumerate(names), enumerate(modes)):
        axes = panels[line, across]
        _bandwidth_panel(axes, [r for r in rows if (getattr(r, down), r.mode) == (name, mode)])
        axes.set_title(printable(f"{name} {mode}"), fontsize=10, parse_math=False)
        if across == 0:
            axes.set_ylabel("GB/s")
        if line == len(names) - 1:
            axes.set_xlabel("bytes moved")
    return figure


def times(rows: Mapping[str, Sequence[tuple[int, Row]]], title: str, xlabel: str) -> Figure:
    """Draw medians over a number such as a window's length, a panel for each name.

    Args:
        rows: Pairs of the number and a bench row, by the panel's name.
        title: Heading of the figure.
        xlabel: What the number is.

    Raises:
        InputError: There is no row.
    """
    every = [pair for pairs in rows.values() for pair in pairs]
    if not every:
        raise InputError("rows: none was given, so there is nothing to draw")
    figure = new_figure(1.2 + 3.0 * len(rows), 3.4)
    figure.suptitle(printable(title), fontsize=12, parse_math=False)
    panels = figure.subplots(1, len(rows), squeeze=False, sharex=True, sharey=True)[0]
    panels[0].set(xscale="log", yscale="log", ylabel="median")
    panels[0].set_xlim(*_limits([number for number, _ in every]))
    panels[0].set_ylim(*_limits([row.median_us for _, row in every]))
    for axes, (name, pairs) in zip(panels, rows.items(), strict=True):
        _provider_lines(axes, [(row.provider, number, row.median_us) for number, row in pairs])
        axes.set_title(printable(name), fontsize=10, parse_math=False)
        axes.set_xlabel(xlabel)
        axes.set_xticks(sorted({number for number, _ in every}))
        axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}")
        axes.yaxis.set_major_formatter(lambda microseconds, _: duration(microseconds))
    return figure


def duration(microseconds: float) -> str:
    """Write a time with three digits and its unit, as in "1.25 ms"."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds:.3g} µs"


def size_text(size: int) -> str:
    """Write a number of bytes as in "64 KiB"."""
    for unit, step in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << step:
            return f"{size / (1 << step):.3g} {unit}"
    return f"{size} B"


def _bandwidth_panel(axes: Axes, rows: Sequence[Row]) -> None:
    _provider_lines(axes, [(row.provider, row.bytes, row.gbps) for row in rows])
    low, _ = axes.get_ylim()
    left, right = axes.get_xlim()
    for name, size in (("L2", rows[0].l2_bytes), ("L3", rows[0].l3_bytes)) if rows else ():
        if left <= size <= right:
            axes.axvline(size, color=GREY, linewidth=1, linestyle=":")
            axes.text(size, low * 1.15, f" {name}", fontsize=8, color=GREY)
    step = 6 if right > 1e5 * left else 3
    ticks = [1 << exponent for exponent in range(10, 41, step)]
    axes.set_xticks([tick for tick in ticks if left <= tick <= right])
    axes.xaxis.set_major_formatter(lambda size, _: size_text(int(size)))
    axes.yaxis.set_major_formatter(lambda gbps, _: f"{gbps:g}")


def _provider_lines(axes: Axes, points: Iterable[tuple[str, int, float]]) -> None:
    """Draw each provider's (provider, x, y), y on a log axis, its name behind the line's end."""
    lines: dict[str, dict[int, float]] = {}
    for provider, x, y in points:
        if y > 0:  # rounding may leave 0, which has no place here
            lines.setdefault(provider, {}).setdefault(x, y)  # of the same x, the first
    curves = {provider: sorted(line.items()) for provider, line in lines.items()}
    for provider, line in curves.items():
        colour, marker, style = _PROVIDERS.get(provider, (GREY, ".", "-"))
        width = 2.2 if provider == "fused" else 1.3
        axes.plot(
            *zip(*line, strict=True), style, color=colour, marker=marker, ms=4, linewidth=width
        )
    low, high = (math.log(limit) for limit in axes.get_ylim())
    heights = [(math.log(line[-1][1]) - low) / (high - low) for line in curves.values()]
    for (provider, line), height in zip(curves.items(), _spread(heights, 0.085), strict=True):
        colour = _PROVIDERS.get(provider, (GREY,))[0]
        axes.annotate(
            printable(provider),
            line[-1],
            (1.03, height),
            textcoords="axes fraction",
            color=colour,
            fontsize=8,
            fontweight="bold" if provider == "fused" else "normal",
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6},
            annotation_clip=False,
            parse_math=False,
        )
    axes.minorticks_off()
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    positive = [value for value in values if value > 0]  # rounding may leave 0
    return min(positive) / 1.6, max(positive) * 1.6


def _spread(places: Sequence[float], gap: float) -> list[float]:
    """Push places apart, both ways alike, until neighbours are about `gap` apart."""
    order = sorted(range(len(places)), key=places.__getitem__)
    spread = list(places)
    for _ in range(100):  # for six labels a few would do
        for lower, upper in itertools.pairwise(order):
            missing = gap - (spread[upper] - spread[lower])
            if missing > 0:
                spread[lower] -= missing / 2
                spread[upper] += missing / 2
    return spread
