"""Translates what earlier versions wrote to files; no other module knows the old names.

The active image of three frames, `telescoped`, used to be called `paper`. The protocol and the
variant named `paper` keep their names. Faces used to be found by Viola-Jones alone, folds to leave
out subjects alone, and images to be neither mixed nor shifted; files did not say so. Settings did
not name the network.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

_METHODS = {"paper": "telescoped"}

# Settings that files did not have, and what was the only way then.
ONLY_WAY = {"leave_out": "subject", "label_smoothing": 0, "mixup_alpha": 0, "translation": 0}

_Value = TypeVar("_Value")


def by_method(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Returns a file's values by method, under the methods' current names."""
    return {_METHODS.get(method, method): value for method, value in values.items()}


def cut(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how frames were cropped, with what was the only way to find faces."""
    return {"face_by": "viola-jones", **values}


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a `Config` with the method's current name, and all settings."""
    method = values.get("method")
    if not isinstance(method, str):  # from a damaged file: `Config` refuses it
        return dict(values)
    return cut({**ONLY_WAY, **values, "method": _METHODS.get(method, method)})


def identity(values: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of a run's config.json with the methods' current names.

    Args:
        values: The content.
        expected: What it is compared with. Settings that do not name the network are taken to name
            the expected one: beside them stands the hash of the network's architecture.
    """
    named = dict(values)
    if isinstance(values.get("config"), dict):
        named["config"] = settings(values["config"])
        here = expected.get("config", {})
        if "network" in here and isinstance(values["config"].get("method"), str):
            network = {"network": here["network"], "pretrained": False}
            named["config"] = network | named["config"]
    if isinstance(values.get("cut"), dict):  # from `originet train`
        named["cut"] = cut(values["cut"])
    if isinstance(values.get("images_sha256"), dict):  # by method, from `originet reproduce`
        named["images_sha256"] = by_method(values["images_sha256"])
    return named
