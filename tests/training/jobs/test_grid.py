"""Grids: combinations with names, tags and overrides, and texts that are refused."""

import pytest

from fer_core.config import load_recipe
from fer_core.errors import RecipeError
from training.jobs.grid import Variant, parse_grid
from training.options import RECIPES


def test_without_a_grid_there_is_the_recipe_itself():
    assert parse_grid([]) == [Variant()]


def test_each_value_is_a_variant():
    assert parse_grid(["loss.class_weights=none,balanced"]) == [
        Variant("class_weights_none", ("loss.class_weights=none",), ("class_weights=none",)),
        Variant(
            "class_weights_balanced", ("loss.class_weights=balanced",), ("class_weights=balanced",)
        ),
    ]


def test_keys_are_combined_and_lists_are_one_value():
    grid = parse_grid(["optim.lr=0.001,0.01", "augment.zoom=[0.7, 1.4],[1, 1]"])
    assert [variant.name for variant in grid] == [
        "lr_0.001-zoom_0.7_1.4",
        "lr_0.001-zoom_1_1",
        "lr_0.01-zoom_0.7_1.4",
        "lr_0.01-zoom_1_1",
    ]
    recipe = load_recipe(RECIPES, "resnet34", "cpu", grid[2].overrides)
    assert (recipe.optim.lr, recipe.augment.zoom) == (0.01, (0.7, 1.4))


def test_keys_with_one_last_part_are_written_whole():
    (variant,) = parse_grid(["model.drop_rate=0.1", "other.drop_rate=0.2"])
    assert variant.name == "model.drop_rate_0.1-other.drop_rate_0.2"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["loss.class_weights"], r"write it as section\.key=value,value"),
        (["=none"], r"write it as section\.key=value,value"),
        (["optim.lr=[1"], "Cannot parse the values"),
        (["optim.lr=1,1"], "a value twice"),
        (["optim.lr=1", "optim.lr=2"], r"optim\.lr twice"),
        (["model.init=file:a b,file:a_b"], "one name"),
        ([f"train.epochs={','.join(map(str, range(1, 62)))}"], "61 combinations; the limit is 60"),
    ],
)
def test_a_grid_that_cannot_be_used_is_named(texts, message):
    with pytest.raises(RecipeError, match=message):
        parse_grid(texts)
