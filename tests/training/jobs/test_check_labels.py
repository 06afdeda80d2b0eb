"""Likely label errors of train from out-of-fold predictions, on planted errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fer_core.data.transforms import Preprocessing
from fer_core.engine import features
from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation.label_issues import (
    ISSUE_COLUMNS,
    TrainLabelIssues,
    fold_of_each,
    issues_of,
    predict_fold,
)
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet
from fer_core.records import ELSEWHERE
from fer_core.tables import write_table
from tests.support.builders import toy_benchmark
from training.jobs import check_labels as job

LABELS = LabelSet(("angry", "happy", "sad"))


@pytest.fixture
def seen() -> list[int]:
    """Number of images in each call that computed features."""
    return []


@pytest.fixture
def network(toy, monkeypatch, seen) -> job.FeatureNetwork:
    """A network whose features are the brightness of the cells of a 12 x 12 grid."""

    def grid(_model, _spec, _preprocessing, images, **_options):
        seen.append(len(images))
        return images.reshape(len(images), 12, 4, 12, 4).mean(axis=(2, 4)).reshape(len(images), -1)

    monkeypatch.setattr(job, "pooled_features", grid)
    preprocessing = Preprocessing(48, False, 48, (0.5,) * 3, (0.5,) * 3)
    assert toy.dataset.images.shape[1:] == (48, 48)
    return job.FeatureNetwork(
        "a grid",
        torch.nn.Identity(),
        None,  # type: ignore[arg-type]
        preprocessing,
        False,
        "grid",
    )


def test_a_fold_is_predicted_from_the_others_and_duplicates_stay_together():
    random = np.random.default_rng(0)
    truth = np.arange(300) % 3
    groups = np.full(300, -1)
    groups[[0, 3, 6]] = 0
    fold = fold_of_each(truth, groups, 5)
    assert len(set(fold[[0, 3, 6]])) == 1
    assert np.bincount(fold).tolist() == [60] * 5
    points = np.eye(3)[truth] * 4 + random.normal(0, 0.5, (300, 3))
    held_out = fold == 2
    probabilities = predict_fold(points.astype(np.float32), truth, held_out, 3)
    assert (probabilities.argmax(axis=1) == truth[held_out]).all()


def test_a_class_that_the_other_folds_lack_gets_probability_0():
    truth = np.array([0, 1] * 10 + [2])
    held_out = np.zeros(21, dtype=bool)
    held_out[[0, 1, 20]] = True
    points = truth[:, None].astype(np.float32)
    probabilities = predict_fold(points, truth, held_out, 3)
    assert probabilities.shape == (3, 3)
    assert (probabilities[:, 2] == 0).all()
    assert probabilities.sum(axis=1) == pytest.approx(1)


def with_planted_errors(spread: float) -> tuple[SplitPredictions, np.ndarray, set[str]]:
    """Out-of-fold predictions for 600 points of which 30 have the next class as their label.

    Returns:
        Predictions for the given labels, the true classes, and the ids of the wrong labels.
    """
    random = np.random.default_rng(1)
    truth = np.arange(600) % 3
    points = (np.eye(3)[truth] * 4 + random.normal(0, spread, (600, 3))).astype(np.float32)
    given = truth.copy()
    planted = random.choice(600, 30, replace=False)
    given[planted] = (given[planted] + 1) % 3
    fold = fold_of_each(given, np.full(600, -1), 5)
    probabilities = np.zeros((600, 3))
    for number in range(5):
        probabilities[fold == number] = predict_fold(points, given, fold == number, 3)
    ids = np.array([str(n) for n in range(600)], dtype=object)
    predictions = SplitPredictions(LABELS, ids, given, probabilities)
    assert (predictions.predicted == truth).all()  # wrong labels do not mislead the classifier
    return predictions, truth, set(ids[planted])


def suspects(predictions: SplitPredictions) -> set[str]:
    split = np.full(len(predictions), "train", dtype=object)
    return set(issues_of(predictions, split).suspects)


def test_all_planted_errors_are_found_if_classes_are_tight_and_nothing_else():
    predictions, _, planted = with_planted_errors(spread=0.05)
    assert suspects(predictions) == planted


def test_in_overlapping_classes_only_errors_with_an_unusually_unsure_prediction_are_missed():
    """Confident learning must find a label if another class is as sure as its images usually are.

    So what it may miss has a lower probability of the true class than images of that class have on
    average.
    """
    predictions, truth, planted = with_planted_errors(spread=0.7)
    probabilities, given = predictions.probabilities, predictions.truth
    usual = np.array([probabilities[given == label, label].mean() for label in range(3)])
    sure = probabilities[np.arange(600), truth] >= usual[truth]
    must = planted & set(predictions.ids[sure])
    assert 0 < len(must) < len(planted)
    assert must <= suspects(predictions) <= planted


def test_the_job_writes_what_it_found_and_continues(benchmark_copy, toy, network, seen):
    result = job.check_train_labels(benchmark_copy, toy.dataset, network, folds=4)
    assert result.images == 140
    assert result.accuracy > 0.95  # each class is a bright square at its own place
    stored = TrainLabelIssues.read(benchmark_copy.train_labels_path)
    assert stored == result
    pd.testing.assert_frame_equal(stored.table, result.table, check_dtype=False)
    assert seen == [140]
    (kept,) = benchmark_copy.cache_dir.glob("labels-*")
    (kept / "fold-2.npy").unlink()
    assert job.check_train_labels(benchmark_copy, toy.dataset, network, folds=4) == result
    assert seen == [140]  # features are not computed again


def test_another_split_is_refused(benchmark_copy, toy, network):
    info = benchmark_copy.info().model_copy(update={"split_hash": "other"})
    info.write(benchmark_copy.info_path)
    with pytest.raises(DataError, match="has split other"):
        job.check_train_labels(benchmark_copy, toy.dataset, network)


def test_features_of_a_run_that_saw_the_labels_say_so(toy):
    run = toy.benchmark.run("efficientnet_lite0-cpu-s0")
    network = job.run_network(run, toy.dataset)
    assert network.saw_labels
    pooled = features.pooled_features(
        network.model, network.spec, network.preprocessing, np.asarray(toy.dataset.images[:3])
    )
    assert pooled.shape[0] == 3
    assert pooled.ndim == 2
    assert np.isfinite(pooled).all()


def strangers(dataset):
    """The dataset, as if its pictures were others."""
    samples = dataset.samples.assign(source="other", sha1="other")
    return replace(dataset, samples=samples, info=dataset.info.model_copy(update={"name": "new"}))


def test_a_run_of_another_benchmark_saw_the_same_images_there(toy, tmp_path):
    other = toy_benchmark(tmp_path, runs=0, name="other")
    run = toy.benchmark.run("efficientnet_lite0-cpu-s0")
    assert job.run_network(run, other.dataset).saw_labels
    assert not job.run_network(run, strangers(other.dataset)).saw_labels


def test_the_training_images_of_an_imported_network_may_be_these(benchmark_copy, toy):
    run = benchmark_copy.run("efficientnet_lite0-cpu-s0")
    run.info().model_copy(update={"init": ELSEWHERE}).write(run.info_path)
    assert job.run_network(run, strangers(toy.dataset)).saw_labels


def test_a_table_without_facts_is_refused(tmp_path):
    path = tmp_path / "train_labels.parquet"
    write_table(path, pd.DataFrame({name: ["x"] for name in ISSUE_COLUMNS}))
    with pytest.raises(ArtifactError, match="check-labels` again"):
        TrainLabelIssues.read(path)
