"""Robustness tables and their summaries, by hand."""

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.robustness import (
    mean_accuracies,
    read_robustness,
    robustness_row,
    same_images,
    summarise,
)
from fer_core.tables import write_table
from tests.support.constructed import make_scores, robustness_table


def test_mce_by_hand():
    result = summarise(
        robustness_table(0.9, (0.8, 0.6), (0.7, 0.5)), robustness_table(0.8, (0.6, 0.4), (0.6, 0.2))
    )
    assert result.clean == 0.9
    assert result.corrupted == pytest.approx(0.65)
    assert result.retained == pytest.approx(0.65 / 0.9)
    assert result.worst == ("noise", pytest.approx(0.6))
    # blur errs .2 and .4, its baseline .4 and .6; noise .3 and .5 to .4 and .8
    assert result.mce == pytest.approx((0.6 + 0.8 / 1.2) / 2)
    # beyond clean, blur errs .1 and .3 to .2 and .4; noise .2 and .4 to .2 and .6
    assert result.relative_mce == pytest.approx((0.4 / 0.6 + 0.6 / 0.8) / 2)


def test_the_baseline_has_an_mce_of_one():
    one = robustness_table(0.9, (0.8, 0.6), (0.7, 0.5))
    result = summarise(one, one)
    assert result.mce == pytest.approx(1)
    assert result.relative_mce == pytest.approx(1)


def test_a_baseline_of_other_images_is_not_used():
    first, second = (
        robustness_table(0.9, (0.8, 0.6), (0.7, 0.5)),
        robustness_table(0.9, (0.8, 0.6), (0.7, 0.5), seed=1),
    )
    assert not same_images(first, second)
    assert summarise(first, second).mce is None


def test_robustness_rows_have_metrics_and_sample_hash():
    scores = make_scores([0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    result = robustness_row("blur", 2, scores, seed=3)
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert result["macro_recall"] == pytest.approx(0.75)
    assert result["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.8]).mean())
    others = make_scores([0, 1, 1], scores.probabilities, prefix="other")
    assert robustness_row("blur", 2, others, seed=3)["samples_hash"] != result["samples_hash"]


def test_tables_are_checked_when_read(tmp_path):
    path = tmp_path / "robustness.parquet"
    whole = robustness_table(0.9, (0.8, 0.6), (0.7, 0.5))
    write_table(path, whole)
    assert mean_accuracies({"a": read_robustness(path)})["a"].to_dict() == pytest.approx(
        {"blur": 0.7, "noise": 0.6}
    )
    write_table(path, whole[whole["corruption"] != "clean"])
    with pytest.raises(ArtifactError, match="not hold exactly one measurement"):
        read_robustness(path)
    write_table(path, pd.concat([whole, robustness_table(0.9, (1, 1), (1, 1), seed=1).tail(1)]))
    with pytest.raises(ArtifactError, match="not hold exactly one measurement"):
        read_robustness(path)
