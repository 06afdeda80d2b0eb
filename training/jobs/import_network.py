"""Importing a network that was trained elsewhere, as a run."""

import torch
from torch import Tensor, nn

from fer_core.artifacts import RunDir
from fer_core.config import Recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.engine.class_matching import match_classes
from fer_core.engine.networks import Network, preprocessing_of
from fer_core.errors import WeightsError
from fer_core.models import build_model, spec_of
from fer_core.models.checkpoint import save_tensors
from fer_core.models.outputs import select_outputs
from fer_core.models.published import PublishedModel
from training.jobs.accelerator import make_accelerator
from training.jobs.evaluate import require_split, write_evaluation
from training.jobs.import_export import ImportOptions, imported_info, new_run

PROFILE = "imported"
"""Profile in the recipe of an imported network."""


def import_network(
    published: PublishedModel,
    dataset: PreparedDataset,
    run: RunDir,
    *,
    options: ImportOptions,
    device: str | None = None,
) -> RunDir:
    """Predicts validation and test with a network and adds it as a run with its weights.

    Args:
        published: The network.
        dataset: The prepared dataset.
        run: Folder of the new run, in the benchmark to predict.
        options: Title, note and classes.
        device: `cpu`, or None to use a GPU if there is one.

    Raises:
        WeightsError: If the weights do not fit or the predictions are not finite.
        DataError: If its classes cannot be matched, or the dataset's split differs from the
            benchmark's.
        ArtifactError: If the run exists.
    """
    benchmark = run.benchmark
    require_split(dataset, benchmark.info().split_hash, f"The benchmark {benchmark.name}")
    classes = match_classes(published.outputs, dataset.labels, published.source, options.mapping)
    recipe = Recipe(
        name=run.run_id,
        profile=PROFILE,
        description=f"Imported from {published.source}.",
        model=published.config,
    )
    model = build_model(recipe.model, len(classes.names))
    model.load_state_dict(dict(published.tensors))
    select_outputs(model, classes)
    accelerator = make_accelerator("fp32", device)
    preprocessing = preprocessing_of(recipe, dataset.format)
    _require_finite(
        model.eval(), preprocessing(dataset.images[dataset.rows("train")[:8]]), published.source
    )
    spec = spec_of(recipe.model)
    info = imported_info(published.source, run, classes, options).model_copy(
        update={
            "kind": "network",
            "family": spec.family,
            "recipe": recipe.model_dump(mode="json"),
            "image_size": recipe.model.image_size,
            "preprocessing_hash": preprocessing.hash,
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "weights_dtype": "float32",
        }
    )
    with new_run(run) as new:
        save_tensors(new.weights_path, published.tensors, {"labels": classes.names})
        network = Network(model.to(accelerator.device), spec, preprocessing, info)
        write_evaluation(new, network, info, dataset, accelerator)
    return run


@torch.inference_mode()
def _require_finite(model: nn.Module, inputs: Tensor, source: str) -> None:
    if not torch.isfinite(model(inputs)).all():
        raise WeightsError(f"The predictions of {source} are not finite; its weights are damaged.")
