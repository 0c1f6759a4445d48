"""Constants that C++ and Python both need are the same number in both."""

import re
from pathlib import Path

import pytest

from originet_ext import active_image
from originet_ext._checks import MOST_FRAMES
from originet_ext._decomposition import SATURATED

CSRC = Path(__file__).parents[2] / "csrc"


def constant(file: str, name: str) -> float:
    """The value of a constant of csrc, from its definition."""
    (definition,) = re.findall(rf"constexpr \w+ {name} = (.+);", (CSRC / file).read_text())
    definition = definition.replace("std::numeric_limits<int32_t>::max()", "0x7fffffff")
    return eval(definition, {"int64_t": int})


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("frame_shape.h", "kMostFrames", MOST_FRAMES),
        ("autograd/rrelu.cpp", "kSaturated", SATURATED),
    ],
)
def test_python_has_the_constants_of_the_kernels(file: str, name: str, value: float):
    assert constant(file, name) == value


def test_documented_error_bound_has_the_block_of_the_kernels():
    terms = int(constant("frame_pool_math.h", "kTermsPerBlock"))
    assert f"(min(n, {terms}) + n / {terms} + 2) * 2^-24" in active_image.__doc__
