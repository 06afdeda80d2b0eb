"""A benchmark with corrected test labels beside the one that it was made from.

Corrections are often proposed by the models that are then scored on them, which raises their
scores. So every run is scored under both labels, and neither replaces the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from fer_core.artifacts import BenchmarkDir
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.evaluation.report import Estimate, split_metrics
from fer_core.records import BenchmarkInfo


@dataclass(frozen=True)
class ScoredTwice:
    """Test accuracy of a run under the given and under the corrected labels.

    Attributes:
        benchmark: Benchmark that the run belongs to.
        run_id: Id of the run.
        title: Display name of the run.
        base_accuracy: Accuracy under the labels of the base benchmark; None if predictions
            for some of its test images are missing.
        corrected_accuracy: Accuracy under the corrected labels; None likewise.
    """

    benchmark: str
    run_id: str
    title: str
    base_accuracy: Estimate | None
    corrected_accuracy: Estimate | None


@dataclass(frozen=True)
class LabelComparison:
    """All runs of two benchmarks that differ in their test labels.

    Attributes:
        base: Name of the benchmark with the given labels.
        corrected: Name of the benchmark with the corrected labels.
        base_images: Test images under the given labels.
        corrected_images: Test images under the corrected labels.
        relabelled: Test images with another label.
        removed: Test images that the corrections removed.
        runs: The runs, highest accuracy under the given labels first.
        warnings: One sentence for each run that cannot be read.
    """

    base: str
    corrected: str
    base_images: int
    corrected_images: int
    relabelled: int
    removed: int
    runs: tuple[ScoredTwice, ...]
    warnings: tuple[str, ...] = ()


def find_base(corrected: BenchmarkDir, others: Iterable[BenchmarkDir]) -> BenchmarkDir | None:
    """Returns the benchmark that another one corrects; None if it is not there or there is none."""
    corrections = corrected.info().corrections
    if corrections is None:
        return None
    for other in others:
        info = _readable_info(other)
        if other.root != corrected.root and info and info.split_hash == corrections.base_split_hash:
            return other
    return None


def find_corrected(base: BenchmarkDir, others: Iterable[BenchmarkDir]) -> list[BenchmarkDir]:
    """Returns the benchmarks that correct test or validation labels of another one."""
    split_hash = base.info().split_hash
    corrected = []
    for other in others:
        info = _readable_info(other)
        if info and info.corrections and info.corrections.base_split_hash == split_hash:
            corrected.append(other)
    return corrected


def compare_labels(base: BenchmarkDir, corrected: BenchmarkDir) -> LabelComparison:
    """Scores every run of both benchmarks under both labels.

    Raises:
        ArtifactError: If a benchmark cannot be read, or their classes differ.
    """
    labels = base.info().label_set
    if corrected.info().label_set != labels:
        raise ArtifactError(
            f"{base.name} and {corrected.name} have different classes, so their runs cannot be "
            "scored under both labels. Pass a benchmark and the one that `prepare --relabel "
            "... --new-benchmark` made of it."
        )
    original, new = _test_labels(base), _test_labels(corrected)
    rows: list[ScoredTwice] = []
    warnings: list[str] = []
    for benchmark in (base, corrected):
        for run in benchmark.finished_runs():
            try:
                test = Predictions.read(run.predictions_path, labels).split("test")
                title = run.info().title
            except FerscopeError as error:
                warnings.append(f"{benchmark.name}/{run.run_id}: {error}")
                continue
            accuracies = _accuracy(test, original), _accuracy(test, new)
            rows.append(ScoredTwice(benchmark.name, run.run_id, title, *accuracies))
    both = original.index.intersection(new.index)
    return LabelComparison(
        base=base.name,
        corrected=corrected.name,
        base_images=len(original),
        corrected_images=len(new),
        relabelled=int((original[both] != new[both]).sum()),
        removed=len(original.index.difference(new.index)),
        runs=tuple(
            sorted(rows, key=lambda row: -(row.base_accuracy.value if row.base_accuracy else -1))
        ),
        warnings=tuple(warnings),
    )


def _accuracy(test: SplitPredictions, labels: "pd.Series[str]") -> Estimate | None:
    scored = test.relabelled(labels)
    return split_metrics(scored).accuracy if len(scored) == len(labels) else None


def _test_labels(benchmark: BenchmarkDir) -> "pd.Series[str]":
    samples = benchmark.samples()
    test = samples[samples["split"] == "test"]
    return pd.Series(test["label"].to_numpy(), index=test["id"].to_numpy())


def _readable_info(benchmark: BenchmarkDir) -> BenchmarkInfo | None:
    try:
        return benchmark.info()
    except ArtifactError:
        return None
