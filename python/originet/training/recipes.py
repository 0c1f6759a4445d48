"""Named settings of training, as `--recipe` takes them."""

from collections.abc import Mapping
from typing import Any

from originet.system.errors import InputError

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "strong": {"select": "last", "validation_fraction": 0.0},
}
"""The fields of `originet.training.config.Config` that a recipe sets.

"paper" is the defaults. "strong" is what `bench/study_recipes.py` chose on semi-synthetic clips, in
a search that saw training subjects only.
"""
PAPER = "paper"


def recipe_of(name: str) -> Mapping[str, Any]:
    """Returns the fields of `Config` that a recipe sets; those that it does not stay as they are.

    Args:
        name: One of `RECIPES`.

    Raises:
        InputError: There is no such recipe.
    """
    if name not in RECIPES:
        raise InputError(f"recipe must be one of {', '.join(RECIPES)}, got {name!r}")
    return RECIPES[name]
