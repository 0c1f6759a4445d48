"""The bounds of tables, and names within them."""

import re

import pytest
from folders import rows

from originet.datasets import make_table, survey
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
