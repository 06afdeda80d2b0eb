"""Both profiles of every shipped recipe run: two steps on a few images."""

import pytest

from fer_core.config import Recipe, load_recipe, recipe_names
from tests.builders import toy_benchmark
from training.console import TrainingBar
from training.jobs.networks import smoke_network
from training.options import RECIPES

NETWORKS = [
    name for name in recipe_names(RECIPES) if isinstance(load_recipe(RECIPES, name), Recipe)
]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return toy_benchmark(tmp_path_factory.mktemp("smoke"), runs=0)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_smoke(name, profile, empty, monkeypatch):
    import huggingface_hub

    def unreachable(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    recipe = load_recipe(RECIPES, name, profile)
    result, left_out = smoke_network(
        recipe, empty.dataset, empty.benchmark, TrainingBar(visible=False)
    )
    assert result.finished
    assert len(result.history) == 1
    assert 0 < result.history[0].train_loss < 20
    if recipe.model.init == "scratch" and recipe.distill is None:
        assert left_out == ""
    assert empty.benchmark.runs() == []
