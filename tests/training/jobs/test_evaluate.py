"""Predictions of a prepared data set's rows."""

import numpy as np

from training.jobs.evaluate import predictions_of_rows


def test_rows_are_predicted_with_their_ids_and_classes(toy):
    rows = toy.dataset.rows("test")[[4, 1]]
    probabilities = np.full((2, 7), 1 / 7)
    result = predictions_of_rows(toy.dataset, rows, probabilities)
    samples = toy.dataset.samples.iloc[rows]
    assert list(result.ids) == list(samples["id"])
    assert [toy.dataset.labels.names[index] for index in result.truth] == list(samples["label"])
    np.testing.assert_array_equal(result.probabilities, probabilities)
