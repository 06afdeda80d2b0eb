"""Converting a run's weights to float16 or int8 for publishing."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from fer_core import provenance
from fer_core.artifacts import RunDir
from fer_core.config import Recipe, parse_recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.engine.networks import Network, load_network
from fer_core.engine.predict import predict_logits
from fer_core.errors import ArtifactError, DataError, WeightsError
from fer_core.models.checkpoint import load_tensors, save_tensors
from fer_core.models.stored_weights import in_stored_type, without_scales
from fer_core.records import RunInfo, StoredType
from fer_core.run_commit import atomic_replace, recover
from training.jobs.accelerator import make_accelerator
from training.jobs.evaluate import require_split, write_evaluation
from training.jobs.import_export import export_graph
from training.jobs.train import weight_metadata

MOST_CHANGE = {StoredType.FLOAT16: 0.02, StoredType.INT8: 0.05}
"""Largest allowed change of a validation probability by the conversion."""


def publish_run(
    run: RunDir,
    dataset: PreparedDataset,
    kind: StoredType = StoredType.FLOAT16,
    *,
    device: str | None = None,
) -> RunDir:
    """Replaces a run's weights by a checked copy of less precision and removes its checkpoints.

    Predictions and reports are rewritten from the converted weights, so that they describe the
    published network. Where the architecture allows it, its ONNX graph is written as well, from
    which the light installation predicts.

    Args:
        run: A network's run.
        dataset: The prepared dataset.
        kind: Data type of the stored weights.
        device: Device to predict on; the default one if None.

    Raises:
        ArtifactError: If the conversion changes a validation probability by more than
            `MOST_CHANGE`, or the weights are in int8 and float16 is asked for.
        DataError: If the regression head's table of targets is missing: its report could not be
            rewritten.
    """
    recover(run)
    network = load_network(run, dataset.format)
    model, info = network.model, network.info
    if info.weights_dtype == kind:
        return run
    if info.weights_dtype == StoredType.INT8:
        raise ArtifactError(
            f"The weights of {run.run_id} are in int8 already. For float16, train the run again."
        )
    require_split(dataset, info.split_hash, run.run_id)
    _require_regression_targets(info)
    tensors = in_stored_type(load_tensors(run.weights_path)[0], kind)
    published = _round_weights(network, tensors, dataset, kind)
    info = info.model_copy(update={"weights_dtype": kind.value, "published": published})
    accelerator = make_accelerator("fp32", device)
    model.to(accelerator.device)
    with atomic_replace(run) as new:
        save_tensors(new.weights_path, tensors, weight_metadata(info))
        write_evaluation(new, network, info, dataset, accelerator)
    _remove_efficiency(run)
    shutil.rmtree(run.state_dir, ignore_errors=True)
    _write_graph(run, info, dataset)
    return run


def _remove_efficiency(run: RunDir) -> None:
    """Removes what was measured on the former weights, of a run and of ensembles with it."""
    run.efficiency_path.unlink(missing_ok=True)
    for other in run.benchmark.finished_runs():
        with suppress(ArtifactError):  # a damaged run is no reason to stop
            if run.run_id in other.info().members:
                other.efficiency_path.unlink(missing_ok=True)


def _write_graph(run: RunDir, info: RunInfo, dataset: PreparedDataset) -> None:
    """Writes the ONNX graph of a published network, unless only PyTorch can predict with it."""
    recipe = parse_recipe(info.recipe)
    assert isinstance(recipe, Recipe)  # noqa: S101 (a network's recipe)
    if recipe.model.lora is not None or recipe.regression is not None:
        return
    with suppress(WeightsError):  # the architecture cannot be exported
        export_graph(run, dataset.format, dataset)


def _round_weights(
    network: Network,
    tensors: Mapping[str, torch.Tensor],
    dataset: PreparedDataset,
    kind: StoredType,
) -> dict[str, Any]:
    """Sets a network's weights to their converted copy and returns how its predictions changed.

    Raises:
        ArtifactError: If a validation probability changes by more than `MOST_CHANGE`.
    """
    rows = dataset.rows("validation")

    def probabilities() -> torch.Tensor:
        logits = predict_logits(network.model, dataset.images, network.preprocessing, rows=rows)
        return torch.softmax(logits, 1)

    before = probabilities()
    network.model.load_state_dict(
        {
            key: value.float() if value.is_floating_point() else value
            for key, value in without_scales(tensors).items()
        },
        strict=False,  # an adapter's file does not contain its base
    )
    after = probabilities()
    difference = float((before - after).abs().max())
    if not difference <= MOST_CHANGE[kind]:  # also if it is NaN, because a weight overflows
        raise ArtifactError(
            f"{kind} weights change a probability of {network.info.run_id} by {difference:.3f}, "
            f"more than {MOST_CHANGE[kind]}. The run is unchanged; publish it in "
            f"{'float16' if kind is StoredType.INT8 else 'float32'}."
        )
    return {
        "dtype": kind.value,
        "largest_probability_difference": difference,
        "same_decision": float((before.argmax(1) == after.argmax(1)).float().mean()),
        "at": provenance.now(),
    }


def _require_regression_targets(info: RunInfo) -> None:
    recipe = parse_recipe(info.recipe)
    if (
        isinstance(recipe, Recipe)
        and recipe.regression
        and not Path(recipe.regression.table).is_file()
    ):
        raise DataError(
            f"{info.run_id} has a regression head, and its table of targets, "
            f"{recipe.regression.table}, is missing. Restore the table, or publish on the machine "
            "where the run was trained."
        )
