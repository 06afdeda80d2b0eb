"""A finished run's network and its input pipeline."""

from dataclasses import dataclass

from torch import nn

from fer_core.artifacts import RunDir
from fer_core.config import Recipe, parse_recipe
from fer_core.data.imaging import SampleFormat
from fer_core.data.transforms import Preprocessing
from fer_core.errors import ArtifactError, WeightsError
from fer_core.models import ModelSpec, build_model, spec_of
from fer_core.models.adapters import adapter_part, add_adapter, base_hash
from fer_core.models.checkpoint import load_weights
from fer_core.models.regression_head import add_score_head
from fer_core.models.weights import initialise
from fer_core.records import RunInfo


@dataclass(frozen=True)
class Network:
    """A trained network, in evaluation mode, on the CPU.

    Attributes:
        model: Maps (N, 3, S, S) input to (N, K) logits.
        spec: Its architecture.
        preprocessing: Makes its input from stored images.
        info: Its run.
    """

    model: nn.Module
    spec: ModelSpec
    preprocessing: Preprocessing
    info: RunInfo


def preprocessing_of(recipe: Recipe, stored: SampleFormat) -> Preprocessing:
    """Returns the input pipeline of a recipe on images of a stored format."""
    spec = spec_of(recipe.model.architecture)
    return Preprocessing(stored.side, stored.colour, recipe.model.image_size, spec.mean, spec.std)


def load_network(run: RunDir, stored: SampleFormat) -> Network:
    """Builds a finished run's network and loads its weights.

    Raises:
        ArtifactError: If the run is an ensemble or its files are damaged, or its input pipeline
            is not the one that it was trained with.
        WeightsError: If the weights are missing, damaged or belong to another network.
    """
    info = run.info()
    if info.kind != "network":
        what = "is an ensemble" if info.kind == "ensemble" else "was imported"
        raise ArtifactError(f"{run.run_id} {what} and has no network of its own.")
    recipe = parse_recipe(info.recipe)
    assert isinstance(recipe, Recipe)  # noqa: S101 (that of a network)
    preprocessing = preprocessing_of(recipe, stored)
    if preprocessing.hash != info.preprocessing_hash:
        raise ArtifactError(
            f"{run.run_id} was trained with other input preprocessing (hash "
            f"{info.preprocessing_hash}, here {preprocessing.hash}), so its answers would be "
            "wrong. Train it again with this version."
        )
    model = build_model(recipe.model, len(info.labels))
    spec, wanted = spec_of(recipe.model.architecture), None
    if recipe.model.lora is not None:
        _load_base(model, recipe, info, run)
        add_adapter(model, recipe.model)
    if recipe.score is not None:
        add_score_head(model, spec)
    if recipe.model.lora is not None:
        wanted = adapter_part(model.state_dict(), spec)
    load_weights(model, run.weights_path, wanted, info.labels)
    return Network(model.eval(), spec, preprocessing, info)


def _load_base(model: nn.Module, recipe: Recipe, info: RunInfo, run: RunDir) -> None:
    """Loads the weights that a run's adapter was trained on."""
    try:
        initialise(model, recipe.model, info.labels, run.benchmark.store)
    except WeightsError as error:
        raise WeightsError(
            f"{run.run_id} is an adapter and needs the weights that it was trained on. {error}"
        ) from error
    if base_hash(model, spec_of(recipe.model.architecture)) != info.base_hash:
        raise WeightsError(
            f"{run.run_id} is an adapter of other weights than those that {recipe.model.init} "
            "gives now. Train the adapter again, or bring its base back."
        )
