"""Surveys: frames that are missing, and the account of what was found."""

import json

import pytest
from folders import write_clip, write_csv

from originet.datasets import Gap, survey
from originet.datasets.survey import find_gap


@pytest.fixture
def tree(tmp_path):
    """Two subjects, three clips, one of them a video, among junk."""
    write_clip(tmp_path / " Happy " / "s2" / "b", (10, 9, 100))
    write_clip(tmp_path / "Other" / "s1" / "a")
    (tmp_path / "Other" / "s1" / "c.AVI").write_bytes(b"not read here")
    (tmp_path / "Other" / "s1" / "Thumbs.db").touch()
    (tmp_path / "Other" / ".DS_Store").touch()
    (tmp_path / "__MACOSX" / "s1" / "x").mkdir(parents=True)
    return tmp_path


def test_missing_frames_of_a_tree_are_found(tree):
    write_clip(tree / "fear" / "s1" / "a", (1, 3, 4, 8))  # named apart, like Other/s1/a
    found = survey("folder", tree)
    assert found.gaps == (
        Gap("s1", "fear-a", 4, "2, 5-7"),
        Gap("s2", "b", 89, "11-99"),
    )
    assert len(found.table) == 4


def test_missing_frames_of_a_csv_are_those_of_its_ranges(tmp_path):
    write_clip(tmp_path / "a", (1, 3, 4, 5, 7, 8))
    lines = ("path,subject,emotion,onset,offset", "a,1,happy,3,5", "a,2,happy,4,7", "a,3,sad,5,")
    found = survey("folder", write_csv(tmp_path, "\n".join(lines)))
    assert found.gaps == (Gap("2", "a", 1, "6"), Gap("3", "a", 1, "6"))


def test_frames_that_are_numbered_by_time_stamps_are_looked_through_at_once(tmp_path):
    (tmp_path / "fear" / "s1" / "a").mkdir(parents=True)
    for number in (1700000000, 1700000005, 999):
        (tmp_path / "fear" / "s1" / "a" / f"{number}.png").touch()
    (gap,) = survey("folder", tmp_path).gaps
    assert gap.missing == 1700000005 - 999 + 1 - 3


@pytest.mark.parametrize(
    ("numbers", "gap"),
    [
        ([], None),
        ([5], None),
        ([5, 6, 7], None),
        ([5, 7], Gap("s", "c", 1, "6")),
        ([1, 4, 6, 7, 10], Gap("s", "c", 5, "2-3, 5, 8-9")),
    ],
)
def test_gaps_are_between_the_frames_that_are_there(numbers, gap):
    assert find_gap("s", "c", numbers) == gap


def test_the_account_is_what_json_holds(tree):
    (tree / "Other" / "s1" / "empty").mkdir()
    found = survey("folder", tree)
    account = found.account()
    assert json.loads(json.dumps(account)) == account
    assert [entry["clip"] for entry in account["unusable"]] == ["empty"]
    assert account["gaps"] == [{"subject": "s2", "clip": "b", "missing": 89, "numbers": "11-99"}]
    assert account["left_out"] == [] and account["corrections"] == []
