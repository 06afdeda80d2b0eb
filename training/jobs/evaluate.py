"""Predicting validation and test, and writing a run's predictions and reports."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from fer_core import provenance
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import Recipe, parse_recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.data.targets import RegressionTargets, read_targets
from fer_core.data.transforms import Preprocessing
from fer_core.engine.classifiers import open_onnx
from fer_core.engine.networks import Network, load_network
from fer_core.engine.onnx_network import OnnxNetwork
from fer_core.engine.predict import predict_probabilities, predict_regression
from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation.predictions import EVALUATED, Predictions, SplitPredictions
from fer_core.evaluation.regression import RegressionReport, build_regression_report
from fer_core.evaluation.report import Protocol, Report, build_report
from fer_core.project import ROOT
from fer_core.records import LedgerEntry, RunInfo
from fer_core.run_commit import atomic_replace, recover, replaced_run
from fer_core.tables import write_table
from training.jobs.accelerator import make_accelerator


def predict_splits(
    model: nn.Module,
    dataset: PreparedDataset,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
) -> Predictions:
    """Predicts validation and test with all processes."""
    return _of_evaluated(
        dataset,
        lambda rows: predict_probabilities(model, dataset.images, rows, preprocessing, accelerator),
    )


def predict_with(network: OnnxNetwork, dataset: PreparedDataset) -> Predictions:
    """Predicts validation and test with an ONNX network."""
    return _of_evaluated(dataset, lambda rows: network.probabilities(dataset.images, rows))


def predictions_of_rows(
    dataset: PreparedDataset, rows: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> SplitPredictions:
    """Returns the predictions of rows of a dataset, with their ids and classes.

    Args:
        dataset: The prepared dataset.
        rows: Row numbers, shape (N,).
        probabilities: Shape (N, K).
    """
    ids = dataset.samples["id"].to_numpy(dtype=object)[rows]
    return SplitPredictions(dataset.labels, ids, dataset.targets(rows), probabilities)


def _of_evaluated(
    dataset: PreparedDataset, predict: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> Predictions:
    rows = {split: dataset.rows(split) for split in EVALUATED}
    return Predictions(
        {split: predictions_of_rows(dataset, r, predict(r)) for split, r in rows.items()}
    )


def write_run(
    run: RunDir, info: RunInfo, predictions: Predictions, samples: pd.DataFrame
) -> Report:
    """Writes predictions, reports and, last, `run.json`, which marks the run as finished.

    The evaluation is added to the run's test ledger, which continues that of earlier trainings.
    If the images have a second annotation (FER2013's original labels beside FER+), a second report
    evaluates the predictions against it, for comparison with the literature.
    """
    samples = _with_published_leaks(samples, replaced_run(run).benchmark, info)
    report = build_report(run.run_id, predictions, samples, _protocol(info, predictions, "label"))
    predictions.write(run.predictions_path)
    report.write(run.report_path)
    if samples["second_label"].notna().any():
        second_labels = samples.set_index("id")["second_label"]
        second = Predictions(
            {name: split.relabelled(second_labels) for name, split in predictions.splits.items()}
        )
        # otherwise only training images have a second label
        if all(len(second.split(split)) for split in EVALUATED):
            protocol = _protocol(info, second, "second_label")
            build_report(run.run_id, second, samples, protocol).write(run.second_report_path)
    ledger = (*_earlier_ledger(replaced_run(run)), _ledger_entry())
    info.model_copy(update={"test_ledger": ledger}).write(run.info_path)
    return report


def _with_published_leaks(
    samples: pd.DataFrame, benchmark: BenchmarkDir, info: RunInfo
) -> pd.DataFrame:
    """Takes the benchmark's leaks: `find-copies` may have added some since the data were prepared.

    Otherwise the leak-free metrics of two runs could be on different images.
    """
    try:
        published = benchmark.samples().set_index("id")["leak"]
        if benchmark.info().split_hash != info.split_hash:
            return samples
    except (ArtifactError, KeyError):  # not published yet, or damaged
        return samples
    leaks = samples["id"].map(published)
    return samples.assign(leak=leaks.where(leaks.notna(), samples["leak"]).astype(bool))


def _earlier_ledger(run: RunDir) -> tuple[LedgerEntry, ...]:
    """Returns the evaluations so far; one is assumed of a run that is older than the ledger."""
    with suppress(ArtifactError):  # there is no earlier run, or it cannot be read
        info = run.info()
        return info.test_ledger or (LedgerEntry(time=info.created, commit=info.git_commit),)
    return ()


def _ledger_entry() -> LedgerEntry:
    return LedgerEntry(time=provenance.now(), commit=provenance.git_commit(ROOT))


def evaluate_run(run: RunDir, dataset: PreparedDataset, device: str | None = None) -> Report:
    """Predicts validation and test again from a run's weights and rewrites its reports.

    The report of a regression head is rewritten only if its table of targets still exists.

    Raises:
        DataError: If the dataset has another split than the run.
        ArtifactError: If the run was imported as predictions.
    """
    recover(run)
    info = run.info()
    require_split(dataset, info.split_hash, run.run_id)
    if info.kind == "imported":
        predictions = predict_with(open_onnx(run, info, dataset.format), dataset)
        with atomic_replace(run) as new:
            return write_run(new, info, predictions, dataset.samples)
    network = load_network(run, dataset.format)
    accelerator = make_accelerator("fp32", device)
    network.model.to(accelerator.device)
    with atomic_replace(run) as new:
        return write_evaluation(new, network, info, dataset, accelerator)


def write_evaluation(
    run: RunDir,
    network: Network,
    info: RunInfo,
    dataset: PreparedDataset,
    accelerator: Accelerator,
) -> Report:
    """Predicts validation and test with a network and writes predictions, reports and `run.json`.

    Args:
        run: Folder of the run, which gets the files.
        network: Network on the accelerator's device.
        info: Content of `run.json`.
        dataset: The prepared dataset.
        accelerator: Device and processes.
    """
    model, preprocessing = network.model, network.preprocessing
    predictions = predict_splits(model, dataset, preprocessing, accelerator)
    recipe = parse_recipe(info.recipe)
    if isinstance(recipe, Recipe) and recipe.regression and Path(recipe.regression.table).is_file():
        targets = read_targets(Path(recipe.regression.table), dataset, recipe.targets)
        write_regression(run, network, dataset, targets)
    return write_run(run, info, predictions, dataset.samples)


def write_regression(
    run: RunDir, network: Network, dataset: PreparedDataset, targets: RegressionTargets
) -> RegressionReport:
    """Predicts the regression targets of validation and test and writes the errors.

    Args:
        run: Folder of the run, which gets the files.
        network: A network with a regression head.
        dataset: The prepared dataset.
        targets: The table of targets.
    """
    ids = dataset.samples["id"].to_numpy(dtype=object)
    tables = []
    for split in EVALUATED:
        rows = dataset.rows(split)
        rows = rows[~np.isnan(targets.values[rows]).all(axis=1)]
        estimated = predict_regression(
            network.model, network.spec, dataset.images, rows, network.preprocessing
        )
        columns = {"id": ids[rows], "split": split, "clip": targets.clips[rows]}
        for index, name in enumerate(targets.names):
            values = {"score": targets.values[rows, index], "estimated": estimated[:, index]}
            target_rows = pd.DataFrame({**columns, "target": name, **values})
            tables.append(target_rows[target_rows["score"].notna()])
    table = pd.concat(tables, ignore_index=True)
    means = np.nanmean(targets.values[dataset.rows("train")], axis=0)
    training_means = dict(zip(targets.names, means.tolist(), strict=True))
    report = build_regression_report(run.run_id, table, training_means)
    write_table(run.regression_path, table)
    report.write(run.regression_report_path)
    return report


def require_split(dataset: PreparedDataset, split_hash: str, name: str) -> None:
    """Checks that a prepared dataset has the required split.

    Args:
        dataset: The prepared dataset.
        split_hash: The required split.
        name: The run or file that requires it, for the error message.

    Raises:
        DataError: If the dataset has another split.
    """
    if dataset.info.split_hash != split_hash:
        raise DataError(
            f"{name} has split {split_hash}, but the prepared dataset has "
            f"{dataset.info.split_hash}. Prepare the data again with the same options."
        )


def _protocol(info: RunInfo, predictions: Predictions, label_source: str) -> Protocol:
    return Protocol(
        label_source=label_source,
        split_hash=info.split_hash,
        test_samples=len(predictions.split("test")),
        init=info.init,
        seed=info.seed,
        image_size=info.image_size,
        preprocessing_hash=info.preprocessing_hash,
        test_time_augmentation=info.test_time_augmentation,
        missing_classes=info.classes.missing,
    )
