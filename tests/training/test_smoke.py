"""All profiles of every shipped recipe run: two steps on a few images.

The same code runs on smaller pictures and through fewer equal blocks: a checkpoint of ViT-Base
alone is a gigabyte. That the networks are built at their full size is tested without memory.
"""

import math
from graphlib import TopologicalSorter

import pytest
import timm
import torch
import transformers.models.vit.modeling_vit  # loads transformers again, once

from fer_core.config import PROFILES, Recipe, load_recipe, recipe_names
from fer_core.models import build_model, spec_of
from tests.support.builders import toy_benchmark, toy_run
from tests.support.recipes import has_profile
from training.jobs.ensembles import average_runs
from training.jobs.smoke import smoke_network
from training.options import RECIPES
from training.terminal.progress import TrainingBar

NAMES = recipe_names(RECIPES)
NETWORKS = [name for name in NAMES if isinstance(load_recipe(RECIPES, name), Recipe)]
TAUGHT = [name for name in NETWORKS if load_recipe(RECIPES, name).distill]
ENSEMBLES = [name for name in NAMES if name not in NETWORKS]

TRAININGS = [
    (name, profile) for name in NETWORKS for profile in PROFILES if has_profile(name, profile)
]
# test_bare_machine.py trains the other recipes of gpu_offline
DRY_RUNS = [
    (name, profile) for name, profile in TRAININGS if profile != "gpu_offline" or "lite" in name
]

SIDE = 32
BLOCKS = 2


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return toy_benchmark(tmp_path_factory.mktemp("smoke"), runs=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A benchmark with a small run under the name of each that others learn from or average."""
    toy = toy_benchmark(tmp_path_factory.mktemp("finished"), runs=0)
    for name in NETWORKS:
        toy_run(toy.benchmark, toy.dataset, 0, name, "tiny_cnn")
    return toy


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


@pytest.mark.parametrize(("name", "profile"), DRY_RUNS)
def test_every_recipe_passes_a_smoke_run(name, profile, empty, shallow, monkeypatch):
    import huggingface_hub

    def unreachable(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    recipe = load_recipe(RECIPES, name, profile)
    patch = recipe.model.patch_size or 1
    size = math.ceil(SIDE / patch) * patch
    recipe = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"image_size": size})}
    )
    result = smoke_network(recipe, empty.dataset, empty.benchmark, TrainingBar(visible=False))
    assert result.fit.finished
    assert len(result.fit.history) == (2 if recipe.train.freeze_epochs else 1)
    assert 0 < result.fit.history[0].train_loss < 20
    source = spec_of(recipe.model).imagenet or ""
    assert bool(result.unfit) == (recipe.model.init == "imagenet" and source.startswith("hub:"))
    from_run = recipe.model.init.startswith("run:")
    assert bool(result.untrained) == (from_run or recipe.distill is not None)
    assert empty.benchmark.runs() == []


@pytest.mark.parametrize("name", TAUGHT)
def test_recipes_with_teachers_pass_a_smoke_run(name, finished):
    recipe = load_recipe(RECIPES, name)
    model = recipe.model.model_copy(update={"init": "scratch"})
    recipe = recipe.model_copy(update={"model": model})
    result = smoke_network(recipe, finished.dataset, finished.benchmark, TrainingBar(visible=False))
    assert (result.fit.finished, result.unfit, result.untrained) == (True, "", "")
    assert math.isfinite(result.fit.history[0].train_loss)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensemble_recipes_pass_a_smoke_run(name, finished):
    recipe = load_recipe(RECIPES, name)
    before = finished.benchmark.runs()
    info, predictions = average_runs(recipe, finished.benchmark)
    assert set(info.members) <= set(recipe.member_runs())
    assert predictions.split("test").probabilities.shape == (21, 7)
    assert finished.benchmark.runs() == before


@pytest.mark.parametrize(("name", "profile"), TRAININGS)
def test_networks_of_recipes_accept_their_image_size(name, profile):
    config = load_recipe(RECIPES, name, profile).model
    with torch.device("meta"):  # shapes alone, no memory and no arithmetic
        model = build_model(config, 7).eval()
        images = torch.empty(2, 3, config.image_size, config.image_size)
        assert model(images).shape == (2, 7)


@pytest.mark.parametrize("profile", PROFILES)
def test_shipped_recipes_have_no_circular_teachers(profile):
    names = [name for name in NAMES if has_profile(name, profile)]
    recipes = [load_recipe(RECIPES, name, profile) for name in names]
    students = [recipe for recipe in recipes if isinstance(recipe, Recipe) and recipe.distill]
    taught_by = {recipe.run_id: set(recipe.distill.teachers) for recipe in students}
    assert {run for runs in taught_by.values() for run in runs} <= {
        recipe.run_id for recipe in recipes
    }
    TopologicalSorter(taught_by).prepare()  # raises where two wait for each other
