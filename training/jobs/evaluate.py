"""From a network or predictions to a run's reports."""

from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import Accelerator
from torch import nn

from fer_core.artifacts import RunDir, write_table
from fer_core.config import Recipe, parse_recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.data.targets import RegressionTargets, read_targets
from fer_core.data.transforms import Preprocessing
from fer_core.engine.networks import Network, load_network
from fer_core.engine.predict import predict_probabilities, predict_scores
from fer_core.errors import DataError
from fer_core.evaluation.predictions import EVALUATED, Predictions, SplitPredictions
from fer_core.evaluation.regression import RegressionReport, build_regression_report
from fer_core.evaluation.report import Protocol, Report, build_report
from fer_core.models import spec_of
from fer_core.records import RunInfo
from fer_core.run_commit import atomic_replace, recover
from training.jobs.accelerator import make_accelerator


def predict_splits(
    model: nn.Module,
    dataset: PreparedDataset,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
) -> Predictions:
    """Predicts validation and test."""
    ids = dataset.samples["id"].to_numpy(dtype=object)
    splits = {}
    for split in EVALUATED:
        rows = dataset.rows(split)
        probabilities = predict_probabilities(
            model, dataset.images, rows, preprocessing, accelerator
        )
        splits[split] = SplitPredictions(
            dataset.labels, ids[rows], dataset.targets(rows), probabilities
        )
    return Predictions(splits)


def write_run(
    run: RunDir, info: RunInfo, predictions: Predictions, samples: pd.DataFrame
) -> Report:
    """Writes predictions, reports and, last, `run.json`: with it the run is finished.

    Where the images carry a second annotation (FER2013's original labels beside FER+), the same
    answers are scored against it too, so that they can be read beside the literature.
    """
    report = build_report(run.run_id, predictions, samples, _protocol(info, predictions, "label"))
    predictions.write(run.predictions_path)
    report.write(run.report_path)
    if samples["second_label"].notna().any():
        names = samples.set_index("id")["second_label"]
        second = Predictions(
            {split: scores.relabelled(names) for split, scores in predictions.splits.items()}
        )
        if all(len(second.split(split)) for split in EVALUATED):  # or only training images have one
            protocol = _protocol(info, second, "second_label")
            build_report(run.run_id, second, samples, protocol).write(run.second_report_path)
    info.write(run.info_path)
    return report


def evaluate_run(run: RunDir, dataset: PreparedDataset, device: str | None = None) -> Report:
    """Predicts validation and test again from a run's weights and rewrites its reports.

    A score head's errors are measured again where its table still stands; else they stay.

    Raises:
        DataError: If the dataset's split is not the one that the run was trained on.
    """
    recover(run)
    network = load_network(run, dataset.format)
    info = network.info
    require_split(dataset, info.split_hash, run.run_id)
    accelerator = make_accelerator("fp32", device)
    network.model.to(accelerator.device)
    with atomic_replace(run) as place:
        return write_evaluation(place, network, info, dataset, accelerator)


def write_evaluation(
    place: RunDir,
    network: Network,
    info: RunInfo,
    dataset: PreparedDataset,
    accelerator: Accelerator,
) -> Report:
    """Predicts validation and test with a network and writes predictions, reports and `run.json`.

    Args:
        place: Where the files go.
        network: On the accelerator's device.
        info: What is written as `run.json`.
        dataset: The prepared set.
        accelerator: Where it answers.
    """
    model, preprocessing = network.model, network.preprocessing
    predictions = predict_splits(model, dataset, preprocessing, accelerator)
    recipe = parse_recipe(info.recipe)
    if isinstance(recipe, Recipe) and recipe.score and Path(recipe.score.table).is_file():
        scores = read_targets(Path(recipe.score.table), dataset)
        write_scores(place, model, recipe, dataset, preprocessing, scores)
    return write_run(place, info, predictions, dataset.samples)


def write_scores(
    run: RunDir,
    model: nn.Module,
    recipe: Recipe,
    dataset: PreparedDataset,
    preprocessing: Preprocessing,
    scores: RegressionTargets,
) -> RegressionReport:
    """Estimates the scores of validation and test images and writes the estimates' errors."""
    spec = spec_of(recipe.model.architecture)
    ids = dataset.samples["id"].to_numpy(dtype=object)
    tables = []
    for split in EVALUATED:
        rows = dataset.rows(split)
        rows = rows[~np.isnan(scores.values[rows])]
        estimated = predict_scores(model, spec, dataset.images, rows, preprocessing)
        columns = {"id": ids[rows], "split": split, "clip": scores.clips[rows]}
        tables.append(
            pd.DataFrame({**columns, "score": scores.values[rows], "estimated": estimated})
        )
    table = pd.concat(tables, ignore_index=True)
    training_mean = float(np.nanmean(scores.values[dataset.rows("train")]))
    report = build_regression_report(run.run_id, table, training_mean)
    write_table(run.scores_path, table)
    report.write(run.score_report_path)
    return report


def require_split(dataset: PreparedDataset, split_hash: str, name: str) -> None:
    """Checks that a prepared set has the split that something stands on.

    Raises:
        DataError: If it has another one.
    """
    if dataset.info.split_hash != split_hash:
        raise DataError(
            f"{name} stands on split {split_hash}, and this set has "
            f"{dataset.info.split_hash}. Prepare the data as for the run."
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
    )
