"""Runs that leave for other runtimes, and predictions that come from elsewhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_core import provenance
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.engine.networks import load_network
from fer_core.engine.onnx import (
    OnnxInput,
    OnnxNetwork,
    ends_in_softmax,
    export_onnx,
    keep_onnx,
    read_onnx,
)
from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation.external import external_predictions, read_external_table
from fer_core.evaluation.predictions import EVALUATED, Predictions, SplitPredictions
from fer_core.files import content_hash
from fer_core.records import RunInfo
from fer_core.run_commit import atomic_replace
from fer_core.synthetic.action_units import PROTOTYPES
from fer_core.synthetic.face import render
from training.jobs.evaluate import require_split, write_run

CHECKED = 64
"""Images on which an ONNX copy is compared with its network."""


def export_run(
    run: RunDir, stored: SampleFormat, path: Path, dataset: PreparedDataset | None
) -> float:
    """Writes a run's network as ONNX, checked on test images, or on drawn faces without a set.

    Returns:
        The largest difference of a probability.

    Raises:
        ArtifactError: If the run has no network, or the copy answers differently.
    """
    network = load_network(run, stored)
    if dataset is None:
        emotions = list(PROTOTYPES)
        faces = [render(n, emotions[n % len(emotions)]).image for n in range(CHECKED)]
        images = np.stack([stored.convert(face) for face in faces])
    else:
        images = np.asarray(dataset.images[dataset.rows("test")[:CHECKED]])
    return export_onnx(network, path, images, content_hash(run.weights_path))


def import_table(
    path: Path, benchmark: BenchmarkDir, run: RunDir, *, title: str, augmented: bool = False
) -> RunDir:
    """Adds a table of predictions as a run.

    Args:
        path: A csv or parquet file: id, one probability a class.
        benchmark: The benchmark that was predicted.
        run: Where the run is written.
        title: The model's name.
        augmented: Whether the predictions used test-time augmentation.

    Raises:
        DataError: If the table does not fit the benchmark.
        ArtifactError: If the run exists.
    """
    labels = benchmark.info().label_set
    predictions = external_predictions(
        read_external_table(path), labels, benchmark.samples(), path.name
    )
    return _write_imported(path, benchmark, run, predictions, title, augmented=augmented)


def import_onnx(
    path: Path,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    run: RunDir,
    *,
    title: str,
    given: OnnxInput | None = None,
) -> RunDir:
    """Predicts validation and test with an ONNX file and adds the result as a run.

    The run keeps a copy of the file, so that it can be asked about new faces. A foreign file whose
    outputs are probabilities is taken as such: a softmax of them would flatten its answers.

    Raises:
        WeightsError: If the file is no classifier of images, or does not say what it expects.
        DataError: If its classes, or the set's split, are not the benchmark's.
        ArtifactError: If the run exists.
    """
    require_split(dataset, benchmark.info().split_hash, f"The benchmark {benchmark.name}")
    network = read_onnx(path, dataset.format, given)
    if network.labels != dataset.labels:
        raise DataError(
            f"{path.name} knows the classes {', '.join(network.labels.names)}, the benchmark "
            f"{', '.join(dataset.labels.names)}."
        )
    if given is not None and ends_in_softmax(network, dataset.images[dataset.rows("train")[:32]]):
        given = replace(given, gives_probabilities=True)
        network = read_onnx(path, dataset.format, given)
    ids = dataset.samples["id"].to_numpy(dtype=object)
    splits = {}
    for split in EVALUATED:
        rows = dataset.rows(split)
        probabilities = network.probabilities(dataset.images, rows)
        splits[split] = SplitPredictions(
            dataset.labels, ids[rows], dataset.targets(rows), probabilities
        )
    return _write_imported(
        path,
        benchmark,
        run,
        Predictions(splits),
        title,
        network=network,
        given=given,
    )


def _write_imported(
    path: Path,
    benchmark: BenchmarkDir,
    run: RunDir,
    predictions: Predictions,
    title: str,
    *,
    augmented: bool = False,
    network: OnnxNetwork | None = None,
    given: OnnxInput | None = None,
) -> RunDir:
    if run.root.exists():
        raise ArtifactError(
            f"There is a run {run.run_id!r} in {benchmark.name!r} already. Give another --name, or "
            "remove that run's folder."
        )
    info = RunInfo(
        run_id=run.run_id,
        kind="imported",
        title=title,
        family="imported",
        recipe={},
        labels=predictions.labels.names,
        init="elsewhere",
        init_source=path.name,
        seed=0,
        image_size=network.preprocessing.image_size if network else None,
        preprocessing_hash=network.preprocessing.hash if network else "elsewhere",
        split_hash=benchmark.info().split_hash,
        test_time_augmentation=augmented,
        parameters=network.parameters if network else None,
        versions=provenance.versions(),
        created=provenance.now(),
    )
    with atomic_replace(run) as place:
        write_run(place, info, predictions, benchmark.samples())
        if network is not None:
            keep_onnx(path, place.onnx_path, given)
    return run
