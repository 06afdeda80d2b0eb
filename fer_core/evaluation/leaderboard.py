"""A benchmark's results, read and measured: what leaderboard and report are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation import leaderboard_columns, robustness
from fer_core.evaluation.calibration import Reliability, reliability
from fer_core.evaluation.efficiency import Efficiency
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.leaderboard_columns import RunMetrics
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.evaluation.report import Report
from fer_core.evaluation.selective import RiskCoverage, risk_coverage
from fer_core.evaluation.significance import Comparison, compare_all, tiers
from fer_core.records import BenchmarkInfo, RunInfo

TEST, LEAK_FREE, VALIDATION, SECOND = (
    "test",
    "test_leak_free",
    "validation",
    "test_second_label",
)
PARTS = (TEST, LEAK_FREE, VALIDATION, SECOND)
"""What a run can be scored on; `SECOND` is the test images under their other annotation."""


RISKS = (0.01, 0.02, 0.05, 0.1)
"""Shares of wrong answers at which coverage is given."""


@dataclass(frozen=True)
class Entry:
    """One run's results on one part of the benchmark.

    Attributes:
        info: How the run came to be.
        report: What it stands on.
        measured: Numbers that follow from its predictions.
        values: All its numbers by measure name, with cost where measured, and robustness where
            it was measured and this part is what it was measured on: all classes of test.
        reliability: Its top-label reliability.
        coverage: Its risk-coverage curve, thinned for drawing.
        answered: Share of images that can be answered at each of `RISKS`.
        history: Its training history, if it has one.
        corrupted: Its `robustness.parquet`, if it has one.
        robustness: The measures that it gives, on all classes of test; empty without it.
    """

    info: RunInfo
    report: Report
    measured: RunMetrics
    values: Mapping[str, float]
    reliability: Reliability
    coverage: RiskCoverage
    answered: Mapping[float, float]
    history: pd.DataFrame | None
    corrupted: pd.DataFrame | None
    robustness: Mapping[str, float]

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.info.run_id


@dataclass(frozen=True)
class BenchmarkResults:
    """A benchmark's runs under one protocol, best accuracy first.

    Attributes:
        info: The benchmark.
        part: What the runs are scored on; one of `PARTS`.
        labels: The classes that count; all, or a subset.
        entries: The ranked runs.
        apart: Runs measured under another protocol; shown, not ranked.
        comparisons: Paired tests of all pairs of the ranked runs.
        warnings: One sentence for each run that was left out.
    """

    info: BenchmarkInfo
    part: str
    labels: tuple[str, ...]
    entries: tuple[Entry, ...]
    apart: tuple[Entry, ...]
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]

    @property
    def tiers(self) -> dict[str, str]:
        """A letter by run id: runs of one band cannot be told apart from its best."""
        return tiers([entry.run_id for entry in self.entries], self.comparisons)

    @property
    def human(self) -> float | None:
        """What one annotator reaches on the same images; None without votes."""
        return next((entry.measured.human for entry in self.entries), None)


def scores_of(
    predictions: Predictions, part: str, samples: pd.DataFrame, classes: Sequence[str] = ()
) -> SplitPredictions:
    """Returns a run's scores on a part of the benchmark.

    Args:
        predictions: The run's.
        part: One of `PARTS`. Leak-free are test images without a duplicate in the original
            training or validation data.
        samples: The benchmark's samples, indexed by id.
        classes: Those that count; all by default.

    Raises:
        ArtifactError: If the predictions lack the split, or no sample is left.
    """
    scores = predictions.split(VALIDATION if part == VALIDATION else TEST)
    if part == SECOND:
        scores = scores.relabelled(samples["second_label"])
    elif part == LEAK_FREE:
        leaks = samples["leak"].reindex(scores.ids, fill_value=False)
        scores = scores.select(~leaks.to_numpy(dtype=bool))
    if classes:
        scores = scores.subset(classes)
    if not len(scores):
        raise ArtifactError("No sample of these classes is left to score. Choose more classes.")
    return scores


def validation_of(
    predictions: Predictions, samples: pd.DataFrame, classes: Sequence[str] = ()
) -> SplitPredictions | None:
    """Returns a run's validation scores, or None if no validation sample has these classes."""
    try:
        return scores_of(predictions, VALIDATION, samples, classes)
    except ArtifactError:
        return None


def check_fits(run: RunDir, predictions: Predictions, report: Report) -> None:
    """Refuses predictions that are not those of the report.

    Raises:
        ArtifactError: If they hold another number of test samples.
    """
    found, expected = len(predictions.split(TEST)), report.protocol.test_samples
    if found != expected:
        raise ArtifactError(
            f"predictions.parquet of {run.run_id!r} holds {found} test samples, its report speaks "
            f"of {expected}. Measure it again with `python -m training evaluate`."
        )


def measure_entry(
    run: RunDir,
    info: RunInfo,
    report: Report,
    scores: SplitPredictions,
    validation: SplitPredictions | None,
    votes: Votes | None,
    baseline: pd.DataFrame | None,
    *,
    whole: bool = True,
) -> Entry:
    """Measures one run.

    Args:
        run: Where cost, robustness and history are read from; damaged ones count as missing.
        info: How it came to be.
        report: What it stands on.
        scores: Of the part that counts.
        validation: Of validation, for the temperature, with the same classes.
        votes: Aligned with the scores.
        baseline: The baseline's `robustness.parquet`, if there is one.
        whole: Whether the part that counts is all classes of test, as `is_whole` says.
    """
    measured = leaderboard_columns.measure(scores, validation, votes)
    values = dict(measured.values)
    if info.parameters is not None:
        values["parameters (M)"] = info.parameters / 1e6
    corrupted = _optional_table(run)
    robust: dict[str, float] = {}
    if corrupted is not None:
        robust = leaderboard_columns.of_robustness(robustness.summarise(corrupted, baseline))
    if whole:
        values |= robust
    efficiency = _optional_efficiency(run)
    if efficiency is not None:
        values |= leaderboard_columns.of_efficiency(efficiency)
    right = scores.predicted == scores.truth
    curve = risk_coverage(scores.confidence, right)
    answered = {risk: curve.coverage_at(risk) for risk in RISKS}
    return Entry(
        info,
        report,
        measured,
        values,
        reliability(scores.confidence, right),
        curve.thinned(),
        {risk: found[0] if found else 0.0 for risk, found in answered.items()},
        _optional_history(run),
        corrupted,
        robust,
    )


def is_whole(part: str, classes: Sequence[str]) -> bool:
    """Whether robustness, which is measured on all classes of test, speaks of this part."""
    return part == TEST and not classes


def baseline_of(runs: Sequence[RunDir]) -> pd.DataFrame | None:
    """Returns the robustness of the first measured run of the baseline recipe, if there is one."""
    for run in runs:
        if run.run_id.startswith(f"{robustness.BASELINE}-"):
            table = _optional_table(run)
            if table is not None:
                return table
    return None


def ranked_together(reports: Mapping[str, Report], split_hash: str) -> list[str]:
    """Returns the runs that may be ranked: those measured on the benchmark's own split.

    If there is none, those of the most common protocol.
    """
    protocols = {run_id: report.protocol.comparable for run_id, report in reports.items()}
    every = list(protocols.values())
    own = [key for key in every if key[1] == split_hash]
    if not every:
        return []
    main = max(own or every, key=every.count)
    return [run_id for run_id, key in protocols.items() if key == main]


def read_results(
    place: BenchmarkDir, part: str = TEST, classes: Sequence[str] = ()
) -> BenchmarkResults:
    """Reads and measures every finished run; one that cannot be read becomes a warning.

    Args:
        place: The benchmark.
        part: One of `PARTS`.
        classes: Those that count; all by default.

    Raises:
        ArtifactError: If the benchmark itself cannot be read.
    """
    info = place.info()
    samples = place.samples().set_index("id", drop=False)
    runs = [run for run in place.runs() if run.info_path.is_file()]
    reports: dict[str, Report] = {}
    read: dict[str, tuple[RunDir, RunInfo, Predictions]] = {}
    warnings = []
    for run in runs:
        try:
            found = (run, run.info(), Predictions.read(run.predictions_path, info.label_set))
            scores_of(found[2], part, samples, classes)
            report = Report.read(run.report_path)
            check_fits(run, found[2], report)
            reports[run.run_id], read[run.run_id] = report, found
        except FerscopeError as error:
            warnings.append(f"{run.run_id}: {error}")
    ranked = ranked_together(reports, info.split_hash)
    baseline = baseline_of(runs)
    entries = {}
    chosen = {}
    for run_id, (run, run_info, predictions) in read.items():
        scores = scores_of(predictions, part, samples, classes)
        chosen[run_id] = scores
        entries[run_id] = measure_entry(
            run,
            run_info,
            reports[run_id],
            scores,
            validation_of(predictions, samples, classes),
            Votes.of(samples, scores.ids, scores.labels),
            baseline,
            whole=is_whole(part, classes),
        )
    return assemble(info, part, classes, entries, ranked, {k: chosen[k] for k in ranked}, warnings)


def assemble(
    info: BenchmarkInfo,
    part: str,
    classes: Sequence[str],
    entries: Mapping[str, Entry],
    ranked: Sequence[str],
    scores: Mapping[str, SplitPredictions],
    warnings: Sequence[str],
) -> BenchmarkResults:
    """Puts measured runs in order and compares them.

    Args:
        info: The benchmark.
        part: One of `PARTS`.
        classes: Those that count; all if empty.
        entries: By run id.
        ranked: Which of them were measured under one protocol.
        scores: Theirs, by run id.
        warnings: One sentence for each run that was left out.
    """

    def best_first(chosen: Sequence[Entry]) -> tuple[Entry, ...]:
        return tuple(sorted(chosen, key=lambda entry: -entry.values["accuracy"]))

    return BenchmarkResults(
        info,
        part,
        tuple(sorted(classes)) or info.labels,
        best_first([entries[run_id] for run_id in ranked]),
        best_first([entry for run_id, entry in entries.items() if run_id not in ranked]),
        tuple(compare_all(scores)),
        tuple(warnings),
    )


def _optional_table(run: RunDir) -> pd.DataFrame | None:
    try:
        table = robustness.read_robustness(run.robustness_path)
        robustness.summarise(table)
    except ArtifactError:
        return None
    return table


def _optional_efficiency(run: RunDir) -> Efficiency | None:
    try:
        return Efficiency.read(run.efficiency_path)
    except ArtifactError:
        return None


def _optional_history(run: RunDir) -> pd.DataFrame | None:
    try:
        return run.history()
    except ArtifactError:
        return None
