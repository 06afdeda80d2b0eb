"""The comparison of a benchmark with a transferred set, on small sets."""

import json
from math import sqrt

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_core.evaluation import shift_build
from fer_core.evaluation.accuracy_estimates import Estimator
from fer_core.evaluation.calibration import fit_temperature, scale_predictions
from fer_core.evaluation.estimate_trust import margin_of
from fer_core.evaluation.metrics import ece
from fer_core.evaluation.predictions import Predictions, SplitPredictions, read_predictions
from fer_core.evaluation.shift import ClassShare, OrderOfRuns, ShiftReport
from fer_core.evaluation.shift_build import (
    TransferredRun,
    build_shift,
    ece_by_chance,
    order_of_runs,
    read_runs,
)
from fer_core.figures.transfers import class_shares
from fer_core.labels import LabelSet
from fer_core.tables import write_table
from tests.support.builders import toy_benchmark
from tests.support.constructed import make_scores
from tests.support.run_infos import run_info
from tests.support.transfers import toy_transfer

LABELS = LabelSet.of(["happy", "sad"])


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A toy benchmark whose estimates were checked on one set, without an error."""
    toy = toy_benchmark(tmp_path_factory.mktemp("checked"))
    row = {
        "set": "slice", "kind": "slice", "run_id": "net", "validation": 0.85, "samples": 1600,
        "accuracy": 0.85, "outside": 0.01, "moved": 0.1, **dict.fromkeys(map(str, Estimator), 0.85),
    }  # fmt: skip
    pd.DataFrame([row]).to_parquet(toy.benchmark.estimate_checks_path)
    return toy


def test_the_margin_counts_the_images_of_validation(checked):
    benchmark = toy_transfer(checked, "margin")
    report = build_shift(benchmark)
    images = {len(run.validation) for run in read_runs(benchmark).values()}
    estimates = [run.estimate for run in report.runs]
    assert report.margin == margin_of(estimates, report.faces, 0.0, *images)
    assert report.error.sets == 1


def test_labels_that_contradict_the_estimate_are_a_reason_against_it(checked, monkeypatch):
    monkeypatch.setattr(shift_build, "margin_of", lambda *_: 0.01)
    report = build_shift(toy_transfer(checked, "refuted"))  # its runs predict at random
    assert not report.trusted
    assert report.reasons[0].startswith("The labels contradict the estimate: ")


def predictions(right):
    """Returns predictions of happy faces; each is right or not."""
    share = np.where(right, 0.9, 0.1)
    ids = np.array([f"{index}" for index in range(len(right))], dtype=object)
    truth = np.zeros(len(right), dtype=np.int64)
    return SplitPredictions(LABELS, ids, truth, np.column_stack([share, 1 - share]))


def runs_of(known, transferred):
    """Returns runs with these results on the benchmark's test images and on the set."""
    return [
        TransferredRun(None, predictions(known[0]), predictions(first), predictions(second))
        for first, second in zip(known, transferred, strict=True)
    ]


def drawn(accuracies, images, seed):
    random = np.random.default_rng(seed)
    return random.random((len(accuracies), images)) < np.array(accuracies)[:, None]


def test_an_order_that_did_not_change_is_not_called_changed():
    """The accuracies are 1.5 points apart, so that 200 faces change the order by chance."""
    accuracies = 0.75 + 0.015 * np.arange(8)
    orders = [
        order_of_runs(runs_of(drawn(accuracies, 3000, 2 * seed), drawn(accuracies, 200, seed)))
        for seed in range(40)
    ]
    assert all(-1 < order.expected < 0.6 for order in orders)
    assert np.mean([order.tau < 1 for order in orders]) > 0.9
    assert np.mean([order.tau < order.expected for order in orders]) <= 0.1


def test_a_reversed_order_is_more_than_chance():
    accuracies = 0.6 + 0.05 * np.arange(6)
    runs = runs_of(drawn(accuracies, 2000, 0), drawn(accuracies[::-1], 500, 1))
    order = order_of_runs(runs)
    assert order.tau < 0 < order.expected
    assert order.text.endswith("the order changed more than chance explains.")
    assert order_of_runs(runs[:2]) is None


def test_the_order_of_older_files_is_read_and_shown_without_its_interval():
    order = OrderOfRuns.model_validate({"tau": 0.6, "low": 0.1, "high": 0.7, "runs": 5})
    assert order.text == (
        "Order of the 5 models against the benchmark's: Kendall's tau 0.60 (1 is the same order, 0 "
        "none in common)."
    )


def test_the_ece_of_few_images_is_large_by_chance():
    """90% confidence and 90% accuracy: the ECE of n images is the error of their accuracy."""
    test = predictions(np.arange(2000) % 10 > 0)
    assert ece(test.truth, test.probabilities) == pytest.approx(0, abs=1e-9)
    quantile = stats.norm.ppf(0.975) * sqrt(0.09 / 50)
    assert ece_by_chance(test, 50) == pytest.approx(quantile, abs=0.02)
    assert ece_by_chance(test, 5000) == pytest.approx(quantile / 10, abs=0.002)


def test_a_labelled_set_has_the_ece_of_as_many_images_of_the_benchmark(checked):
    labelled = build_shift(toy_transfer(checked, "ece", labelled=0.7))
    assert all(run.ece_by_chance >= 0 for run in labelled.runs)
    bare = build_shift(toy_transfer(checked, "bare", labelled=0.0))
    assert {run.ece_by_chance for run in bare.runs} == {None}


def answers(truth, predicted, confidence):
    """Returns predictions of two classes with these answers."""
    share = np.where(np.eye(2)[predicted] == 1, np.array(confidence)[:, None], 0)
    return make_scores(truth, share + (share == 0) * (1 - share.sum(axis=1, keepdims=True)))


def networks(test, transferred, count=3):
    """Returns networks that answer alike."""
    return {
        name: TransferredRun(run_info(name, "2026-01-01"), transferred, test, transferred)
        for name in "abc"[:count]
    }


def test_labels_that_all_networks_contradict_are_counted_beyond_the_benchmarks():
    truth, sure = np.zeros(100, dtype=np.int64), np.full(100, 0.9)
    test = answers(truth, (np.arange(100) < 10).astype(int), sure)
    # 40 labels are contradicted, ten of them by predictions that are not sure
    unsure = np.where(np.arange(100) < 10, 0.7, 0.9)
    mine = answers(truth, (np.arange(100) < 40).astype(int), unsure)
    assert shift_build._conflicts(networks(test, mine)) == pytest.approx(0.3 - 0.1)
    assert shift_build._conflicts(networks(mine, test)) == 0
    assert shift_build._conflicts(networks(test, mine, count=2)) is None


def test_labels_are_not_doubted_where_the_predictions_moved():
    truth = np.zeros(100, dtype=np.int64)
    test = answers(truth, truth, np.full(100, 0.9))
    for moved, conflicts in ((14, 0.14), (16, None)):
        mine = answers(truth, (np.arange(100) < moved).astype(int), np.full(100, 0.9))
        runs = {
            name: TransferredRun(run_info(name, "2026-01-01"), test, test, mine) for name in "abc"
        }
        assert shift_build._conflicts(runs) == conflicts


def test_the_accuracy_at_the_benchmarks_class_shares_by_hand():
    """Half of the first class is right and all of the second; three of four images are first."""
    mine = answers([0, 0, 1, 1], [0, 1, 1, 1], [0.9] * 4)
    test = answers([0, 0, 0, 1], [0, 0, 0, 1], [0.9] * 4)
    assert shift_build._reweighted(mine, test) == pytest.approx(0.75 * 0.5 + 0.25 * 1)
    # without a face of the second class the first one counts alone
    assert shift_build._reweighted(mine.select(np.arange(4) < 2), test) == 0.5


def test_values_beyond_98_percent_of_the_benchmarks_are_outside():
    values = np.array([0.5, 1.0, 3.0, 50.0, 99.0, 99.5])
    row = shift_build._comparison(("width", "size", "px"), np.arange(101.0), values)
    assert row.outside == pytest.approx(2 / 6)
    assert row.benchmark == (5, 25, 50, 75, 95)
    assert row.transferred[2] == 26.5
    assert row.faces == 6


def test_all_predictions_are_calibrated_by_the_temperature_of_validation(checked):
    benchmark = toy_transfer(checked, "calibrated")
    run = read_runs(benchmark)["efficientnet_lite0-cpu-s0"]
    directory = benchmark.run(run.info.run_id)
    original = Predictions.read(directory.origin.predictions_path, run.everything.labels)
    stored = read_predictions(directory, run.everything.labels, unlabelled=True)
    temperature = fit_temperature(stored.split("validation"))
    assert temperature != pytest.approx(1, abs=0.01)
    for part, plain in (
        (run.validation, stored.split("validation")),
        (run.benchmark_test, original.split("test")),
        (run.everything, stored.split("test")),
    ):
        expected = scale_predictions(plain, temperature)
        np.testing.assert_allclose(part.probabilities, expected.probabilities)


def test_a_run_of_other_faces_is_left_out(checked):
    benchmark = toy_transfer(checked, "changed")
    assert len(read_runs(benchmark)) == len(benchmark.runs()) > 0
    write_table(benchmark.samples_path, benchmark.samples().iloc[::-1].reset_index(drop=True))
    assert read_runs(benchmark) == {}


def test_shares_by_em_have_no_interval_and_older_ones_are_read_without_it(checked):
    rows = build_shift(toy_transfer(checked, "shares")).classes
    assert sum(row.em for row in rows) == pytest.approx(1)
    older = {**rows[0].model_dump(mode="json"), "em": [0.3, 0.2, 0.4]}
    assert ClassShare.model_validate(older).em == 0.3
    assert ClassShare.model_validate_json(rows[0].model_dump_json()) == rows[0]
    figure = class_shares(rows)
    assert [trace.name for trace in figure.data if trace.error_y.array is not None] == [
        "estimated (BBSE)"
    ]


def test_files_of_earlier_versions_are_read(checked, tmp_path):
    report = build_shift(toy_transfer(checked, "older"))
    older = report.model_dump(mode="json")
    older["ranking"] = {"tau": 0.6, "low": 0.1, "high": 0.7, "runs": 4}
    del older["error"]["sets"]
    for row in older["runs"]:
        del row["ece_by_chance"]
    for row in older["classes"]:
        row["em"] = [row["em"], 0.0, 1.0]
    path = tmp_path / "shift.json"
    path.write_text(json.dumps(older))
    read = ShiftReport.read(path)
    assert read.classes == report.classes
    assert read.ranking.expected is None
    assert {run.ece_by_chance for run in read.runs} == {None}
