"""The terms of data sets."""

from originet.datasets.licences import LICENCES, licences_of
from originet.datasets.titles import TITLES
from originet.datasets.under_root import PUBLISHED


def test_every_published_set_has_its_terms_and_its_title():
    assert set(PUBLISHED) <= LICENCES.keys()
    assert set(PUBLISHED) <= TITLES.keys()


def test_a_composite_has_a_line_for_each_set():
    told = licences_of("samm+mine")
    assert told == {"samm": LICENCES["samm"], "mine": "unknown: ask who recorded the clips"}
