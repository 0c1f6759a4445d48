"""Figures of an evaluation show the numbers that they are given."""

import numpy as np
import pytest
from loso_results import make_result
from matplotlib.collections import FillBetweenPolyCollection

from originet.drawing.figures import svg
from originet.evaluation import figures
from originet.evaluation.metrics import calibration
from originet.system.errors import InputError


def texts(labels):
    return [label.get_text() for label in labels]


def test_subject_accuracy_has_a_bar_a_subject_and_a_dot_a_seed():
    accuracies = {"s$1$": [0.5, 1.0], "s2": [0.25, 0.25]}
    figure = figures.subject_accuracy(accuracies, mean=0.5, baseline=0.3)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25]
    assert texts(axes.get_yticklabels()) == ["s$1$", "s2"]
    assert axes.yaxis_inverted()  # the first subject is on top
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "."]
    assert [list(each) for each in dots] == [[0.5, 1.0], [0.25, 0.25]]
    lines = {line.get_label(): line.get_xdata() for line in axes.lines}
    assert set(lines["mean"]) == {0.5} and set(lines["majority baseline"]) == {0.3}
    assert svg(figure).startswith("<svg")


def test_subject_accuracy_of_one_seed_has_no_dots():
    (axes,) = figures.subject_accuracy({"s1": [0.5]}, 0.5, 0.3).axes
    assert not [line for line in axes.lines if line.get_marker() == "."]


def test_learning_curves_are_medians_with_the_middle_half():
    histories = [fold["history"] for fold in make_result().folds]
    loss, accuracy = figures.learning_curves(histories).axes
    lines = {line.get_label(): line for line in loss.lines}
    assert lines.keys() == {"training", "validation"}
    training = np.array([[record["loss"] for record in history] for history in histories])
    np.testing.assert_allclose(lines["training"].get_ydata(), np.median(training, axis=0))
    np.testing.assert_array_equal(lines["training"].get_xdata(), np.arange(1, 8))
    (band, _) = (c for c in loss.collections if isinstance(c, FillBetweenPolyCollection))
    heights = band.get_paths()[0].vertices[:, 1]
    quartiles = np.quantile(training, (0.25, 0.75), axis=0)
    assert heights.min() == pytest.approx(quartiles[0].min())
    assert heights.max() == pytest.approx(quartiles[1].max())
    validation = accuracy.lines[1].get_ydata()
    np.testing.assert_allclose(validation, np.median([0, 0.1, 0.2, 0.1, 0.2, 0.3]))


def test_learning_curves_leave_out_folds_without_validation():
    histories = [fold["history"] for fold in make_result().folds]
    none = {"validation_loss": None, "validation_accuracy": None}
    without = [[record | none for record in history] for history in histories]
    loss, accuracy = figures.learning_curves(without).axes
    assert [line.get_label() for line in (*loss.lines, *accuracy.lines)] == ["training"] * 2
    _, accuracy = figures.learning_curves([*without[:-1], histories[-1]]).axes
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), 0.3)


def test_one_epoch_is_a_point():
    history = make_result().folds[0]["history"][:1]
    loss, _ = figures.learning_curves([history]).axes
    assert [line.get_marker() for line in loss.lines] == ["o", "o"]
    low, high = loss.get_xlim()
    assert [tick for tick in loss.get_xticks() if low <= tick <= high] == [1]


def test_selected_epochs_are_counted():
    (axes,) = figures.selected_epochs([2, 3, 3, 5], last=5).axes
    assert [bar.get_height() for bar in axes.patches] == [0, 1, 2, 0, 1]
    assert [bar.get_center()[0] for bar in axes.patches] == [1, 2, 3, 4, 5]


def test_reliability_has_a_point_a_filled_bin_and_the_counts_below():
    found = calibration([0.35, 0.95, 1.0, 1.0, 0.5], [True, True, False, True, False])
    shares, counts = figures.reliability(found).axes
    line = {each.get_label(): each for each in shares.lines}
    np.testing.assert_allclose(line["networks"].get_xdata(), [0.35, 0.5, 2.95 / 3])
    np.testing.assert_allclose(line["networks"].get_ydata(), [1, 0, 2 / 3])
    assert list(line["calibrated"].get_xdata()) == list(line["calibrated"].get_ydata()) == [0, 1]
    right, wrong = ([bar.get_height() for bar in bars] for bars in counts.containers)
    assert right == [0, 0, 0, 1, 0, 0, 0, 0, 0, 2]
    assert wrong == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert texts(counts.texts) == ["1", "1", "3"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.subject_accuracy({}, 0.5, 0.5), "accuracies: at least one"),
        (lambda: figures.learning_curves([]), "histories: at least one"),
        (lambda: figures.selected_epochs([], 3), r"one or more in 1..3, got \[\]"),
        (lambda: figures.selected_epochs([1, 4], 3), r"in 1..3, got \[1, 4\]"),
        (lambda: figures.selected_epochs([0, 1], 3), r"in 1..3, got \[0, 1\]"),
    ],
)
def test_figures_refuse_what_they_cannot_draw(draw, message):
    with pytest.raises(InputError, match=message):
        draw()
