"""Both profiles of every shipped recipe run: two steps on a few images.

The same code runs on smaller pictures and through fewer equal blocks: a checkpoint of ViT-Base
alone is a gigabyte. That the networks are built at their full size is tested without memory.
"""

from graphlib import TopologicalSorter

import pytest
import timm
import torch
import transformers

from fer_core.config import Recipe, load_recipe, recipe_names
from fer_core.models import build_model
from tests.builders import toy_benchmark
from training.console import TrainingBar
from training.jobs.networks import smoke_network
from training.options import RECIPES

NETWORKS = [
    name for name in recipe_names(RECIPES) if isinstance(load_recipe(RECIPES, name), Recipe)
]


SIDE = 64
BLOCKS = 2


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return toy_benchmark(tmp_path_factory.mktemp("smoke"), runs=0)


@pytest.fixture
def shallow(monkeypatch):
    """Lets timm and transformers build ViTs of two blocks."""
    create, shape = timm.create_model, transformers.ViTConfig

    def create_model(name, **options):
        return create(name, **options, **({"depth": BLOCKS} if name.startswith("vit_") else {}))

    def config(**options):
        return shape(**options | {"num_hidden_layers": BLOCKS})

    monkeypatch.setattr(timm, "create_model", create_model)
    monkeypatch.setattr(transformers, "ViTConfig", config)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_smoke(name, profile, empty, shallow, monkeypatch):
    import huggingface_hub

    def unreachable(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    recipe = load_recipe(RECIPES, name, profile)
    size = min(recipe.model.image_size, SIDE)
    recipe = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"image_size": size})}
    )
    result, left_out = smoke_network(
        recipe, empty.dataset, empty.benchmark, TrainingBar(visible=False)
    )
    assert result.finished
    assert len(result.history) == (2 if recipe.train.freeze_epochs else 1)
    assert 0 < result.history[0].train_loss < 20
    if recipe.model.init == "scratch" and recipe.distill is None:
        assert left_out == ""
    assert empty.benchmark.runs() == []


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_recipes_network_takes_pictures_of_its_size(name, profile):
    config = load_recipe(RECIPES, name, profile).model
    with torch.device("meta"):  # shapes alone, no memory and no arithmetic
        model = build_model(config, 7).eval()
        images = torch.empty(2, 3, config.image_size, config.image_size)
        assert model(images).shape == (2, 7)


def test_the_shipped_recipes_teach_one_another_in_some_order():
    recipes = [load_recipe(RECIPES, name) for name in recipe_names(RECIPES)]
    students = [recipe for recipe in recipes if isinstance(recipe, Recipe) and recipe.distill]
    taught_by = {recipe.run_id: set(recipe.distill.teachers) for recipe in students}
    assert set().union(*taught_by.values()) <= {recipe.run_id for recipe in recipes}
    TopologicalSorter(taught_by).prepare()  # raises where two wait for each other
