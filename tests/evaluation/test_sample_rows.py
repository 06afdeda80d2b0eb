"""Positions of samples: equal to pandas' lookup, whatever the order of the ids."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.evaluation.sample_rows import sample_rows

NAMES = [f"set/{number:03d}" for number in range(12)]
IDS = st.lists(st.sampled_from([*NAMES, "set/unknown"]), max_size=15)


@given(st.lists(st.sampled_from(NAMES), unique=True), IDS)
def test_positions_are_those_of_pandas(names, ids):
    index = pd.Index(names, dtype="str")
    ids = np.array(ids, dtype=object)
    expected = index.get_indexer(pd.Index(ids, dtype=object))
    np.testing.assert_array_equal(sample_rows(index, ids), expected)


@pytest.mark.parametrize("start", [0, 3, 9])
def test_a_run_of_the_index_is_not_hashed(monkeypatch, start):
    index = pd.Index(NAMES, dtype="str")
    monkeypatch.setattr(pd.Index, "get_indexer", None)
    rows = sample_rows(index, np.array(NAMES[start : start + 3], dtype=object))
    assert rows.tolist() == list(range(start, start + 3))
