"""The bounds of tables, and names within them."""

import re

import pytest
from folders import rows

from originet.datasets import bounds, make_table, survey
from originet.system.errors import InputError


def test_names_have_room_and_bounds(root):
    path = root / "clips.csv"
    path.write_text(rows(f"happy/s1/a,{'s' * 1000},x,,,,"))
    assert survey("folder", path).table["subject"][0] == "s" * 1000
    for row in (f"{'s' * 1001},x", f"s,{'x' * 1001}"):
        path.write_text(rows(f"happy/s1/a,{row},,,,"))
        (entry,) = survey("folder", path).unusable
        assert re.match(r"the name '.*' has 1,001 characters; at most 1,000 are", entry.reason)


def test_a_table_of_long_names_is_refused_whoever_makes_it():
    row = dict.fromkeys(("dataset", "subject", "clip", "emotion", "label"), "a")
    row |= {"onset": None, "apex": None, "offset": None, "action_units": "", "fps": 1.0}
    row |= {"frames": ("a.png",), "notes": ""}
    assert len(make_table([row])) == 1
    for name in ("dataset", "subject", "clip", "label"):
        with pytest.raises(InputError, match="has 1,001 characters; at most 1,000 are"):
            make_table([row | {name: "a" * 1001}])


def test_a_long_text_is_quoted_by_its_ends():
    assert bounds.quoted("it's") == repr("it's")
    text = bounds.quoted("a" * 5000 + "z")
    assert len(text) <= bounds.QUOTED and text.startswith("'aaa") and text.endswith("aaz'")
    assert "..." in text


@pytest.mark.parametrize("name", ["", "Müller", "名前", "a\nb", "\U0001f600", "x" * 1000])
def test_names_that_a_table_can_hold(name):
    bounds.check_name(name)


def test_names_that_are_too_long_or_not_utf_8_are_refused():
    with pytest.raises(InputError, match=r"the name 'xxx.*xxx' has 1,001 characters; at most"):
        bounds.check_name("x" * 1001)
    with pytest.raises(InputError, match=r"the name 'M\\udcfcller' is not UTF-8: rename its"):
        bounds.check_name("M\udcfcller")
