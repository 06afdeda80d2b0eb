"""Every recipe's `gpu` profile, from a copy of its hub weights to a saved run that loads again.

The copies are made here: the real architectures' own tensors with random values, in the layout of
the hub's local cache. ViTs have two blocks, and VGG's unused head is narrow, to save time; names
and all other shapes are the real ones.
"""

import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
import transformers.models.vit.modeling_vit  # loads transformers again, once
from safetensors.torch import save_file

from fer_core.config import Recipe, load_recipe, recipe_names
from fer_core.engine.networks import load_network
from fer_core.evaluation.predictions import Predictions
from fer_core.models import spec_of
from tests.support.builders import toy_benchmark
from tests.support.stand_ins import hub_cache
from training.jobs.smoke import smoke_network
from training.jobs.train import TrainOptions, train_network
from training.options import RECIPES
from training.terminal.progress import TrainingBar

BLOCKS = 2
NAMES = [
    name
    for name in recipe_names(RECIPES)
    if isinstance(recipe := load_recipe(RECIPES, name, "gpu"), Recipe)
]
FROM_RUN = [
    name for name in NAMES if load_recipe(RECIPES, name, "gpu").model.init.startswith("run:")
]


def hub_weights(repository: str, folder: Path) -> None:
    """Saves what a repository holds: tensors of the real names, and `config.json`."""
    torch.manual_seed(3)
    name = repository.partition("/")[2].partition(".")[0]
    if repository.startswith("timm/"):
        narrow = {"mlp_ratio": 0.01} if name.startswith("vgg") else {}
        model = timm.create_model(name, num_classes=10, **narrow)
        config = {"architecture": name, "num_classes": 10}
        tensors = model.state_dict()
    else:  # ViT-Base of ImageNet-21k: a backbone with a pooler and no classifier
        shape = transformers.ViTConfig()
        tensors = transformers.ViTModel(shape).state_dict()
        config = shape.to_dict()
    folder.mkdir(parents=True)
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub's cache with all repositories that the recipes name, offline, and shallow ViTs."""
    root = tmp_path_factory.mktemp("hub")
    create, shape = timm.create_model, transformers.ViTConfig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            timm, "create_model",
            lambda name, **more: create(
                name, **more, **({"depth": BLOCKS} if name.startswith("vit_") else {})
            ),
        )  # fmt: skip
        patch.setattr(
            transformers, "ViTConfig",
            lambda **more: shape(**more | {"num_hidden_layers": BLOCKS}),
        )  # fmt: skip
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root / "cache"))
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        specs = [spec_of(load_recipe(RECIPES, name, "gpu").model) for name in NAMES]
        sources = {spec.imagenet for spec in specs if (spec.imagenet or "").startswith("hub:")}
        for source in sorted(sources):
            repository = source.removeprefix("hub:")
            hub_weights(repository, root / repository)
            hub_cache(root / "cache", root / repository, repository)
        yield root


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_benchmark(tmp_path_factory.mktemp("gpu"), runs=0, per_class=4)


def short(name: str) -> Recipe:
    """The profile for one epoch on the CPU; CNNs read smaller images, which changes no tensor."""
    recipe = load_recipe(RECIPES, name, "gpu").with_epochs(1)
    side = {} if spec_of(recipe.model).patch else {"image_size": 32}
    init = {"init": recipe.model.init.replace("run:ferplus/", "run:toy/")}
    train = {"batch_size": 7, "precision": "fp32"}
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update=side | init),
            "train": recipe.train.model_copy(update=train),
            "distill": None,  # test_smoke.py trains with teachers
        }
    )


def train(name: str, toy):
    notes: list[str] = []
    recipe = short(name)
    options = TrainOptions(device="cpu", notify=notes.append)
    bar = TrainingBar(visible=False)
    return train_network(recipe, toy.dataset, toy.benchmark, bar, options), recipe, notes


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FROM_RUN] + FROM_RUN)
def test_a_gpu_profile_becomes_a_run_that_loads_again(name, hub, toy):
    if name in FROM_RUN and not toy.benchmark.run("vit_tiny-gpu-s0").info_path.is_file():
        train("vit_tiny", toy)
    run, recipe, notes = train(name, toy)
    info = run.info()
    network = load_network(run, toy.dataset.format)
    rows = toy.dataset.rows("test")
    predicted = network.probabilities(toy.dataset.images, rows)
    saved = Predictions.read(run.predictions_path, toy.dataset.labels).split("test").probabilities
    torch.testing.assert_close(
        torch.from_numpy(predicted), torch.from_numpy(saved), atol=1e-4, rtol=0
    )
    assert info.init_notes == tuple(note.partition("): ")[2].rstrip(".") for note in notes)
    if recipe.model.init == "imagenet" and (spec_of(recipe.model).imagenet or "").startswith(
        "hub:"
    ):
        assert info.init_source.endswith("@" + "c" * 40)
        assert "a new classifier for 7 classes" in info.init_notes[0]


def test_unused_tensors_of_hub_weights_are_named(hub, toy):
    recipe = short("hf_vit")
    result = smoke_network(recipe, toy.dataset, toy.benchmark, TrainingBar(visible=False), "cpu")
    assert result.unfit == ""
    assert result.notes == (
        "a new classifier for 7 classes; the source has none",
        "2 tensors are not used: model.vit.pooler.dense.bias, model.vit.pooler.dense.weight",
    )
