"""Leaderboard: evaluates the runs of a benchmark and ranks them."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import pandas as pd

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation import framing_shifts, leaderboard_columns, robustness
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.comparable import agree, comparable_runs, largest_comparable_set
from fer_core.evaluation.efficiency import read_efficiency
from fer_core.evaluation.leaderboard_columns import RunMetrics
from fer_core.evaluation.lineage import FindRun
from fer_core.evaluation.persons import persons_at, resampled_units
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Report
from fer_core.evaluation.run_evaluation import Evaluation, ScopeEvaluator
from fer_core.evaluation.run_sources import RunSource, check_matches_report, read_sources
from fer_core.evaluation.scope import LEAK_FREE, Scope
from fer_core.evaluation.significance import Comparison, compare_all, tiers
from fer_core.evaluation.test_ledger import LineageReadings, lineage_readings
from fer_core.records import BenchmarkInfo, RunInfo, shown_titles

THREADS = min(4, os.cpu_count() or 1)
"""Runs that are read or evaluated at once; numpy works outside Python's global lock."""


@dataclass(frozen=True)
class Entry:
    """Results of one run on one scope.

    Attributes:
        title: Display name; no other run of the benchmark has it, see `records.shown_titles`.
        info: Metadata of the run.
        report: Report of the run, with its protocol.
        evaluation: Results that are computed from the predictions.
        values: All leaderboard values by column slug. Cost is included if it was measured,
            robustness if it was measured and the scope is the full test set.
        history: Training history; None without one.
        robustness_table: `robustness.parquet`; None without one.
        robustness_values: Robustness values by column slug on the full test set; empty without a
            robustness table.
        framing_table: `framing.parquet`; None without one.
        test_readings: Number of times that test was read in the run's lineage.
    """

    title: str
    info: RunInfo
    report: Report
    evaluation: Evaluation
    values: Mapping[str, float]
    history: pd.DataFrame | None
    robustness_table: pd.DataFrame | None
    robustness_values: Mapping[str, float]
    framing_table: pd.DataFrame | None
    test_readings: LineageReadings

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.info.run_id

    @property
    def metrics(self) -> RunMetrics:
        """Metrics computed from the predictions."""
        return self.evaluation.metrics


@dataclass(frozen=True)
class BenchmarkResults:
    """Results of a benchmark's runs on one scope, highest accuracy first.

    Attributes:
        info: Metadata of the benchmark.
        eval_set: Evaluation set; one of `EVAL_SETS`.
        labels: Evaluated classes.
        within: Name of the slice that the evaluated samples are in; empty for all samples.
        entries: Ranked runs.
        unranked: Runs that were measured under another protocol; shown, but not ranked.
        aligned: Predictions of the ranked runs in the order of `entries`; None without any.
        scored: Ranked entries, then those of unranked runs with the same samples and labels.
        comparisons: Paired tests of all pairs of ranked runs.
        warnings: One sentence for each run that could not be evaluated.
        resampled: What the intervals of accuracy and macro-recall resample; see
            `persons.resampled_units`.
    """

    info: BenchmarkInfo
    eval_set: str
    labels: tuple[str, ...]
    within: str
    entries: tuple[Entry, ...]
    unranked: tuple[Entry, ...]
    aligned: AlignedPredictions | None
    scored: AlignedPredictions | None
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    resampled: str

    @property
    def every_entry(self) -> tuple[Entry, ...]:
        """Ranked runs, then the unranked ones."""
        return (*self.entries, *self.unranked)

    @property
    def tiers(self) -> dict[str, str]:
        """Tier letter by run id; runs of a tier do not differ significantly from its best run."""
        return tiers([entry.run_id for entry in self.entries], self.comparisons)

    @property
    def annotator_agreement(self) -> float | None:
        """Agreement of one left-out annotator with the others' majority; None without votes."""
        return next((entry.metrics.annotator_agreement for entry in self.entries), None)


def read_results(benchmark: BenchmarkDir, scope: Scope | None = None) -> BenchmarkResults:
    """Reads and evaluates all finished runs; a run that cannot be read becomes a warning.

    Args:
        benchmark: Directory of the benchmark.
        scope: Samples to evaluate on; the full test set by default.

    Raises:
        ArtifactError: If the benchmark itself cannot be read.
    """
    info = benchmark.info()
    sources, warnings = read_sources(benchmark, info)
    samples = benchmark.samples().set_index("id", drop=False)
    find = benchmark.store.find_run
    return build_leaderboard(info, samples, sources, scope or Scope(), find, warnings)


def build_leaderboard(
    info: BenchmarkInfo,
    samples: pd.DataFrame,
    runs: Sequence[RunSource],
    scope: Scope,
    find: FindRun,
    warnings: Sequence[str] = (),
) -> BenchmarkResults:
    """Evaluates runs, ranks those with the same protocol, and compares them.

    Args:
        info: Metadata of the benchmark.
        samples: The benchmark's samples, indexed by id.
        runs: Finished runs.
        scope: Samples to evaluate on.
        find: Looks up the runs that others were made from.
        warnings: Warnings about runs that are not in `runs`; they are kept in the result.
    """
    problems = list(warnings)
    entries, predictions = _evaluated(info, samples, runs, scope, find, problems)
    ranked = comparable_runs(
        {run_id: entry.report for run_id, entry in entries.items()}, info.split_hash
    )
    comparable = largest_comparable_set(
        {run_id: predictions[run_id] for run_id in ranked}, samples["label"]
    )
    for run_id, problem in comparable.problems.items():
        problems.append(f"{run_id}: {problem}")
        del entries[run_id]
    ranked = list(comparable.run_ids)
    best_first = _best_first([entries[run_id] for run_id in ranked])
    ranked_ids = [entry.run_id for entry in best_first]
    others = _best_first([entry for run_id, entry in entries.items() if run_id not in ranked])
    scored = _aligned((*best_first, *others), predictions)
    return BenchmarkResults(
        info=info,
        eval_set=scope.eval_set,
        labels=tuple(sorted(scope.classes)) or info.labels,
        within="" if scope.within is None else scope.within.name,
        entries=best_first,
        unranked=others,
        aligned=scored.only(ranked_ids) if scored else None,
        scored=scored,
        comparisons=tuple(compare_all({run_id: predictions[run_id] for run_id in ranked}, samples)),
        warnings=tuple(problems),
        resampled=resampled_units(
            persons_at(samples, scored.ids) if scored else None,
            transferred=info.transferred_from is not None,
        ),
    )


def _aligned(
    entries: Sequence[Entry], predictions: Mapping[str, SplitPredictions]
) -> AlignedPredictions | None:
    """Aligns the runs that have the first run's samples and labels; None without a run."""
    if not entries:
        return None
    first = predictions[entries[0].run_id]
    return AlignedPredictions.of(
        {
            entry.run_id: predictions[entry.run_id]
            for entry in entries
            if agree(predictions[entry.run_id], first)
        }
    )


def _evaluated(
    info: BenchmarkInfo,
    samples: pd.DataFrame,
    runs: Sequence[RunSource],
    scope: Scope,
    find: FindRun,
    problems: list[str],
) -> tuple[dict[str, Entry], dict[str, SplitPredictions]]:
    """Returns entries and selected predictions by run id; adds runs that cannot be evaluated."""
    evaluator = ScopeEvaluator(samples, scope)
    predictions: dict[str, SplitPredictions] = {}
    pending: dict[str, Future[Evaluation]] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        loading = [pool.submit(run.load) for run in runs]
        for run, future in zip(runs, loading, strict=True):
            try:
                loaded = future.result()
                check_matches_report(run.directory, loaded, run.report)
                predictions[run.run_id], work = evaluator.prepare(run.directory, loaded)
                pending[run.run_id] = pool.submit(work)
            except FerscopeError as error:
                problems.append(f"{run.run_id}: {error}")
    reference = RobustnessReference.of(runs)
    infos = [run.info for run in runs]
    titles = shown_titles({info.run_id: info.title for info in infos})
    entries = {}
    for run in runs:
        if run.run_id in pending:
            readings = lineage_readings(run.info, info.name, infos, find)
            evaluation = pending[run.run_id].result()
            title = titles[run.run_id]
            entries[run.run_id] = _entry(title, run, evaluation, scope, reference, readings)
    return entries, predictions


def baseline_robustness(runs: Sequence[RunSource]) -> pd.DataFrame | None:
    """Returns the robustness table of the first run of the baseline recipe that has one.

    Named variants of the recipe are no baselines.
    """
    for run in runs:
        recipe = run.info.recipe
        if recipe.get("name") == robustness.BASELINE and not recipe.get("run_name"):
            table = _robustness_table(run.directory)
            if table is not None:
                return table
    return None


@dataclass(frozen=True)
class RobustnessReference:
    """What the robustness of a benchmark's runs is compared on.

    Attributes:
        baseline: Table of the baseline of mCE; None without one.
        images: Images on which most runs were measured (`robustness.measured_on`); runs that were
            measured on others have no values in the robustness columns. None without a table.
    """

    baseline: pd.DataFrame | None
    images: tuple[int, int, str] | None

    @classmethod
    def of(cls, runs: Sequence[RunSource]) -> Self:
        """Returns the reference of runs, in their order."""
        tables = (_robustness_table(run.directory) for run in runs)
        counts = Counter(robustness.measured_on(table) for table in tables if table is not None)
        images = counts.most_common(1)[0][0] if counts else None
        return cls(baseline_robustness(runs), images)


def _entry(
    title: str,
    run: RunSource,
    evaluation: Evaluation,
    scope: Scope,
    reference: "RobustnessReference",
    readings: LineageReadings,
) -> Entry:
    table = _robustness_table(run.directory)
    robustness_values: dict[str, float] = {}
    if table is not None and robustness.measured_on(table) == reference.images:
        summary = robustness.summarise(table, reference.baseline)
        robustness_values = leaderboard_columns.robustness_values(summary)
    framing_table = _framing_table(run.directory)
    return Entry(
        title=title,
        info=run.info,
        report=run.report,
        evaluation=evaluation,
        values={
            **evaluation.metrics.values,
            **_cost_values(run),
            **(robustness_values if scope.is_full_test else {}),
            **_framing_values(framing_table, scope),
            **_leak_free_values(run.report, scope),
            "test_readings": float(readings.count),
        },
        history=_history(run.directory),
        robustness_table=table,
        robustness_values=robustness_values,
        framing_table=framing_table,
        test_readings=readings,
    )


def _cost_values(run: RunSource) -> dict[str, float]:
    values = {}
    if run.info.parameters is not None:
        values["parameters_m"] = run.info.parameters / 1e6
    efficiency = read_efficiency(run.directory)
    if efficiency is not None:
        values |= leaderboard_columns.efficiency_values(efficiency)
    return values


def _best_first(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: -entry.values["accuracy"]))


def _robustness_table(run: RunDir) -> pd.DataFrame | None:
    try:
        table = robustness.read_robustness(run.robustness_path)
        robustness.summarise(table)
    except ArtifactError:
        return None
    return table


def _framing_table(run: RunDir) -> pd.DataFrame | None:
    try:
        return framing_shifts.read_framing(run.framing_path)
    except ArtifactError:
        return None


def _framing_values(table: pd.DataFrame | None, scope: Scope) -> dict[str, float]:
    if table is None or scope.framing_split is None:
        return {}
    result = framing_shifts.summarise_framing(table, scope.framing_split)
    return {} if result is None else leaderboard_columns.framing_values(result)


def _leak_free_values(report: Report, scope: Scope) -> dict[str, float]:
    accuracy = report.leak_free_accuracy
    if accuracy is None or scope.eval_set != LEAK_FREE or not scope.is_whole_set:
        return {}
    return {"standardised_accuracy": accuracy}


def _history(run: RunDir) -> pd.DataFrame | None:
    try:
        return run.history()
    except ArtifactError:
        return None
