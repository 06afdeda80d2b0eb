"""Candidates of a verdict: what is known of each comparable run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.abilities import abilities_of
from fer_core.artifacts import BenchmarkDir
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.comparable import comparable_runs
from fer_core.evaluation.efficiency import Efficiency, read_efficiency
from fer_core.evaluation.licences import weight_licences
from fer_core.evaluation.persons import persons_at
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.evaluation.report import SplitMetrics
from fer_core.evaluation.run_sources import RunSource, check_matches_report, read_sources
from fer_core.evaluation.seeds import seed_spreads
from fer_core.records import BenchmarkInfo, shown_titles


class Split(StrEnum):
    """Splits for which every run has predictions."""

    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Candidate:
    """A run that may be recommended.

    Attributes:
        run_id: Id of the run.
        title: Display name.
        is_ensemble: Whether it is an ensemble.
        validation: Validation predictions of the run.
        test: Test predictions of the run.
        validation_metrics: Metrics of the validation predictions.
        test_metrics: Metrics of the test predictions.
        milliseconds: Median latency at batch size 1; None if it was not measured.
        megabytes: Size of the weight files in MB; None if it was not measured.
        device: Device of the latency, such as `cpu, 2 threads`; empty if it was not measured.
        licences: Licences of the weights.
        has_model: Whether it can predict new faces; False without a model or its weights.
        trained_once: Whether no other run trained its recipe with another seed.
        created: When the run was written, ISO 8601; empty if it is unknown.
    """

    run_id: str
    title: str
    is_ensemble: bool
    validation: SplitPredictions
    test: SplitPredictions
    validation_metrics: SplitMetrics
    test_metrics: SplitMetrics
    milliseconds: float | None = None
    megabytes: float | None = None
    device: str = ""
    licences: tuple[str, ...] = ()
    has_model: bool = True
    trained_once: bool = True
    created: str = ""

    def on(self, split: Split) -> SplitPredictions:
        """Returns the predictions for a split."""
        return self.validation if split is Split.VALIDATION else self.test

    def recall(self, label: str) -> float | None:
        """Returns the validation recall of a class, 0 to 1; None without a sample of it."""
        return self.validation_metrics.recalls[self.validation.labels.index(label)]


@dataclass(frozen=True)
class CandidateSet:
    """The runs of a benchmark, read for a verdict.

    Attributes:
        comparable: Runs with the benchmark's protocol, aligned by sample.
        others: Display names of runs that were measured under another protocol.
        lacking: Classes that such a run cannot predict, by display name.
        warnings: One sentence for each run that could not be read.
    """

    comparable: tuple[Candidate, ...]
    others: tuple[str, ...] = ()
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def candidates_in(benchmark: BenchmarkDir) -> CandidateSet:
    """Reads a benchmark's finished runs; a run that cannot be read becomes a warning.

    Raises:
        ArtifactError: If the benchmark cannot be read, or none of its runs.
    """
    info = benchmark.info()
    return read_candidates(info, *read_sources(benchmark, info))


def read_candidates(
    info: BenchmarkInfo, runs: Sequence[RunSource], warnings: Sequence[str] = ()
) -> CandidateSet:
    """Reads the predictions and costs of a benchmark's runs.

    Args:
        info: Metadata of the benchmark.
        runs: Finished runs.
        warnings: Warnings about runs that are not in `runs`; they are kept in the result.

    Raises:
        ArtifactError: If no run can be read.
    """
    titles = shown_titles({run.run_id: run.info.title for run in runs})
    ranked = comparable_runs({run.run_id: run.report for run in runs}, info.split_hash)
    several = _trained_with_several_seeds(runs)
    candidates: list[Candidate] = []
    problems = list(warnings)
    for run in runs:
        if run.run_id not in ranked:
            continue
        try:
            candidate = _candidate(run, runs, candidates[:1])
            candidates.append(
                replace(
                    candidate,
                    title=titles[run.run_id],
                    trained_once=run.run_id not in several,
                )
            )
        except FerscopeError as error:
            problems.append(f"{run.run_id}: {error}")
    if not candidates:
        reason = problems[0] if problems else "Train a model first."
        raise ArtifactError(f"{info.name} has no run to recommend. {reason}")
    others = {
        titles[run.run_id]: run.report.protocol.missing_classes
        for run in runs
        if run.run_id not in ranked
    }
    lacking = {title: missing for title, missing in others.items() if missing}
    return CandidateSet(tuple(candidates), tuple(others), lacking, tuple(problems))


def persons_by_split(
    candidates: Sequence[Candidate], samples: pd.DataFrame
) -> dict[Split, NDArray[np.object_] | None]:
    """Returns the person of each image of a split, as `persons.persons_at` returns them.

    Args:
        candidates: At least one run; all have the sample order of the first.
        samples: Samples indexed by id.
    """
    return {split: persons_at(samples, candidates[0].on(split).ids) for split in Split}


def _candidate(run: RunSource, runs: Sequence[RunSource], first: Sequence[Candidate]) -> Candidate:
    predictions = run.load()
    check_matches_report(run.directory, predictions, run.report)
    _check_has_validation(run, predictions)
    validation, test = predictions.split("validation"), predictions.split("test")
    for other in first:  # all are in the sample order of the first
        validation = validation.aligned_with(other.validation)
        test = test.aligned_with(other.test)
    efficiency = read_efficiency(run.directory)
    infos = {other.run_id: other.info for other in runs}
    return Candidate(
        run_id=run.run_id,
        title=run.info.title,
        is_ensemble=run.info.kind == "ensemble",
        validation=validation,
        test=test,
        validation_metrics=run.report.validation,
        test_metrics=run.report.test,
        milliseconds=efficiency.milliseconds(1) if efficiency else None,
        megabytes=efficiency.weight_bytes / 1e6 if efficiency else None,
        device=_device(efficiency) if efficiency else "",
        licences=weight_licences(run.info, infos.get),
        has_model=abilities_of(run.directory, run.info).predicts,
        created=run.info.created,
    )


def _check_has_validation(run: RunSource, predictions: Predictions) -> None:
    """Checks that images apart from the fit and from test can choose thresholds.

    A run that was adapted to a set has none: earlier versions stored its test images as validation,
    with which no other run could be aligned.
    """
    origin = run.directory.origin
    adapted = origin is not None and not origin.predictions_path.is_file()
    if adapted or "validation" not in predictions.splits:
        raise ArtifactError(
            "it has no validation predictions, which the verdict is chosen by. Compare it on the "
            "Leaderboard."
        )


def _device(efficiency: Efficiency) -> str:
    threads = f", {efficiency.threads} threads" if efficiency.threads else ""
    runtime = ", ONNX Runtime" if efficiency.runtime == "onnxruntime" else ""
    return f"{efficiency.device}{threads}{runtime}"


def _trained_with_several_seeds(runs: Sequence[RunSource]) -> set[str]:
    """Returns the runs whose recipe has other seeds, here or where a set was transferred from.

    Runs with results only predict no set.
    """
    recipes = {run.run_id: run.info.recipe for run in (*_transferred(runs), *runs)}
    spreads = seed_spreads(dict.fromkeys(recipes, 0.0), recipes)
    return {run_id for spread in spreads if len(spread.runs) > 1 for run_id in spread.runs}


def _transferred(runs: Sequence[RunSource]) -> list[RunSource]:
    """Returns the runs of the benchmark that these were transferred from; none if unreadable."""
    origin = runs[0].directory.benchmark.origin if runs else None
    try:
        return [] if origin is None else read_sources(origin, origin.info())[0]
    except ArtifactError:
        return []
