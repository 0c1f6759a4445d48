"""The reasons why a table cannot be evaluated."""

import pandas as pd
import pytest

from originet.datasets.faults import (
    evaluation_faults,
    left_out_faults,
    too_few_datasets,
    too_few_subjects,
)


def table(*clips, **changed):
    """Clips as (subject, label)."""
    rows = [
        {"dataset": "d", "subject": subject, "clip": f"c{place}", "label": label}
        for place, (subject, label) in enumerate(clips)
    ]
    return pd.DataFrame(rows, columns=["dataset", "subject", "clip", "label"]).assign(**changed)


SOUND = [(subject, label) for subject in "ab" for label in ("x", "y")]


def test_a_sound_table_has_no_faults():
    assert list(evaluation_faults(table(*SOUND))) == []


@pytest.mark.parametrize(
    ("clips", "faults"),
    [
        (
            table(),
            [
                "leave-one-subject-out needs at least 2 subjects, got 0",
                "evaluation needs at least 2 classes, got 0",
            ],
        ),
        (
            table(("a", "x"), ("a", "y")),
            ["leave-one-subject-out needs at least 2 subjects, got 1"],
        ),
        (table(("a", "x"), ("b", "x")), ["evaluation needs at least 2 classes, got 1 ('x')"]),
        (table(*SOUND, clip="c"), ["table has clip d/a/c twice"]),
        (table(*SOUND).drop(columns=["clip", "label"]), ["table has no column clip, label"]),
        (
            table(*SOUND, dataset=["d", None, "d", "d"]),
            ["table has no dataset in row 1 (counting from 0)"],
        ),
        (
            table(*SOUND, clip=["\udcff", "b", "c", "d"]),
            ["clip '\\udcff' is not UTF-8: rename it"],
        ),
        (
            table(*SOUND, clip=["n" * 1001, "b", "c", "d"]),
            ["clip 'nnnnnnnnnnnnnnnnnnnn'... has 1,001 characters; at most 1,000 are allowed"],
        ),
    ],
)
def test_every_fault_is_told(clips, faults):
    assert list(evaluation_faults(clips)) == faults


def test_classes_of_one_subject_are_told_each():
    clips = table(*SOUND, ("a", "only a"), ("b", "only b"), ("b", "only b"))
    assert [fault.partition(",")[0] for fault in evaluation_faults(clips)] == [
        "only subject 'a' shows class 'only a'",
        "only subject 'b' shows class 'only b'",
    ]


def test_subjects_of_one_name_in_two_sets_are_two():
    clips = table(*SOUND, subject="a", dataset=["d", "d", "e", "e"])
    assert list(evaluation_faults(clips)) == []


def test_one_subject_is_too_few_and_two_are_not():
    assert too_few_subjects(2) == ""
    assert too_few_subjects(1).endswith("got 1")


def test_a_data_set_can_be_left_out_where_another_has_its_classes():
    one = table(*SOUND)
    both = pd.concat([one, one.assign(dataset="e")])
    assert list(left_out_faults(both)) == []
    assert list(left_out_faults(one)) == [too_few_datasets(["d"])]
    more = pd.concat([both, table(("a", "z"), ("b", "z"), clip=["m", "n"])])
    (fault,) = left_out_faults(more)
    assert fault.startswith("only data set 'd' shows class 'z'")
    assert list(evaluation_faults(more)) == []
    assert list(left_out_faults(more.drop(columns="label"))) == []  # another fault
    more.loc[more["label"] == "z", "label"] = None
    assert list(left_out_faults(more)) == []  # another fault
