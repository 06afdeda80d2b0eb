"""Runs under given and corrected test labels, worked by hand."""

import pandas as pd
import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.errors import ArtifactError
from fer_core.evaluation.corrected_labels import compare_labels, find_base, find_corrected
from fer_core.figures.tables import label_comparison_table
from fer_core.records import Corrections
from fer_core.tables import write_table


@pytest.fixture
def corrected(benchmark_copy):
    """The toy benchmark with one test label changed and one test image removed; it has no runs."""
    base = benchmark_copy
    samples = base.samples()
    test = samples.index[samples["split"] == "test"]
    other = next(name for name in base.info().labels if name != samples.loc[test[0], "label"])
    samples.loc[test[0], "label"] = other
    samples.loc[test[1], "split"] = "excluded"
    new = ArtifactStore(base.root.parent).benchmark("corrected")
    new.root.mkdir()
    write_table(new.samples_path, samples)
    record = Corrections(
        base_split_hash=base.info().split_hash, listed=2, counts={"test": 2}, labels={}
    )
    info = base.info().model_copy(
        update={"name": "corrected", "split_hash": "other", "corrections": record}
    )
    info.write(new.info_path)
    return new


def test_each_run_is_scored_under_both_labels(benchmark_copy, corrected):
    comparison = compare_labels(benchmark_copy, corrected)
    assert (comparison.base_images, comparison.corrected_images) == (70, 69)
    assert (comparison.relabelled, comparison.removed) == (1, 1)
    scores = {row.run_id: row for row in comparison.runs}
    # seed 0 errs on every fourth image, so it has the first two right: 53 of 70, then 51 of 69
    first = scores["efficientnet_lite0-cpu-s0"]
    assert first.base_accuracy.value == pytest.approx(53 / 70)
    assert first.corrected_accuracy.value == pytest.approx(51 / 69)
    table = label_comparison_table(comparison)
    assert table["given rank"].min() == 1
    assert table["difference"].iloc[0] == pytest.approx(51 / 69 - 53 / 70)


def test_a_run_without_predictions_for_some_images_has_no_score_there(benchmark_copy, corrected):
    run = benchmark_copy.run("efficientnet_lite0-cpu-s0")
    table = pd.read_parquet(run.predictions_path)
    test = table.index[table["split"] == "test"]
    write_table(run.predictions_path, table.drop(index=test[1]))  # the removed image
    row = next(r for r in compare_labels(benchmark_copy, corrected).runs if r.run_id == run.run_id)
    assert row.base_accuracy is None
    assert row.corrected_accuracy.value == pytest.approx(51 / 69)


def test_the_two_benchmarks_find_each_other(benchmark_copy, corrected):
    store = ArtifactStore(benchmark_copy.root.parent)
    info = benchmark_copy.info().model_copy(update={"name": "another", "split_hash": "unrelated"})
    store.benchmark("another").root.mkdir()
    info.write(store.benchmark("another").info_path)
    everything = store.benchmarks()
    assert [benchmark.name for benchmark in everything] == ["another", "corrected", "toy"]
    assert find_base(corrected, everything).name == "toy"
    assert [result.name for result in find_corrected(benchmark_copy, everything)] == ["corrected"]
    assert find_base(benchmark_copy, everything) is None
    assert find_corrected(corrected, everything) == []


def test_other_classes_cannot_be_compared(benchmark_copy, corrected):
    info = corrected.info().model_copy(update={"labels": ("a", "b")})
    info.write(corrected.info_path)
    with pytest.raises(ArtifactError, match="different classes"):
        compare_labels(benchmark_copy, corrected)
