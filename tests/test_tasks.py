import pytest

from originet.datasets.tasks import (
    PAPER_SETS,
    TABLE_II,
    check_task,
    class_of,
    default_task,
    paper_counts,
)
from originet.errors import InputError


def test_table_ii_has_the_papers_totals():
    totals = {name: sum(counts.values()) for name, counts in TABLE_II.items()}
    assert totals == {"casme": 189, "casme2": 250, "cas_me2": 341, "samm": 159}


# The sums that sections IV.A to IV.C of the paper give for its merged classes.
@pytest.mark.parametrize(
    ("dataset", "counts"),
    [
        ("casme", {"negative": 50, "others": 106, "positive": 12, "surprise": 21}),
        ("casme2", {"negative": 67, "others": 126, "positive": 32, "surprise": 25}),
        ("cas_me2", {"anger": 102, "disgust": 88, "happiness": 151}),
    ],
)
def test_the_papers_task_merges_table_ii_as_its_text_says(dataset, counts):
    assert paper_counts(dataset, "paper") == counts


def test_samm_keeps_its_eight_emotions_under_the_papers_task():
    assert paper_counts("samm", "paper") == dict(sorted(TABLE_II["samm"].items()))
    assert class_of("samm", "paper", "contempt") == "contempt"


@pytest.mark.parametrize("dataset", PAPER_SETS)
def test_the_original_task_keeps_emotions_apart(dataset):
    assert class_of(dataset, "original", "fear") == "fear"
    assert class_of(dataset, "original", "") is None


def test_five_classes():
    kept = ("happiness", "surprise", "disgust", "repression", "others")
    assert [class_of("casme2", "five", emotion) for emotion in kept] == list(kept)
    assert class_of("casme", "five", "tense") == "others"
    assert class_of("casme2", "five", "tense") is None
    assert class_of("casme", "five", "fear") is None
    assert paper_counts("casme2", "five") == {
        "disgust": 58,
        "happiness": 32,
        "others": 99,
        "repression": 27,
        "surprise": 25,
    }


def test_three_classes():
    negative = ("anger", "contempt", "disgust", "fear", "repression", "sadness", "negative")
    assert {class_of("samm", "three", emotion) for emotion in negative} == {"negative"}
    assert {class_of("cas_me2", "three", e) for e in ("positive", "happiness")} == {"positive"}
    assert class_of("casme2", "three", "surprise") == "surprise"
    assert class_of("casme2", "three", "others") is None
    assert class_of("casme", "three", "tense") is None


def test_the_eliciting_video_is_the_papers_class_of_cas_me2():
    assert class_of("cas_me2", "paper", "negative", "anger") == "anger"
    assert class_of("cas_me2", "paper", "negative", "sadness") is None
    assert class_of("cas_me2", "original", "negative", "anger") == "negative"


def test_counts_are_told_only_where_the_paper_has_them():
    assert paper_counts("cas_me2", "original") is None
    assert paper_counts("folder", "original") is None


def test_tasks_that_a_set_does_not_have_are_refused():
    with pytest.raises(InputError, match="samm has no task 'five': choose paper, original, three"):
        class_of("samm", "five", "anger")
    with pytest.raises(InputError, match="folder has no task 'paper': choose original, five"):
        check_task("folder", "paper")
    with pytest.raises(InputError, match="casme has no task 'seven'"):
        paper_counts("casme", "seven")
    assert default_task("casme") == "paper" and default_task("folder") == "original"
