"""Figures of a leave-one-subject-out evaluation: its subjects, training and calibration."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from originet.drawing.figures import (
    BLUE,
    GREY,
    GRID,
    INK,
    ORANGE,
    WIDTH,
    as_they_are,
    axis_label,
    new_figure,
)
from originet.evaluation.metrics import Calibration
from originet.system.errors import InputError


def subject_accuracy(
    accuracies: Mapping[str, Sequence[float]], mean: float, baseline: float
) -> Figure:
    """Draw the accuracy of each subject: a bar for the mean, a dot for each seed if several.

    Args:
        accuracies: One number in 0..1 a seed, by subject.
        mean: Mean over subjects and seeds, a solid line.
        baseline: That of the majority baseline, a dashed line.

    Raises:
        InputError: There is no subject.
    """
    if not accuracies:
        raise InputError("accuracies: at least one subject is needed, got none")
    figure = new_figure(WIDTH, 0.9 + 0.24 * len(accuracies))
    axes = figure.add_subplot()
    places = np.arange(len(accuracies))
    axes.barh(
        places, [np.mean(each) for each in accuracies.values()], height=0.68, color=BLUE, alpha=0.4
    )
    for place, each in zip(places, accuracies.values(), strict=True):
        if len(each) > 1:
            axes.plot(each, [place] * len(each), ".", color=BLUE, ms=4, clip_on=False)
    axes.axvline(mean, color=BLUE, linewidth=1.4, label="mean")
    axes.axvline(baseline, color=INK, linewidth=1.2, linestyle="--", label="majority baseline")
    axes.set_yticks(places, list(map(axis_label, accuracies)))
    as_they_are(*axes.get_yticklabels())
    axes.set_ylim(len(accuracies) - 0.4, -0.6)
    _in_percent(axes)
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def learning_curves(histories: Sequence[Sequence[Mapping[str, float | None]]]) -> Figure:
    """Draw loss and accuracy over the epochs: the median of the folds and their middle half.

    Args:
        histories: The folds' histories, see `originet.training.train.History.epochs`, of
            one length; folds without validation have no part in its curves.

    Raises:
        InputError: There is no fold.
    """
    if not histories:
        raise InputError("histories: at least one fold is needed, got none")
    figure = new_figure(WIDTH, 2.9)
    loss, accuracy = figure.subplots(1, 2)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for prefix, colour, style in (("", BLUE, "-"), ("validation_", ORANGE, "--")):
            values = np.array(
                [[record[prefix + name] for record in history] for history in histories],
                dtype=np.float64,
            )  # [folds, epochs], NaN for None
            values = values[~np.isnan(values).any(axis=1)]
            if len(values) > 0:
                label = "validation" if prefix else "training"
                _median_and_spread(axes, values, colour, style, label)
        axes.set_ylabel(name)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    loss.set_ylim(bottom=0)
    accuracy.set_ylim(0, 1.02)
    accuracy.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles, labels = loss.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure


def selected_epochs(epochs: Sequence[int], last: int) -> Figure:
    """Draw how many folds kept the weights of each epoch.

    Args:
        epochs: The selected epoch of each fold, from 1.
        last: The number of epochs.

    Raises:
        InputError: There is no fold, or an epoch is outside 1..last.
    """
    counts = np.bincount(epochs, minlength=last + 1) if epochs and min(epochs) > 0 else ()
    if len(counts) != last + 1:
        raise InputError(f"epochs must be one or more in 1..{last}, got {list(epochs)}")
    figure = new_figure(WIDTH, 1.5)
    axes = figure.add_subplot()
    axes.bar(np.arange(1, last + 1), counts[1:], width=0.8, color=ORANGE)
    axes.set_xlim(0.4, last + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("folds")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def reliability(found: Calibration) -> Figure:
    """Draw a reliability diagram: the share of right predictions by confidence, above the counts.

    Args:
        found: From `originet.evaluation.metrics.calibration`.
    """
    figure = new_figure(WIDTH, 4.4)
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    filled = found.counts > 0
    left, width = found.edges[:-1], np.diff(found.edges)
    options = {"width": width[filled], "align": "edge", "linewidth": 0.8}
    shares.bar(left[filled], found.accuracy[filled], color=BLUE, alpha=0.25, **options)
    shares.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1.2, label="calibrated")
    shares.plot(
        found.confidence[filled], found.accuracy[filled], "o-", color=BLUE, ms=5, label="networks"
    )
    shares.set_ylabel("right")
    shares.set_ylim(0, 1.02)
    shares.set_yticks(np.linspace(0, 1, 5))
    shares.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    shares.legend(loc="upper left", frameon=False, fontsize=9)
    wrong = found.counts - found.right
    gap = {"width": 0.94 * width, "align": "center"}
    middle = left + width / 2
    counts.bar(middle, found.right, color=BLUE, label="right", **gap)
    counts.bar(middle, wrong, bottom=found.right, color=ORANGE, label="wrong", **gap)
    for place, count in zip(middle[filled], found.counts[filled], strict=True):
        counts.annotate(
            str(count), (place, count), (0, 2), textcoords="offset points", ha="center", fontsize=8
        )
    counts.set_ylim(0, 1.2 * found.counts.max())
    counts.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    counts.set_ylabel("predictions")
    counts.legend(loc="upper left", frameon=False, fontsize=9)
    _in_percent(counts)
    counts.set_xlim(0, 1)
    counts.set_xlabel("probability of the predicted class")
    for axes in (shares, counts):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _median_and_spread(
    axes: Axes, values: NDArray[np.float64], colour: str, style: str, label: str
) -> None:
    """Draws values [folds, epochs] over the epochs, counted from 1."""
    epochs = np.arange(1, values.shape[1] + 1)
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
    marker = "o" if len(epochs) == 1 else ""  # a line needs two points
    axes.plot(epochs, middle, style, marker=marker, color=colour, linewidth=1.8, label=label)


def _in_percent(axes: Axes) -> None:
    axes.set_xticks(np.linspace(0, 1, 5))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
