"""JSON that is read: what it may hold, and what every other file ends in."""

import re
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from originet.system.errors import InputError
from originet.system.json_files import read_json, write_json


class Fold(TypedDict):
    seed: int
    scores: list[Annotated[float, msgspec.Meta(ge=0, le=1)]]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.json"


def test_what_is_written_is_read(path):
    values = {"name": "\udc80 \u2028", "numbers": [1, -0.5, 10**30], "none": None}
    write_json(path, values)
    assert read_json(path, dict[str, Any]) == values


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("", "Expecting value"),
        ("{} x", "Extra data"),
        ('{"a": NaN}', "NaN is not a finite number"),
        ('{"a": [-Infinity]}', "-Infinity is not a finite number"),
        ('{"a": 1e999}', "1e999 is not a finite number"),
        ('{"a": ' + "9" * 5000 + "}", "Exceeds the limit"),
        (b"\xff{}", "can't decode byte 0xff"),
        ("{}".encode("utf-16"), "can't decode byte 0xff"),
    ],
)
def test_what_is_no_json_is_told_in_one_line(path, text, reason):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(
        InputError, match=f"^{re.escape(str(path))} is not valid JSON: .*{reason}"
    ) as told:
        read_json(path, dict[str, Any])
    assert "\n" not in str(told.value) and len(str(told.value)) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "Expected `object`, got `array`"),
        ('{"scores": []}', "missing required field `seed`"),
        ('{"seed": "1", "scores": []}', r"Expected `int`, got `str` - at `\$.seed`"),
        ('{"seed": 1, "scores": [], "\\ud800": 1}', "surrogates not allowed"),
        ('{"seed": 1, "scores": {}}', r"Expected `array`, got `object` - at `\$.scores`"),
        ('{"seed": 1, "scores": [0, 1e300]}', r"Expected `float` <= 1.0 - at `\$.scores\[1\]`"),
    ],
)
def test_what_has_another_shape_is_told_with_its_place(path, text, reason):
    path.write_text(text)
    with pytest.raises(
        InputError, match=f"^{re.escape(str(path))} does not hold what it should: .*{reason}"
    ):
        read_json(path, Fold)


def test_a_file_that_is_too_large_is_not_read(path):
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="is too large: 1,073,741,824 bytes, the limit is"):
        read_json(path, dict[str, Any])
