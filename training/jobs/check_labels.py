"""Likely label errors of train, from out-of-fold predictions; continues after an interruption."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import ModelConfig
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress, silent
from fer_core.data.transforms import Preprocessing
from fer_core.engine.features import pooled_features
from fer_core.engine.networks import load_network
from fer_core.evaluation.label_issues import (
    TrainLabelIssues,
    fold_of_each,
    issues_of,
    predict_fold,
)
from fer_core.files import atomic_path
from fer_core.models import ModelSpec, build_model, spec_of
from fer_core.models.weights import initialise
from training.jobs.base_runs import saw_images
from training.jobs.evaluate import predictions_of_rows, require_split

FACE_NETWORK = "mobilenet_face"
FACE_SIDE = 112
_CHUNK = 1024


@dataclass(frozen=True)
class FeatureNetwork:
    """A fixed network whose pooled features a classifier reads.

    Attributes:
        title: Name of the network.
        model: The network in evaluation mode.
        spec: Architecture.
        preprocessing: Input pipeline.
        saw_labels: Whether it was trained on an image whose label is checked; also if it was
            imported, so that its training images are unknown.
        key: Differs between networks whose features differ.
    """

    title: str
    model: nn.Module
    spec: ModelSpec
    preprocessing: Preprocessing
    saw_labels: bool
    key: str


def face_network(dataset: PreparedDataset) -> FeatureNetwork:
    """Returns the face network that training can start from; it has seen no expression labels."""
    config = ModelConfig(architecture=FACE_NETWORK, init="face", image_size=FACE_SIDE)
    spec = spec_of(config)
    model = build_model(config, len(dataset.labels))
    source = initialise(model, config, dataset.labels.names).source
    stored = dataset.format
    preprocessing = Preprocessing(
        stored.side, stored.colour, FACE_SIDE, spec.mean_of(config), spec.std_of(config)
    )
    return FeatureNetwork(source, model.eval(), spec, preprocessing, False, "face")


def run_network(run: RunDir, dataset: PreparedDataset) -> FeatureNetwork:
    """Returns the network of a finished run.

    Raises:
        ArtifactError: If the run is not a network or cannot be read.
        DataError: If it was trained on another split of the same benchmark.
    """
    network = load_network(run, dataset.format)
    if run.benchmark.name == dataset.info.name:
        require_split(dataset, network.info.split_hash, run.run_id)
    # another benchmark can have the same images, so names do not tell
    checked = dataset.samples.iloc[dataset.rows("train")]
    title = f"{network.info.title} ({run.benchmark.name}/{run.run_id})"
    return FeatureNetwork(
        title,
        network.model,
        network.spec,
        network.preprocessing,
        network.info.trained_elsewhere or bool(saw_images(run, checked).any()),
        f"{run.benchmark.name}/{run.run_id}/{network.info.created}",
    )


def check_train_labels(
    benchmark: BenchmarkDir,
    dataset: PreparedDataset,
    network: FeatureNetwork,
    *,
    folds: int = 5,
    progress: Progress = silent,
) -> TrainLabelIssues:
    """Finds likely label errors of train and writes `train_labels.parquet`.

    A linear classifier is trained on the features of all folds but one and predicts that one;
    duplicates are in one fold. Features and folds that are done are kept in the benchmark's cache,
    so that the command continues after an interruption.

    Args:
        benchmark: The benchmark that gets the result.
        dataset: The prepared dataset.
        network: Network whose features are used.
        folds: Number of folds.
        progress: Shows progress.

    Raises:
        DataError: If the prepared dataset has another split than the benchmark.
    """
    require_split(dataset, benchmark.info().split_hash, benchmark.name)
    rows = dataset.rows("train")
    truth = dataset.targets(rows)
    kept = benchmark.cache_dir / f"labels-{_key(dataset, network, folds)}"
    features = np.concatenate(list(_features(kept, dataset, rows, network, progress)))
    groups = dataset.samples["duplicate_group"].to_numpy()[rows]
    fold = fold_of_each(truth, groups, folds)
    probabilities = np.zeros((len(rows), len(dataset.labels)))
    for number in progress(range(folds), folds, "training folds"):
        path = kept / f"fold-{number}.npy"
        if not path.is_file():
            predicted = predict_fold(features, truth, fold == number, len(dataset.labels))
            _save(path, predicted)
        probabilities[fold == number] = np.load(path, allow_pickle=False)
    predictions = predictions_of_rows(dataset, rows, probabilities)
    table = issues_of(predictions, np.full(len(rows), "train", dtype=object)).table()
    result = TrainLabelIssues(
        split_hash=dataset.info.split_hash,
        features=network.title,
        saw_labels=network.saw_labels,
        folds=folds,
        images=len(rows),
        accuracy=float(predictions.right.mean()),
        table=table.round(4),
    )
    result.write(benchmark.train_labels_path)
    return result


def _features(
    kept: Path,
    dataset: PreparedDataset,
    rows: NDArray[np.int64],
    network: FeatureNetwork,
    progress: Progress,
) -> Iterator[NDArray[np.float32]]:
    starts = range(0, len(rows), _CHUNK)
    for start in progress(starts, len(starts), "computing features"):
        path = kept / f"features-{start:07d}.npy"
        if not path.is_file():
            images = np.asarray(dataset.images[rows[start : start + _CHUNK]])
            _save(path, pooled_features(network.model, network.spec, network.preprocessing, images))
        yield np.load(path, allow_pickle=False)


def _save(path: Path, array: NDArray[np.floating]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _key(dataset: PreparedDataset, network: FeatureNetwork, folds: int) -> str:
    facts = (dataset.info.split_hash, network.key, network.preprocessing.hash, str(folds))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
