"""The two protocols: which images train a fold's network, and which ones choose its epoch.

`strict_parts` and `paper_parts` differ only in the order of two steps. Neither can pick the test
subject, since both see only the other subjects' clips. Each test clip is predicted once,
unaugmented.

Reference: Verma et al., arXiv:2005.07991, section IV: "training dataset is randomly divided into
two parts with a ratio of 80:20"; "we augmented the generated active images". It does not say that
copies of a clip stay together; `docs/design.md` explains how "paper" reads it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from originet.system.errors import InputError
from originet.training.config import Config

LEAK = (
    "Leaky: copies of one clip are in both training and validation, so the validation figures, and "
    "the epoch chosen by them, say little about new clips. The test subject is still left out."
)


class Parts(NamedTuple):
    """The two parts of a fold's images, M for training and V for validation, by clip and view.

    Views are numbered as in `originet.training.augment.augmented_views`: 0 is the clip's original
    image, 1 and up are its augmented copies.
    """

    training_clips: NDArray[np.int64]
    """The clip of each training image, [M]."""
    training_views: NDArray[np.int64]
    """The view of each training image, [M]."""
    validation_clips: NDArray[np.int64]
    """The clip of each validation image, [V]."""
    validation_views: NDArray[np.int64]
    """The view of each validation image, [V]."""


def fold_parts(labels: NDArray[np.int64], config: Config, seed: int) -> Parts:
    """Chooses the training and the validation images of a fold according to `config.protocol`.

    Args:
        labels: Class indices [N] of the clips, without the test subject's.
        config: Settings, of which protocol, copies and validation_fraction are used.
        seed: Seed of the split.

    Returns:
        The parts.

    Raises:
        InputError: If the split leaves a class without a training image ("paper" only).
    """
    parts = strict_parts if config.protocol == "strict" else paper_parts
    return parts(labels, config, seed)


def strict_parts(labels: NDArray[np.int64], config: Config, seed: int) -> Parts:
    """Splits the clips, then augments the training part; see `fold_parts`.

    No clip has images in both parts, and the validation images are unaugmented, as at test time.
    """
    training, validation = split_clips(labels, config.validation_fraction, seed)
    clips, views = all_copies(training, config)
    return Parts(clips, views, validation, np.zeros_like(validation))


def paper_parts(labels: NDArray[np.int64], config: Config, seed: int) -> Parts:
    """Augments all clips, then splits their copies at random, as the paper says; see `fold_parts`.

    This leaks: nearly every clip has copies in both training and validation.
    """
    clips, views = all_copies(np.arange(len(labels)), config)
    order = np.random.default_rng(seed).permutation(len(clips))
    count = round(len(clips) * config.validation_fraction)
    validation, training = order[:count], order[count:]
    lost = np.setdiff1d(labels, labels[clips[training]])
    if len(lost) > 0:  # a random split ignores classes
        raise InputError(
            f"class index {lost[0]} has no training image: all of its copies were drawn for "
            "validation; another seed or more rotations may help"
        )
    return Parts(clips[training], views[training], clips[validation], views[validation])


def all_copies(
    clips: NDArray[np.int64], config: Config
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the clip and the view of every augmented copy of some clips, clip by clip."""
    views = np.arange(1, 1 + config.copies)
    return np.repeat(clips, len(views)), np.tile(views, len(clips))


def split_clips(
    labels: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits clips into training and validation, in each class as close to `fraction` as possible.

    At least one clip of every class stays in training, so with small classes the validation part
    may be too small, or empty.

    Args:
        labels: Class indices [N].
        fraction: Share of the clips for validation, 0..1.
        seed: Seed of the draw.

    Returns:
        Indices of the training and of the validation clips, both ascending; together 0..N-1.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * fraction
    take = np.minimum(np.floor(exact).astype(np.int64), counts - 1)
    # Largest remainders: the clips lost by rounding down go to the classes that lost most.
    for index in np.argsort(take - exact, kind="stable"):
        if take.sum() < round(len(labels) * fraction) and take[index] < counts[index] - 1:
            take[index] += 1
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in zip(classes, take, strict=True)
    ]
    validation = np.sort(np.concatenate(chosen)).astype(np.int64)
    return np.setdiff1d(np.arange(len(labels), dtype=np.int64), validation), validation
