"""Cells that a spreadsheet program would take for formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from originet.system.csv_cells import guarded, unguarded


@pytest.mark.slow
@given(st.text("'=+-@\t\ra1"))
def test_guarded_cells_are_no_formulas_and_come_back(text):
    assert guarded(text)[:1] not in tuple("=+-@\t\r")
    assert unguarded(guarded(text)) == text


def test_numbers_and_plain_texts_are_not_guarded():
    assert guarded(-0.5) == -0.5
    assert guarded("a=b") == "a=b" and guarded("'quoted'") == "'quoted'"
    assert unguarded("'quoted'") == "'quoted'"
