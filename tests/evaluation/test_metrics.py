"""Metrics: hand-worked cases, scikit-learn as a second opinion, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from fer_core.evaluation import metrics
from fer_core.evaluation.columns import _CHUNK

MATRIX = np.array([[3, 1, 0], [0, 2, 2], [0, 0, 0]])


def test_metrics_by_hand():
    assert metrics.accuracy(MATRIX) == pytest.approx(5 / 8)
    np.testing.assert_allclose(metrics.recall(MATRIX), [0.75, 0.5, np.nan])
    np.testing.assert_allclose(metrics.precision(MATRIX), [1.0, 2 / 3, 0.0])
    np.testing.assert_allclose(metrics.f1(MATRIX), [6 / 7, 4 / 7, np.nan])
    assert metrics.macro_recall(MATRIX) == pytest.approx(0.625)


def test_standardised_accuracy_by_hand():
    # recalls 0.75 and 0.5: with frequencies of 1 to 3, (0.75 + 3 x 0.5) / 4
    assert metrics.standardised_accuracy(MATRIX, np.array([10, 30, 0])) == pytest.approx(0.5625)
    assert np.isnan(metrics.standardised_accuracy(MATRIX, np.array([1, 1, 1])))  # no third class
    own = MATRIX.sum(axis=1)
    assert metrics.standardised_accuracy(MATRIX, own) == pytest.approx(metrics.accuracy(MATRIX))


def test_metrics_of_no_samples_are_nan():
    empty = np.zeros((3, 3), dtype=np.int64)
    assert np.isnan(metrics.accuracy(empty))
    assert np.isnan(metrics.macro_recall(empty))


def test_log_loss_by_hand():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    expected = (np.log(2) + np.log(4)) / 2
    assert metrics.log_loss(np.array([0, 0]), probabilities) == pytest.approx(expected)


def test_ece_by_hand():
    # two samples at .9 (one right: gap .4), two at .6 (both right: gap .4)
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    truth = np.array([0, 1, 0, 0])
    assert metrics.ece(truth, probabilities, bins=10) == pytest.approx(0.4)


def test_a_bin_ends_with_its_upper_edge():
    # .5 belongs to the bin (0, .5], 1 to (.5, 1]: each bin's gap counts on its own
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0]])
    error = metrics.ece(np.array([0, 1]), probabilities, bins=2)
    assert error == pytest.approx((0.5 + 1.0) / 2)


def test_log_loss_and_ece_add_up_over_chunks():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(3), 2 * _CHUNK + 5)
    truth = random.integers(0, 3, len(probabilities))
    of_truth = probabilities[np.arange(len(truth)), truth]
    assert metrics.log_loss(truth, probabilities) == pytest.approx(-np.log(of_truth).mean())
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    gaps = [
        abs((right - confidence)[(low < confidence) & (confidence <= low + 0.1)].sum())
        for low in np.arange(10) / 10
    ]
    assert metrics.confidence_ece(confidence, right, 10) == pytest.approx(sum(gaps) / len(truth))


cases = st.integers(2, 6).flatmap(
    lambda k: st.tuples(
        st.just(k),
        st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=40),
    )
)


@given(cases)
def test_metrics_agree_with_scikit_learn(case):
    classes, pairs = case
    truth, predicted = np.array(pairs).T
    matrix = metrics.confusion_matrix(truth, predicted, classes)
    labels = np.arange(classes)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(truth, predicted, labels=labels))
    assert matrix.sum() == len(pairs)
    assert metrics.accuracy(matrix) == pytest.approx(sk.accuracy_score(truth, predicted))
    present = np.unique(truth)
    expected = sk.recall_score(truth, predicted, labels=present, average="macro", zero_division=0)
    assert metrics.macro_recall(matrix) == pytest.approx(expected)


@given(cases, st.randoms())
def test_renaming_classes_permutes_the_matrix(case, random):
    classes, pairs = case
    truth, predicted = np.array(pairs).T
    order = list(range(classes))
    random.shuffle(order)
    new = np.array(order)
    matrix = metrics.confusion_matrix(truth, predicted, classes)
    renamed = metrics.confusion_matrix(new[truth], new[predicted], classes)
    np.testing.assert_array_equal(renamed[np.ix_(new, new)], matrix)
    assert metrics.macro_recall(renamed) == pytest.approx(metrics.macro_recall(matrix))


def test_f1_of_a_class_with_one_sample_is_a_number():
    np.testing.assert_allclose(metrics.f1(np.array([[1, 0], [0, 3]])), [1, 1])


def test_log_loss_of_probability_zero_is_finite():
    loss = metrics.log_loss(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert loss == pytest.approx(-np.log(1e-12) / 2)
