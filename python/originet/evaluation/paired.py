"""Whether one network is better than another, on the same clips of the same subjects.

Intervals of two scores may overlap although one network is better for every subject. So what is
tested is the difference, and the unit is the subject, as clips of one person are not independent.

References:
    Field and Welsh, "Bootstrapping clustered data", J. R. Stat. Soc. B 69 (2007), for the interval.
    Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", Springer 2005, for the test.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from originet.evaluation import metrics
from originet.system.errors import InputError


class Difference(NamedTuple):
    """How much better one network's score is than another's."""

    difference: float
    """The one's score less the other's, each the mean over the seeds; -1..1."""
    interval: tuple[float, float]
    """95 % confidence interval, by a percentile bootstrap over subjects."""
    p: float
    """Two-sided p-value of a permutation test: the share of exchanges at which the difference is as
    large, in size, or larger, this one included."""


def paired_differences(
    y_true: ArrayLike,
    one: ArrayLike,
    other: ArrayLike,
    groups: ArrayLike,
    *,
    resamples: int = metrics.RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Compares two networks that answered the same clips.

    The interval resamples subjects, both networks together. The test asks how often the difference
    would be as large if the networks' names did not matter: it exchanges, for each subject with
    probability 1/2, all predictions of the one for those of the other. Neither accounts for
    retraining, and several comparisons need a correction for their number, which is not made here.

    Args:
        y_true: Class indices [N].
        one: Class indices that one network predicted with S seeds [S, N].
        other: The other's [S, N].
        groups: The subject of each clip [N].
        resamples: Number of resamples, and of exchanges.
        seed: Seed of the draws; the same arguments give the same result.

    Returns:
        By score, pooled_accuracy, fold_accuracy, uf1 and uar.

    Raises:
        InputError: If the predictions differ in shape, there are fewer than 2 subjects, or as
            `metrics.scores_over_seeds`.

    Example:
        >>> paired_differences(result.y_true, result.y_pred, baseline.y_pred, subjects)["uf1"].p
        0.0312
    """
    if np.shape(one) != np.shape(other):
        raise InputError(
            f"both networks need as many predictions, got {list(np.shape(one))} and "
            f"{list(np.shape(other))}"
        )
    if resamples < 1:
        raise InputError(f"resamples must be at least 1, got {resamples}")
    # Counted together, so that both have as many classes.
    both = np.concatenate([np.asarray(one), np.asarray(other)])
    tallies = metrics.subject_tallies(y_true, both, groups)
    mine, theirs = np.split(tallies, 2, axis=1)  # [G, S, 3, C]
    accuracies = [
        metrics.pooled_scores(each)["pooled_accuracy"].mean(axis=1) for each in (mine, theirs)
    ]
    subjects = len(tallies)
    times = metrics.drawn_subjects(subjects, resamples, seed)
    drawn = _scores(times, mine, theirs, accuracies)
    keep = np.random.default_rng((seed, 1)).integers(0, 2, (resamples, subjects)).astype(float)
    keep[0] = 1  # as it was
    exchanged = _exchanged(keep, mine, theirs, accuracies)
    found = {}
    for name, values in exchanged.items():
        low, high = np.quantile(drawn[name], ((1 - metrics.LEVEL) / 2, (1 + metrics.LEVEL) / 2))
        # Sums in another order may differ in the last bit.
        as_large = np.abs(values) >= abs(values[0]) - 1e-12
        found[name] = Difference(
            float(values[0]), (float(low), float(high)), float(as_large.mean())
        )
    return found


def _scores(
    times: NDArray[np.float64],
    mine: NDArray[np.float64],
    theirs: NDArray[np.float64],
    accuracies: list[NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """Differences of the scores, [B], with each subject counted so often, [B, G]."""
    both = [metrics.pooled_scores(np.tensordot(times, each, 1)) for each in (mine, theirs)]
    return _differences(both[0], both[1]) | {
        "fold_accuracy": metrics.mean_over_subjects(times, accuracies[0] - accuracies[1])
    }


def _exchanged(
    keep: NDArray[np.float64],
    mine: NDArray[np.float64],
    theirs: NDArray[np.float64],
    accuracies: list[NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """Differences of the scores, [B], with the subjects exchanged where `keep` [B, G] is 0."""
    first = np.tensordot(keep, mine, 1) + np.tensordot(1 - keep, theirs, 1)
    second = mine.sum(axis=0) + theirs.sum(axis=0) - first
    return _differences(metrics.pooled_scores(first), metrics.pooled_scores(second)) | {
        "fold_accuracy": metrics.mean_over_subjects(2 * keep - 1, accuracies[0] - accuracies[1])
    }


def _differences(
    one: dict[str, NDArray[np.float64]], other: dict[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    return {name: (one[name] - other[name]).mean(axis=1) for name in one}
