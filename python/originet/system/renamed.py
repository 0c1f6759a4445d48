"""Translates names that earlier versions wrote to files; no other module knows the old ones.

The active image of three frames, `telescoped`, was called `paper`. The protocol and the variant of
that name keep it.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

_METHODS = {"paper": "telescoped"}

_Value = TypeVar("_Value")


def by_method(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Gives what a file holds by method under the methods' names of today."""
    return {_METHODS.get(method, method): value for method, value in values.items()}


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the settings of a `Config` with their method's name of today."""
    method = values.get("method")
    if not isinstance(method, str):  # a damaged file's: `Config` tells
        return dict(values)
    return {**values, "method": _METHODS.get(method, method)}


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the content of a run's config.json with the methods' names of today."""
    named = dict(values)
    if isinstance(values.get("config"), dict):
        named["config"] = settings(values["config"])
    if isinstance(values.get("images_sha256"), dict):  # of `originet reproduce`, by method
        named["images_sha256"] = by_method(values["images_sha256"])
    return named
