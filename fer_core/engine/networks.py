"""Loading a finished run's network with its preprocessing."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core.artifacts import RunDir
from fer_core.config import Recipe, parse_recipe
from fer_core.data.imaging import SampleFormat
from fer_core.data.transforms import Preprocessing
from fer_core.engine.predict import predict_logits
from fer_core.errors import ArtifactError, WeightsError
from fer_core.models import ModelSpec, build_model, spec_of
from fer_core.models.adapters import adapter_part, add_adapter, base_hash
from fer_core.models.checkpoint import load_weights
from fer_core.models.outputs import select_outputs
from fer_core.models.regression_head import add_regression_head, regression_head_of
from fer_core.models.weights import initialise
from fer_core.records import RunInfo


@dataclass(frozen=True)
class Network:
    """A trained network, in evaluation mode, on the CPU.

    Attributes:
        model: Maps (N, 3, S, S) input to (N, K) logits.
        spec: Architecture.
        preprocessing: Converts stored images to its input.
        info: The run's `run.json`.
    """

    model: nn.Module
    spec: ModelSpec
    preprocessing: Preprocessing
    info: RunInfo

    def logits(self, inputs: Tensor, batch_size: int = 64) -> Tensor:
        """Predicts normalised inputs (N, 3, S, S) on the network's device; shape (N, K)."""
        parts = [
            self.model(inputs[start : start + batch_size])
            for start in range(0, len(inputs), batch_size)
        ]
        return torch.cat(parts)

    def probabilities(
        self, images: NDArray[np.uint8], rows: NDArray[np.int64], batch_size: int = 128
    ) -> NDArray[np.float64]:
        """Predicts rows of stored images.

        Args:
            images: uint8, shape (N, H, W) or (N, H, W, 3).
            rows: Rows to predict, in order.
            batch_size: Images per step.

        Returns:
            Shape (len(rows), K), rows sum to 1.
        """
        logits = predict_logits(
            self.model, images, self.preprocessing, rows=rows, batch_size=batch_size
        )
        probabilities: NDArray[np.float64] = logits.double().softmax(dim=1).cpu().numpy()
        return probabilities

    def probabilities_and_estimates(
        self, images: NDArray[np.uint8], rows: NDArray[np.int64], batch_size: int = 128
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predicts rows of stored images with a network that has a regression head.

        Arguments are those of `probabilities`.

        Returns:
            Probabilities, shape (len(rows), K), and estimates in the units of the targets, shape
            (len(rows), T).
        """
        head = regression_head_of(self.model, self.spec)
        shares, estimates = [], []
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            shares.append(self.probabilities(images, batch, batch_size))
            estimates.append(head.in_units(head.take()).detach().double().cpu().numpy())
        return np.concatenate(shares), np.concatenate(estimates)


def preprocessing_of(recipe: Recipe, stored: SampleFormat) -> Preprocessing:
    """Returns a recipe's preprocessing for images of a stored format."""
    model, spec = recipe.model, spec_of(recipe.model)
    return Preprocessing(
        stored.side, stored.colour, model.image_size, spec.mean_of(model), spec.std_of(model)
    )


def load_network(run: RunDir, stored: SampleFormat) -> Network:
    """Builds a finished run's network and loads its weights.

    Raises:
        ArtifactError: If the run is not a network, its files are damaged, or its preprocessing
            differs from that of its training.
        WeightsError: If the weights are missing, damaged or belong to another network.
    """
    info = run.info()
    if info.kind != "network":
        what = "is an ensemble" if info.kind == "ensemble" else "was imported"
        raise ArtifactError(
            f"{run.run_id} {what} and has no network. Pass a run whose kind is network."
        )
    recipe = parse_recipe(info.recipe)
    assert isinstance(recipe, Recipe)  # noqa: S101 (a network's recipe)
    preprocessing = preprocessing_of(recipe, stored)
    if preprocessing.hash != info.preprocessing_hash:
        raise ArtifactError(
            f"{run.run_id} was trained with different preprocessing (hash "
            f"{info.preprocessing_hash}, here {preprocessing.hash}), so its predictions "
            "would be wrong. Train it again with this version."
        )
    model = build_model(recipe.model, len(info.classes.names))
    spec, names = spec_of(recipe.model), None
    if recipe.model.lora is not None:
        _load_base(model, recipe, info, run)
        add_adapter(model, recipe.model)
    if recipe.regression is not None:
        count = len(recipe.regression.targets)
        add_regression_head(model, spec, [0.0] * count, [1.0] * count)
    if recipe.model.lora is not None:
        names = adapter_part(model.state_dict(), spec)
    load_weights(model, run.weights_path, names, info.classes.names)
    select_outputs(model, info.classes)
    return Network(model.eval(), spec, preprocessing, info)


def _load_base(model: nn.Module, recipe: Recipe, info: RunInfo, run: RunDir) -> None:
    """Loads the base weights of a run's adapter."""
    try:
        initialise(model, recipe.model, info.labels, run.benchmark.store)
    except WeightsError as error:
        raise WeightsError(
            f"{run.run_id} is an adapter and needs its base weights. {error}"
        ) from error
    if base_hash(model, spec_of(recipe.model)) != info.base_hash:
        raise WeightsError(
            f"{run.run_id} is an adapter, and its base weights ({recipe.model.init}) have changed. "
            "Train the adapter again, or restore its base."
        )
