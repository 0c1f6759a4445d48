"""The named settings of training."""

import pytest

from originet.system.errors import InputError
from originet.training.config import Config
from originet.training.recipes import PAPER, RECIPES, recipe_of


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_of_settings_that_go_together(name):
    config = Config(**recipe_of(name))
    for field, value in RECIPES[name].items():
        assert getattr(config, field) == value != getattr(Config(), field)


def test_the_papers_recipe_is_the_default():
    assert Config(**recipe_of(PAPER)) == Config()


def test_an_unknown_recipe_is_refused():
    with pytest.raises(InputError, match="recipe must be one of paper, strong, got 'weak'"):
        recipe_of("weak")
