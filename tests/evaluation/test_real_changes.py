"""Changes of real pictures, and whether drawn faces agree with them."""

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.real_changes import (
    change_row,
    compare_with_real,
    read_real_changes,
)
from fer_core.labels import LabelSet
from fer_core.tables import write_table

LABELS = LabelSet(("angry", "happy"))


def table(**flips):
    rows = [{"change": change, "images": 10, "flips": count} for change, count in flips.items()]
    return pd.DataFrame(rows).assign(schema_version=1, run_created="today", samples_hash="x")


def test_a_row_counts_changed_answers_and_shifts():
    before = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    after = np.array([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9]])
    row = change_row("blur", before, after, LABELS)
    assert (row["change"], row["images"], row["flips"]) == ("blur", 3, 1)
    assert row["shift_angry"] == pytest.approx(-0.4 / 3)
    assert row["shift_happy"] == pytest.approx(0.4 / 3)


def test_runs_that_are_ordered_alike_correlate_fully():
    drawn = {f"r{n}": {"blur": n / 10, "mirror": 0.1} for n in range(4)}
    real = {f"r{n}": table(blur=2 * n, mirror=1) for n in range(4)}
    result = compare_with_real(drawn, real)
    assert result is not None
    assert result.by_change["blur"] == pytest.approx(1.0)
    assert np.isnan(result.by_change["mirror"])
    assert list(result.points) == ["run", "change", "drawn", "real"]
    assert len(result.points) == 8
    # ranks 1, 7, 8 and five times 4 against 1, 6, 7, 8 and four times 3.5
    assert result.overall == pytest.approx(np.sqrt(32 / 37))
    assert result.images == 10


def test_two_different_shares_are_enough_for_a_correlation():
    drawn = {f"r{n}": {"blur": n // 2 / 10} for n in range(4)}
    real = {f"r{n}": table(blur=n) for n in range(4)}
    # ranks 1.5, 1.5, 3.5, 3.5 against 1 to 4
    assert compare_with_real(drawn, real).overall == pytest.approx(4 / np.sqrt(20))


def test_few_runs_have_no_correlation():
    result = compare_with_real({"a": {"blur": 0.1}}, {"a": table(blur=1)})
    assert result is not None
    assert (dict(result.by_change), result.overall) == ({}, None)
    assert compare_with_real({"a": {}}, {"a": table(blur=1)}) is None
    assert compare_with_real({}, {"a": table(blur=1)}) is None


def test_damaged_and_newer_tables_are_refused(tmp_path):
    path = tmp_path / "real_changes.parquet"
    write_table(path, table(blur=1))
    assert read_real_changes(path)["flips"].tolist() == [1]
    write_table(path, table(blur=1).drop(columns="flips"))
    with pytest.raises(ArtifactError, match="flips"):
        read_real_changes(path)
    write_table(path, table(blur=1).assign(schema_version=2))
    with pytest.raises(ArtifactError, match="newer FERscope"):
        read_real_changes(path)
    write_table(path, pd.concat([table(blur=1)] * 2))
    with pytest.raises(ArtifactError, match="exactly one measurement"):
        read_real_changes(path)
