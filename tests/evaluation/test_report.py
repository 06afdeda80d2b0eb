"""Bootstrap and report."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_core.errors import ArtifactError
from fer_core.evaluation import metrics
from fer_core.evaluation.intervals import Bootstrap
from fer_core.evaluation.person_accuracy import share_of
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.evaluation.report import Estimate, Protocol, Report, build_report, split_metrics
from fer_core.labels import LabelSet

LABELS = LabelSet.of(["angry", "happy"])
PROTOCOL = Protocol(
    label_source="label",
    split_hash="abc",
    test_samples=4,
    init="scratch",
    seed=0,
    image_size=32,
    preprocessing_hash="p",
)


def scores(truth, predicted, prefix="s") -> SplitPredictions:
    probabilities = np.where(np.eye(2)[predicted] == 1, 0.8, 0.2)
    ids = np.array([f"{prefix}/{i}" for i in range(len(truth))], dtype=object)
    return SplitPredictions(LABELS, ids, np.array(truth), probabilities)


def test_bootstrap_interval_of_accuracy_is_binomial():
    matrix = np.array([[400, 100], [60, 440]])
    low, high = Bootstrap.of(matrix, resamples=20_000).accuracy()
    expected = stats.binom(1000, 0.84).ppf([0.025, 0.975]) / 1000
    assert (low, high) == pytest.approx(tuple(expected), abs=0.002)


def test_intervals_are_those_of_resampled_images():
    """The reference draws images, as the multinomial over the confusion matrix must."""
    random = np.random.default_rng(0)
    truth = random.choice(3, 600, p=[0.7, 0.25, 0.05])
    predicted = np.where(random.random(600) < 0.75, truth, random.integers(0, 3, 600))
    statistics = []
    for _ in range(4000):
        drawn = random.integers(0, 600, 600)
        right = predicted[drawn] == truth[drawn]
        recalls = [right[truth[drawn] == label].mean() for label in range(3)]
        statistics.append((right.mean(), np.mean(recalls)))
    expected = np.percentile(statistics, [2.5, 97.5], axis=0)
    bootstrap = Bootstrap.of(metrics.confusion_matrix(truth, predicted, 3), resamples=4000)
    # the Monte-Carlo error of a 2.5% quantile is sqrt(.025 * .975 / 4000) / density(quantile)
    deviations = np.std(statistics, axis=0)
    error = np.sqrt(0.025 * 0.975 / 4000) / stats.norm.pdf(1.96) * deviations
    for column, ends in enumerate((bootstrap.accuracy(), bootstrap.macro_recall())):
        assert np.all(np.abs(np.array(ends) - expected[:, column]) < 4 * np.sqrt(2) * error[column])


def test_the_interval_of_a_perfect_model_is_a_point():
    bootstrap = Bootstrap.of(np.diag([5, 7]))
    assert bootstrap.accuracy() == (1.0, 1.0)
    assert bootstrap.macro_recall() == (1.0, 1.0)


def test_an_interval_of_resamples_ignores_those_without_a_value():
    resampled = np.append(np.arange(201.0), np.nan)
    estimate = Estimate.of_resamples(100, resampled)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((100, 5, 195))


def test_a_class_missing_in_a_resample_is_left_out_of_the_mean():
    bootstrap = Bootstrap(np.array([[[2, 0], [0, 0]], [[1, 0], [1, 0]]]))
    np.testing.assert_array_equal(np.nanmean(bootstrap.recalls(), axis=1), [1.0, 0.5])


def test_a_class_without_errors_has_wilsons_interval():
    truth = [0] * 12 + [1] * 4
    result = split_metrics(scores(truth, [1] * 12 + [1] * 4)).classes
    expected = stats.binomtest(0, 12).proportion_ci(method="wilson")
    assert (result[0].recall.value, result[0].recall.low) == (0.0, 0.0)
    assert result[0].recall.high == pytest.approx(expected.high)
    assert result[1].recall.low == pytest.approx(
        1 - stats.binomtest(0, 4).proportion_ci(method="wilson").high
    )
    assert (result[1].recall.value, result[1].recall.high) == (1.0, 1.0)


def test_persons_with_several_images_are_resampled():
    """20 persons with 5 images of each class; half of the persons are always right."""
    truth, of = np.tile(np.repeat([0, 1], 5), 20), np.repeat(np.arange(20).astype(str), 10)
    right = np.repeat(np.arange(20) % 2 == 0, 10)
    part = scores(truth, np.where(right, truth, 1 - truth))
    images, persons = split_metrics(part), split_metrics(part, of.astype(object))
    expected = share_of(right, of.astype(object))
    assert persons.accuracy == expected
    # a person is right on all images of both classes or on none, so both metrics are equal
    assert persons.macro_recall == expected
    # the standard error of 20 persons is 11.2 points
    assert expected.high - expected.low == pytest.approx(2 * 1.96 * 0.112, abs=0.05)
    assert persons.classes == images.classes
    everyone_once = np.arange(200).astype(str).astype(object)
    assert split_metrics(part, everyone_once) == images


def test_few_persons_never_narrow_the_intervals():
    truth, of = np.tile([0, 0, 1, 1], 10), np.repeat(["a", "b"], 20).astype(object)
    part = scores(truth, np.tile([0, 1, 0, 1], 10))  # both persons have the same recalls
    images, persons = split_metrics(part), split_metrics(part, of)
    assert persons.macro_recall == images.macro_recall
    assert persons.accuracy == Estimate.of_share(20, 40)


def test_a_fully_leaked_test_set_has_no_leak_free_metrics():
    test = scores([0, 1], [0, 1])
    predictions = Predictions({"validation": scores([0, 1], [0, 1], "v"), "test": test})
    samples = pd.DataFrame({"id": test.ids, "leak": True})
    assert build_report("run", predictions, samples, PROTOCOL).test_leak_free is None


def test_the_report_resamples_the_persons_of_the_samples():
    test = scores([0, 1] * 10, [0, 1] * 5 + [1, 0] * 5)
    predictions = Predictions({"validation": scores([0, 1], [0, 1], "v"), "test": test})
    samples = pd.DataFrame({"id": test.ids, "leak": False, "group": ["a"] * 10 + ["b"] * 10})
    report = build_report("run", predictions, samples, PROTOCOL)
    assert (report.test.accuracy.low, report.test.accuracy.high) == (0, 1)
    assert report.test_leak_free == report.test != split_metrics(test)


def test_the_report_has_full_and_leak_free_metrics():
    test = scores([0, 0, 1, 1], [0, 1, 1, 1])
    predictions = Predictions({"validation": scores([0, 1], [0, 1], "v"), "test": test})
    samples = pd.DataFrame(
        {"id": ["s/0", "s/1", "s/2", "s/3"], "leak": [False, True, False, False]}
    )
    report = build_report("run", predictions, samples, PROTOCOL)
    assert report.test.accuracy.value == 0.75
    assert report.test.samples == 4
    assert report.test_leak_free.accuracy.value == 1.0
    assert report.test_leak_free.samples == 3
    assert report.test.classes[0].recall.value == 0.5
    assert report.test.classes[1].precision == pytest.approx(2 / 3)
    np.testing.assert_array_equal(report.test.matrix, [[1, 1], [0, 2]])


def test_a_report_survives_a_round_trip(tmp_path):
    predictions = Predictions({"validation": scores([0, 1], [0, 1]), "test": scores([0], [1])})
    samples = pd.DataFrame({"id": ["s/0"], "leak": [False]})
    report = build_report("run", predictions, samples, PROTOCOL)
    assert report.test.classes[1].recall is None
    report.write(tmp_path / "report.json")
    assert Report.read(tmp_path / "report.json") == report


def test_an_inconsistent_report_is_refused(tmp_path):
    one = split_metrics(scores([0, 1], [0, 1]))
    report = Report(
        run_id="r", labels=LABELS.names, protocol=PROTOCOL, validation=one, test=one,
        test_leak_free=one,
    )  # fmt: skip
    path = tmp_path / "report.json"
    report.write(path)
    path.write_text(path.read_text().replace('"samples": 2', '"samples": 3', 1))
    with pytest.raises(ArtifactError, match="does not add up"):
        Report.read(path)
