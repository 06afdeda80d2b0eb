"""Largest columns: numpy as a second opinion."""

import numpy as np
import pytest

from fer_core.evaluation.columns import best_column, chunks


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rows", [0, 1, 70_000])
def test_the_best_column_is_that_of_numpy(rows, order):
    # few different values, so that ties are frequent
    values = np.asarray(np.random.default_rng(0).integers(0, 4, (rows, 5)) / 4, order=order)
    index, best = best_column(values)
    np.testing.assert_array_equal(index, values.argmax(axis=1))
    np.testing.assert_array_equal(best, values.max(axis=1))


def test_chunks_cover_each_row_once():
    rows = np.concatenate([np.arange(70_000)[part] for part in chunks(70_000)])
    np.testing.assert_array_equal(rows, np.arange(70_000))
