"""Adapts a network to a transferred set from its labels, if that helps.

The features of all images are computed once and kept in the set's cache. What is changed is the
network's last layer alone: scale, bias, and for a linear head its weights. Labelled images get
cross-fitted predictions, so that no number of the adapted run comes from a label it was fitted to.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_core import provenance
from fer_core.arrays import cached_arrays, write_arrays
from fer_core.artifacts import BenchmarkDir, RunDir, safe_name
from fer_core.data.prepared import PreparedDataset, prepared_folder
from fer_core.engine.features import classifier_inputs, linear_classifier
from fer_core.engine.networks import Network, load_network
from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation.adaptation import (
    LEAST_LABELS,
    AdaptationData,
    AdaptedLogits,
    JudgedRemedy,
    Remedy,
    best_remedy,
    fit_remedy,
    judge_remedies,
)
from fer_core.evaluation.few_labels.annotations import annotations
from fer_core.evaluation.transfers import TransferredSamples, write_transferred_run
from fer_core.models.adapters import adapter_part
from fer_core.models.checkpoint import save_tensors
from fer_core.project import ROOT
from fer_core.records import RunInfo
from fer_core.reviews import ReviewStore
from fer_core.run_commit import atomic_replace


@dataclass(frozen=True)
class Adapted:
    """Result of `adapt`.

    Attributes:
        labels: Number of labelled images.
        groups: Number of persons or sources among them.
        judged: Each remedy with its gains.
        applied: The remedy that was applied; None if none helps.
        run: The adapted run; None if there is none.
    """

    labels: int
    groups: int
    judged: tuple[JudgedRemedy, ...]
    applied: Remedy | None
    run: RunDir | None


def adapt(
    benchmark: BenchmarkDir, data: Path, run_id: str, name: str = "", remedy: Remedy | None = None
) -> Adapted:
    """Judges the remedies on a set's labels, and writes the adapted run.

    Args:
        benchmark: The transferred set.
        data: Folder of prepared data sets.
        run_id: A network's run of the set.
        name: Id of the adapted run; the run's id with `-adapted` by default.
        remedy: Apply this remedy even if its gain is not significant.

    Raises:
        ArtifactError: If the benchmark is no transferred set, or the run is no network.
        DataError: If the pictures are missing, or there are too few labels.
    """
    if benchmark.origin is None:
        raise ArtifactError(
            f"{benchmark.name} is no transferred set. Run `python -m training transfer` first, and "
            "name the set."
        )
    run = benchmark.run(run_id)
    target = benchmark.run(safe_name(name or f"{run_id}-adapted", "run"))
    _check_free(target, run)
    dataset = PreparedDataset.open(prepared_folder(data, benchmark))
    truth = labels_of(benchmark, dataset)
    labelled = truth >= 0
    if labelled.sum() < LEAST_LABELS:  # before the network runs
        raise DataError(
            f"Adapting needs at least {LEAST_LABELS} labels; {benchmark.name} has "
            f"{int(labelled.sum())}. Label more on the page Label a few faces."
        )
    network = load_network(_with_weights(run), dataset.format)
    features = _features(benchmark, network, dataset)
    everything = _data(network, features, truth, groups_of(dataset.samples))
    known = everything.select(labelled)
    judged = judge_remedies(known)
    best = next((x for x in judged if x.remedy is remedy), None) if remedy else best_remedy(judged)
    groups = len(np.unique(known.groups))
    if best is None:
        return Adapted(len(known), groups, judged, None, None)
    adapted = fit_remedy(best.remedy, known)
    probabilities = adapted.probabilities(everything)
    probabilities[labelled] = best.probabilities
    info = _info(network.info, target.run_id, best.remedy, len(known), benchmark)
    _write(target, info, network, adapted, probabilities)
    return Adapted(len(known), groups, judged, best.remedy, target)


def labels_of(benchmark: BenchmarkDir, dataset: PreparedDataset) -> NDArray[np.int64]:
    """Returns class indices of a set's images, shape (N,); -1 without a label.

    The set's own labels count, and the majority of those of the page Label a few faces.
    """
    classes = dataset.labels.names
    table = benchmark.samples().set_index("id")["label"]
    ids = dataset.samples["id"].astype(str)
    truth = pd.Index(list(classes)).get_indexer(pd.Index(table.reindex(ids)))
    store, rows = ReviewStore.of(benchmark), {sample: row for row, sample in enumerate(ids)}
    for pool in store.label_pools():
        merged = annotations(store.labels(pool), rows, classes).labelled
        truth[merged.rows[merged.clear]] = merged.shares[merged.clear].argmax(axis=1)
    return truth.astype(np.int64)


def groups_of(samples: pd.DataFrame) -> NDArray[np.int64]:
    """Returns the person or source of each image, shape (N,); copies of one picture share one."""
    rows = pd.Series([f"image {row}" for row in range(len(samples))])
    for column, prefix in (("duplicate_group", "copies"), ("group", "person")):
        if column in samples:
            values = samples[column].reset_index(drop=True)
            known = values.notna() & (values.astype(str) != "") & (values.astype(str) != "-1")
            rows = rows.where(~known, prefix + " " + values.astype(str))
    return np.asarray(pd.factorize(rows)[0], dtype=np.int64)


def _with_weights(run: RunDir) -> RunDir:
    """Returns the run that has the weights: of a transferred run the original one."""
    origin = run.origin
    has_own = run.own_weights_path.is_file()
    return run if has_own or origin is None else origin


def _features(
    benchmark: BenchmarkDir, network: Network, dataset: PreparedDataset
) -> NDArray[np.float32]:
    """Returns the classifier's inputs of all images, from the cache if they are there."""
    info = network.info
    key = f"{info.run_id}-{info.created}-{dataset.info.split_hash}-{len(dataset.samples)}"
    name = "".join(character if character.isalnum() else "-" for character in key)
    path = benchmark.cache_dir / f"features-{name}.npz"
    if cached := cached_arrays(path, ("features",)):
        return cached["features"]
    features = classifier_inputs(network.model, network.spec, network.preprocessing, dataset.images)
    write_arrays(path, {"features": features})
    return features


def _data(
    network: Network,
    features: NDArray[np.float32],
    truth: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> AdaptationData:
    layer = linear_classifier(network.model, network.spec)
    with torch.inference_mode():
        logits = layer(torch.from_numpy(features).to(layer.weight.device))
    probabilities = logits.double().softmax(dim=1).cpu().numpy()
    return AdaptationData(probabilities, truth, groups, features.astype(np.float64))


def _check_free(target: RunDir, base: RunDir) -> None:
    """Checks that the adapted run replaces only an earlier adapted run."""
    if target.run_id == base.run_id:
        raise ArtifactError("The adapted run needs another name than its base.")
    if target.info_path.is_file() and not target.own_weights_path.is_file():
        raise ArtifactError(f"{target.run_id} is a transferred run. Choose another --as.")


def _info(
    base: RunInfo, run_id: str, remedy: Remedy, labels: int, benchmark: BenchmarkDir
) -> RunInfo:
    home = benchmark.name if benchmark.origin is None else benchmark.origin.name
    return base.model_copy(
        update={
            "run_id": run_id,
            "title": f"{base.title} (adapted)",
            "init": "checkpoint",
            "init_source": f"run {home}/{base.run_id}",
            "note": f"{remedy.value.capitalize()} from {labels} labels of {benchmark.name}. "
            "Predictions of labelled images are cross-fitted.",
            "teachers": {},
            "weights_dtype": "float32",
            "published": None,
            "git_commit": provenance.git_commit(ROOT),
            "created": provenance.now(),
        }
    )


def _write(
    run: RunDir,
    info: RunInfo,
    network: Network,
    adapted: AdaptedLogits,
    probabilities: NDArray[np.float64],
) -> None:
    """Writes predictions, report, `run.json` and the weights with the adapted last layer.

    There are no validation predictions: the labelled images are the run's test images, and no
    other image was kept apart from the fit. So no temperature is fitted to the run.
    """
    benchmark = run.benchmark
    samples = TransferredSamples(benchmark.samples(), benchmark.info().split_hash)
    write_transferred_run(run, info, probabilities, samples)
    state = _adapted_state(network, adapted)
    with atomic_replace(run) as new:
        save_tensors(new.own_weights_path, state, {"run_id": run.run_id})


def _adapted_state(network: Network, adapted: AdaptedLogits) -> dict[str, torch.Tensor]:
    """Returns the network's tensors with the adaptation in the last layer."""
    model, spec = network.model, network.spec
    layer = linear_classifier(model, spec)
    weight, bias = layer.weight.detach().double().cpu(), torch.zeros(len(layer.weight)).double()
    if layer.bias is not None:
        bias = layer.bias.detach().double().cpu()
    weight, bias = adapted.scale * weight, adapted.scale * bias + torch.from_numpy(adapted.bias)
    if adapted.weights is not None:
        weight = weight + torch.from_numpy(adapted.weights.T)
    state = dict(model.state_dict())
    state[f"{spec.head}.weight"] = weight.float()
    state[f"{spec.head}.bias"] = bias.float()
    is_adapter = network.info.recipe.get("model", {}).get("lora")
    return adapter_part(state, spec) if is_adapter else state
