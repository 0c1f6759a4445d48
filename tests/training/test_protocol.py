"""What each protocol makes of a fold's clips."""

import numpy as np
import pytest

from originet.system.errors import InputError
from originet.training.config import PROTOCOLS, Config
from originet.training.protocol import (
    fold_parts,
    paper_parts,
    split_clips,
    strict_parts,
)

LABELS = np.repeat([0, 1, 2], [20, 15, 5])
CONFIG = Config()  # 7 rotations, plain and equalised
COPIES = 14


def test_split_is_stratified_and_complete() -> None:
    labels = np.repeat([0, 1, 2], [50, 25, 10])
    training, validation = split_clips(labels, 0.2, seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(85))
    np.testing.assert_array_equal(np.bincount(labels[validation]), [10, 5, 2])
    again, other = split_clips(labels, 0.2, seed=0), split_clips(labels, 0.2, seed=1)
    np.testing.assert_array_equal(again[1], validation)
    assert not np.array_equal(other[1], validation)


def test_split_gives_what_rounding_left_over_to_the_largest_remainder() -> None:
    # A fifth of 4, 3 and 3 clips is 0.8, 0.6 and 0.6; of 10 it is 2.
    _, validation = split_clips(np.repeat([0, 1, 2], [4, 3, 3]), 0.2, seed=0)
    assert len(validation) == 2
    assert 0 in np.repeat([0, 1, 2], [4, 3, 3])[validation]


def test_split_keeps_single_clips_in_training() -> None:
    training, validation = split_clips(np.array([0, 1, 2, 2]), 0.5, seed=0)
    assert {0, 1} <= set(training)
    assert len(validation) == 1
    assert len(split_clips(np.array([0, 1]), 0.9, seed=0)[1]) == 0


def test_strict_keeps_siblings_of_validation_clips_out_of_training() -> None:
    parts = strict_parts(LABELS, CONFIG, seed=0)
    trained, validated = parts.training_clips, parts.validation_clips
    assert set(trained).isdisjoint(validated)
    assert set(trained) | set(validated) == set(range(40))
    assert (np.bincount(trained)[np.unique(trained)] == COPIES).all()
    pairs = set(zip(trained, parts.training_views, strict=True))
    assert pairs == {(clip, view) for clip in set(trained) for view in range(1, 1 + COPIES)}
    assert len(validated) == len(set(validated)) == 8
    assert (parts.validation_views == 0).all()  # each as it is, not augmented


def test_paper_splits_copies_so_that_siblings_are_on_both_sides() -> None:
    parts = paper_parts(LABELS, CONFIG, seed=0)
    trained, validated = parts.training_clips, parts.validation_clips
    assert len(trained) + len(validated) == 40 * COPIES
    assert len(validated) == 112  # a fifth of the images
    assert set(trained) == set(range(40))
    assert len(set(trained) & set(validated)) > 35  # 0.8 ** 14 of the clips stay whole, 4 in 100
    pairs = [*zip(trained, parts.training_views, strict=True)]
    pairs += zip(validated, parts.validation_views, strict=True)
    assert sorted(pairs) == [(clip, view) for clip in range(40) for view in range(1, 1 + COPIES)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_parts_follow_the_settings_and_the_seed(protocol: str) -> None:
    config = Config(protocol=protocol)
    direct = {"strict": strict_parts, "paper": paper_parts}[protocol]
    first = fold_parts(LABELS, config, seed=5)
    for ours, theirs in zip(first, direct(LABELS, config, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other = fold_parts(LABELS, config, seed=6)
    assert not np.array_equal(first.validation_clips, other.validation_clips)


def test_paper_names_a_class_that_its_split_left_without_training_images() -> None:
    config = Config(protocol="paper", rotations=(0,), validation_fraction=0.9)
    with pytest.raises(InputError, match=r"class index 1 has no training image.*another seed"):
        paper_parts(np.repeat([0, 1], [15, 1]), config, seed=2)
