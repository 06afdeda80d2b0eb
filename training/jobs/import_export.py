"""Exporting runs as ONNX, and importing models and predictions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core import provenance
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.engine.class_matching import match_classes
from fer_core.engine.networks import load_network
from fer_core.engine.onnx import export_onnx, keep_onnx
from fer_core.engine.onnx_graph import write_graph
from fer_core.engine.onnx_network import OnnxInput, OnnxNetwork, assumptions, output_kind, read_onnx
from fer_core.engine.table_columns import class_columns
from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import fit_temperature
from fer_core.evaluation.external import external_predictions, read_external_table
from fer_core.evaluation.external_ids import with_sample_ids
from fer_core.evaluation.predictions import read_predictions
from fer_core.files import content_hash
from fer_core.labels import OutputClasses
from fer_core.records import ELSEWHERE, RunInfo
from fer_core.run_commit import atomic_replace
from fer_core.synthetic.action_units import PROTOTYPES
from fer_core.synthetic.face import render
from training.jobs.evaluate import predict_with, require_split, write_run


@dataclass(frozen=True)
class ImportOptions:
    """The user's options for an imported model.

    Attributes:
        title: Display name.
        mapping: The benchmark's class by the model's name for it, for names that are no synonyms.
        note: Further remarks, such as the images that it was trained on.
        notify: Called with a sentence on each assumption.
    """

    title: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    notify: Callable[[str], None] = lambda _: None


CHECKED = 64
"""Number of images on which an ONNX copy is compared with its network."""


def export_run(
    run: RunDir, stored: SampleFormat, path: Path, dataset: PreparedDataset | None
) -> float:
    """Exports a run's network as ONNX after comparing both on images.

    Args:
        run: A network's run.
        stored: Format of the benchmark's images.
        path: The file to write.
        dataset: Data set whose test images are compared; drawn faces if None.

    Returns:
        The largest difference of a probability.

    Raises:
        ArtifactError: If the run has no network, or the copy's predictions differ.
    """
    network, images = load_network(run, stored), compared_images(stored, dataset)
    try:
        validation = read_predictions(run, run.benchmark.info().label_set).split("validation")
        temperature = fit_temperature(validation)
    except ArtifactError:  # the logits are then exported without a temperature
        temperature = None
    return export_onnx(network, path, images, content_hash(run.weights_path), temperature)


def export_graph(run: RunDir, stored: SampleFormat, dataset: PreparedDataset | None) -> float:
    """Writes a run's ONNX graph without weights after comparing it with the network on images.

    Args:
        run: A network's run.
        stored: Format of the benchmark's images.
        dataset: Data set whose test images are compared; drawn faces if None.

    Returns:
        The largest difference of a probability.

    Raises:
        ArtifactError: If the run has no network, or the graph's predictions differ.
        WeightsError: If the graph cannot do without weights of its own.
    """
    return write_graph(load_network(run, stored), run, compared_images(stored, dataset))


def compared_images(stored: SampleFormat, dataset: PreparedDataset | None) -> NDArray[np.uint8]:
    """Returns images on which a copy of a network is compared with it.

    Args:
        stored: Format of the benchmark's images.
        dataset: Data set whose first test images are taken; drawn faces if None.
    """
    if dataset is not None:
        return np.asarray(dataset.images[dataset.rows("test")[:CHECKED]])
    emotions = list(PROTOTYPES)
    faces = [render(seed, emotions[seed % len(emotions)]).image for seed in range(CHECKED)]
    return np.stack([stored.convert(face) for face in faces])


def import_table(
    path: Path,
    benchmark: BenchmarkDir,
    run: RunDir,
    *,
    options: ImportOptions,
    augmented: bool = False,
) -> RunDir:
    """Adds a table of predictions as a run.

    Args:
        path: A csv, tsv or parquet file with an id and one probability per class.
        benchmark: The benchmark that was predicted.
        run: Folder of the new run.
        options: Title, note and classes.
        augmented: Whether the predictions used test-time augmentation.

    Raises:
        DataError: If the table does not fit the benchmark.
        ArtifactError: If the run exists.
    """
    labels = benchmark.info().label_set
    samples, name = benchmark.samples(), path.name
    table, notes = with_sample_ids(read_external_table(path), samples, name)
    chosen = class_columns(table, labels, name, options.mapping)
    classes = match_classes(chosen.outputs, labels, name, chosen.mapping, "Map the columns")
    for note in (*notes, *chosen.notes()):
        options.notify(note)
    predictions = external_predictions(
        chosen.probabilities(table), chosen.columns, classes, samples, name, options.notify
    )
    info = imported_info(path.name, run, classes, options)
    info = info.model_copy(update={"test_time_augmentation": augmented})
    with new_run(run) as new:
        write_run(new, info, predictions, samples)
    return run


def import_onnx(
    path: Path,
    dataset: PreparedDataset,
    run: RunDir,
    *,
    options: ImportOptions,
    declared: OnnxInput | None = None,
) -> RunDir:
    """Predicts validation and test with an ONNX file and adds the result as a run.

    The run keeps a copy of the file for new faces. If the outputs of a file from elsewhere are
    probabilities, no softmax is applied to them.

    Args:
        path: The ONNX file.
        dataset: The prepared dataset.
        run: Folder of the new run, in the benchmark to predict.
        options: Title, note and classes.
        declared: Input and classes of a file from elsewhere; None for a file of `export_run`.

    Raises:
        WeightsError: If the file is not an image classifier, or its input is not declared.
        DataError: If its classes cannot be matched, or the dataset's split differs from the
            benchmark's.
        ArtifactError: If the run exists.
    """
    benchmark = run.benchmark
    require_split(dataset, benchmark.info().split_hash, f"The benchmark {benchmark.name}")
    read = read_onnx(path, dataset.format, declared)
    for note in assumptions(read, declared):
        options.notify(note)
    classes = match_classes(read.classes.names, dataset.labels, path.name, options.mapping)
    network = replace(read, classes=classes)
    if declared is not None:
        training_images = np.asarray(dataset.images[dataset.rows("train")[:32]])
        network = _with_output_kind(network, training_images, options)
    predictions = predict_with(network, dataset)
    info = imported_info(path.name, run, classes, options)
    info = info.model_copy(
        update={
            "image_size": network.preprocessing.image_size,
            "preprocessing_hash": network.preprocessing.hash,
            "parameters": network.parameters,
        }
    )
    with new_run(run) as new:
        write_run(new, info, predictions, benchmark.samples())
        keep_onnx(path, new.onnx_path, network)
    return run


def _with_output_kind(
    network: OnnxNetwork, images: NDArray[np.uint8], options: ImportOptions
) -> OnnxNetwork:
    """Returns a network from elsewhere that knows whether its outputs are probabilities."""
    kind = output_kind(network, images)
    if kind == "sigmoids":
        options.notify(
            "The outputs are in 0 to 1 but do not sum to 1, as those of a sigmoid for each class. "
            "They were read as logits: the predicted classes are the model's, but all "
            "probabilities are near each other. Export the values before the sigmoid."
        )
    declared = network.gives_probabilities
    return replace(network, gives_probabilities=declared or kind == "probabilities")


@contextmanager
def new_run(run: RunDir) -> Iterator[RunDir]:
    """Yields a temporary folder that becomes the run; fails if the run exists."""
    if run.root.exists():
        raise ArtifactError(
            f"{run.benchmark.name} already has a run {run.run_id!r}. Pass another --name, or "
            f"remove the folder {run.root}."
        )
    with atomic_replace(run) as new:
        yield new


def imported_info(
    source: str, run: RunDir, classes: OutputClasses, options: ImportOptions
) -> RunInfo:
    """Returns the `run.json` of predictions from elsewhere.

    Args:
        source: Origin of the predictions.
        run: The run.
        classes: The model's classes and the benchmark's.
        options: Title and note.
    """
    return RunInfo(
        run_id=run.run_id,
        kind="imported",
        title=options.title,
        note=options.note,
        family="imported",
        recipe={},
        labels=classes.labels.names,
        init=ELSEWHERE,
        init_source=source,
        outputs=() if classes.names == classes.labels.names else classes.names,
        seed=0,
        image_size=None,
        preprocessing_hash=ELSEWHERE,
        split_hash=run.benchmark.info().split_hash,
        parameters=None,
        versions=provenance.versions(),
        created=provenance.now(),
    )
