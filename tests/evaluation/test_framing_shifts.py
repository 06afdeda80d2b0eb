"""Tables of framing shifts, by hand."""

import pandas as pd
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.framing_shifts import (
    COLUMNS,
    framing_row,
    read_framing,
    summarise_framing,
)
from fer_core.evaluation.leaderboard_columns import framing_values
from fer_core.evaluation.scope import LEAK_FREE, TEST, VALIDATION, Scope
from fer_core.tables import write_table
from tests.support.constructed import make_scores
from tests.support.framing import framing_table


def test_a_split_is_summarised():
    result = summarise_framing(framing_table(), "test")
    assert (result.unchanged, result.images) == (0.9, 10)
    assert result.shifted == pytest.approx((0.88 + 0.85 + 0.7 + 0.8 + 0.6) / 5)
    assert result.drop == pytest.approx(0.05)
    assert framing_values(result) == {
        "framing_accuracy": pytest.approx(0.766),
        "framing_drop": pytest.approx(0.05),
    }
    assert summarise_framing(framing_table(), "validation").unchanged == 0.8


def test_missing_framing_shifts_give_missing_values():
    table = framing_table()
    only_test = table[table["split"] == "test"]
    assert summarise_framing(only_test, "validation") is None
    assert summarise_framing(only_test[only_test["change"] == "none"], "test") is None
    rotated = only_test[only_test["change"] != "margin"]
    assert framing_values(summarise_framing(rotated, "test")) == {
        "framing_accuracy": pytest.approx(0.7)
    }


def test_a_row_has_the_metrics_of_the_changed_images():
    scores = make_scores([0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    row = framing_row("margin", 0.1, "test", scores, seed=3)
    assert tuple(row) == COLUMNS
    assert (row["split"], row["change"], row["amount"]) == ("test", "margin", 0.1)
    assert row["accuracy"] == pytest.approx(2 / 3)
    assert (row["schema_version"], row["images"], row["seed"]) == (1, 3, 3)


def test_tables_are_checked_when_read(tmp_path):
    path = tmp_path / "framing.parquet"
    whole = framing_table()
    write_table(path, whole)
    pd.testing.assert_frame_equal(read_framing(path), whole)
    write_table(path, whole.assign(schema_version=2))
    with pytest.raises(ArtifactError, match="newer FERscope"):
        read_framing(path)
    write_table(path, whole.drop(columns="macro_recall"))
    with pytest.raises(ArtifactError, match="macro_recall"):
        read_framing(path)
    for damaged in (
        whole[whole["change"] != "none"],
        pd.concat([whole, whole.head(1)]),
        pd.concat([whole, whole.tail(1)]),
        pd.concat([whole.iloc[:-1], whole.tail(1).assign(samples_hash="other")]),
    ):
        write_table(path, damaged)
        with pytest.raises(ArtifactError, match="exactly one measurement"):
            read_framing(path)


def test_framing_values_need_a_whole_split():
    assert Scope(TEST).framing_split == "test"
    assert Scope(VALIDATION).framing_split == "validation"
    assert Scope(LEAK_FREE).framing_split is None
    assert Scope(TEST, ("happy", "sad")).framing_split is None
