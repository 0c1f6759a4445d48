"""The terms of data sets."""

from originet.datasets.licences import LICENCES, licences_of
from originet.datasets.tasks import PAPER_SETS


def test_every_set_of_the_paper_has_its_terms():
    assert set(PAPER_SETS) <= LICENCES.keys()


def test_a_composite_has_a_line_for_each_set():
    told = licences_of("samm+mine")
    assert told == {"samm": LICENCES["samm"], "mine": "unknown: ask who recorded the clips"}
