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


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+4", "'+4"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("'=x", "''=x"),
        ("''-1", "'''-1"),
        ("'quoted'", "'quoted'"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_an_apostrophe_is_put_before_a_formula_alone(text, cell):
    assert guarded(text) == cell and unguarded(cell) == text


def test_a_cell_that_nobody_guarded_is_read_as_it_is():
    assert unguarded("=1+1") == "=1+1"
    assert unguarded("'tis") == "'tis"
