"""The published table of MEGC 2019's composite, and when it is shown."""

from types import SimpleNamespace

import pytest

from originet.drawing.page import Page
from originet.evaluation import megc2019

CLASSES = ("negative", "positive", "surprise")


def composite(clips=(164, 145, 133), subjects=(16, 24, 28), classes=CLASSES, names=megc2019.SETS):
    """A result on some sets, whose scores are known."""
    parts = {
        name: {"clips": n, "subjects": m, "metrics": {"uf1": place / 10, "uar": 0.25}}
        for place, (name, n, m) in enumerate(zip(names, clips, subjects, strict=True), start=1)
    }
    scores = {"uf1": 0.5, "uar": 0.75}
    return SimpleNamespace(metrics=scores, classes=classes, by_dataset=parts)


def test_a_run_stands_above_the_published_scores_in_the_challenges_order():
    assert megc2019.HEADER == ("method", "Full", "SMIC", "CASME II", "SAMM")
    own, first, *_, last = megc2019.rows("OrigiNet", composite())
    scores = ["0.500 / 0.750", "0.100 / 0.250", "0.200 / 0.250", "0.300 / 0.250"]
    assert own == ["OrigiNet (this run)", *scores]
    assert first == ["LBP-TOP", "0.588 / 0.579", "0.200 / 0.528", "0.703 / 0.743", "0.395 / 0.410"]
    assert last == ["HTNet", "0.860 / 0.848", "0.805 / 0.791", "0.953 / 0.952", "0.813 / 0.812"]
    assert {len(pairs) for pairs in megc2019.PUBLISHED.values()} == {4}


def test_the_note_says_whether_the_clips_are_those_of_the_challenge():
    assert "This run: 442 clips of 68 subjects; the challenge: 442 clips of 68 subjects. All" in (
        megc2019.note(composite())
    )
    told = megc2019.note(composite(clips=(163, 145, 133)))
    assert "441 clips of 68 subjects" in told and "so the scores are not of the same clips" in told
    assert "quoted from publications" in told


@pytest.mark.parametrize(
    "result",
    [
        composite(classes=("negative", "positive")),
        composite(names=("smic", "casme2", "other")),
        composite(clips=(1, 1), subjects=(1, 1), names=("smic", "samm")),
        SimpleNamespace(by_dataset={}, classes=CLASSES),
    ],
    ids=["classes", "another set", "a set less", "one set"],
)
def test_other_results_are_not_compared_with_it(result):
    assert not megc2019.is_composite(result)
    page = Page("t")
    before = page.html()
    megc2019.add_table(page, "OrigiNet", result)
    assert page.html() == before


def test_the_report_has_the_table():
    page = Page("t")
    megc2019.add_table(page, "OrigiNet", composite())
    assert "OrigiNet (this run)" in page.html() and "STSTNet" in page.html()
