"""What help texts name is what there is: their words stand apart, so that help is quick."""

import pytest

import originet_ext
from originet import datasets
from originet.evaluation import executors
from originet.paper import ablation, comparison
from originet.system import choices


@pytest.mark.parametrize(
    ("named", "there"),
    [
        (choices.METHODS, originet_ext.METHODS),
        (choices.DATASETS, datasets.DATASETS),
        (choices.EXECUTORS, tuple(executors.EXECUTORS)),
        (choices.ABLATIONS, tuple(row.name for row in ablation.ROWS)),
        (choices.COMPARED, comparison.ROWS),
    ],
    ids=["methods", "data sets", "executors", "ablations", "networks"],
)
def test_choices_are_the_keys_of_their_tables(named, there):
    assert named == there


def test_quick_rows_are_rows():
    assert set(choices.QUICK_ROWS) < set(choices.COMPARED)
