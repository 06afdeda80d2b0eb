"""Cached results of the result pages.

A `Scope` sets which samples and classes are scored; a `Board` holds the ranked runs on one scope,
aligned by sample. The caching rules are those of `dashboard.cache.benchmarks`.
"""

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache.benchmarks import (
    Benchmark,
    Run,
    benchmark_dirs,
    picture_stamps,
    pictures,
    predictions,
    run_finder,
    samples,
)
from dashboard.cache.stamps import HashFuncs, digested, file_stamps, stamp
from fer_core.artifacts import BenchmarkDir
from fer_core.data.nearest_images import NeighbourIndex
from fer_core.data.sources.base import SPLITS
from fer_core.errors import ArtifactError
from fer_core.evaluation import calibration, human_votes, slices
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.calibration import Binning, Calibration, Reliability
from fer_core.evaluation.corrected_labels import (
    LabelComparison,
    compare_labels,
    find_base,
    find_corrected,
)
from fer_core.evaluation.diversity import Agreement
from fer_core.evaluation.diversity import agreement as measure_agreement
from fer_core.evaluation.diversity import effective_members as count_effective_members
from fer_core.evaluation.human_votes import HumanAgreement, VoteMetrics, Votes
from fer_core.evaluation.leaderboard import (
    THREADS,
    BenchmarkResults,
    Entry,
    build_leaderboard,
)
from fer_core.evaluation.lineage import Lineage, trace_lineage
from fer_core.evaluation.person_accuracy import PersonAccuracy, accuracy_by_person, share_of
from fer_core.evaluation.persons import persons_at
from fer_core.evaluation.predictions import Predictions, SplitPredictions, read_predictions
from fer_core.evaluation.prior_shift import PriorCurves
from fer_core.evaluation.prior_shift import prior_curves as measure_prior_curves
from fer_core.evaluation.ranking import Doubt, Ranking, doubts_of, rank_under_doubt
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.run_sources import RunSource
from fer_core.evaluation.scope import (
    SECOND_LABEL,
    Scope,
    select_predictions,
    validation_predictions,
)
from fer_core.evaluation.significance import Difference, difference, right_test
from fer_core.evaluation.slices import Slice
from fer_core.figures import tables
from fer_core.labels import LabelSet

_BOARDS = 4  # kept at once: with 300,000 samples and 12 runs each takes some 100 MB

_samples_stamp = file_stamps("samples_path")
_run_stamps = file_stamps(
    "info_path",
    "report_path",
    "predictions_path",
    "history_path",
    "robustness_path",
    "framing_path",
    "efficiency_path",
    "probes_path",
)


@digested
def _result_stamps(benchmark: Benchmark) -> Hashable:
    """Returns the stamps of every file that results depend on."""
    return _samples_stamp(benchmark), tuple(_run_stamps(run) for run in benchmark.runs)


def _scope_key(scope: Scope) -> Hashable:
    within = scope.within
    return (
        scope.eval_set,
        scope.classes,
        None if within is None else (within.name, within.content_key),
    )


BY_RESULTS: HashFuncs = {Benchmark: _result_stamps, Scope: _scope_key}
"""Key of functions that read the runs' results."""


@dataclass(frozen=True)
class Board:
    """A benchmark's results on one scope, with at least one ranked run.

    Attributes:
        results: The leaderboard.
        aligned: Predictions of the ranked runs, best first, in one sample order, with calibrated
            confidence.
        scored: Ranked entries, then those of unranked runs with the same samples and labels.
        votes: Annotators' votes in the same order; None without any.
    """

    results: BenchmarkResults
    aligned: AlignedPredictions
    scored: AlignedPredictions
    votes: Votes | None

    @property
    def runs(self) -> tuple[Entry, ...]:
        """Ranked runs, then the unranked ones with the same samples and labels."""
        every = self.results.every_entry
        return tuple(entry for entry in every if entry.run_id in self.scored.predictions)


def run_sources(benchmark: Benchmark) -> list[RunSource]:
    """Returns the runs of a benchmark for an evaluation of their cached predictions."""
    return [
        RunSource(run.directory, run.info, run.report, partial(predictions, run))
        for run in benchmark.runs
    ]


@st.cache_resource(max_entries=_BOARDS, show_spinner="Computing metrics ...", hash_funcs=BY_RESULTS)
def leaderboard(benchmark: Benchmark, scope: Scope) -> BenchmarkResults:
    """Returns the leaderboard of all readable runs on a scope; others become warnings."""
    sources = run_sources(benchmark)
    return build_leaderboard(benchmark.info, samples(benchmark), sources, scope, run_finder())


@st.cache_resource(max_entries=_BOARDS, show_spinner=False, hash_funcs=BY_RESULTS)
def board(benchmark: Benchmark, scope: Scope) -> Board:
    """Returns the leaderboard of a scope with its aligned predictions.

    Raises:
        ArtifactError: If no run can be scored on it.
    """
    results = leaderboard(benchmark, scope)
    scored = results.scored
    if scored is None:
        raise ArtifactError("No run can be scored on these samples with these classes.")
    values = {entry.run_id: entry.values for entry in results.every_entry}
    scored = scored.with_temperatures(
        {
            run_id: temperature(benchmark.run(run_id))
            if scope.classes  # a temperature is that of all classes
            else values[run_id].get("temperature")
            for run_id in scored.runs
        }
    )
    aligned = scored.only([entry.run_id for entry in results.entries])
    votes = Votes.of(samples(benchmark), aligned.ids, aligned.labels)
    return Board(results, aligned, scored, votes)


@st.cache_resource(
    max_entries=64, show_spinner=False, hash_funcs={Run: file_stamps("predictions_path")}
)
def temperature(run: Run) -> float | None:
    """Returns the temperature fitted on a run's validation predictions, for all classes.

    None if they are missing or damaged; its probabilities are then not calibrated.
    """
    try:
        return calibration.fit_temperature(predictions(run).split("validation"))
    except ArtifactError:
        return None


@st.cache_resource(
    max_entries=32, show_spinner=False, hash_funcs={Run: file_stamps("predictions_path")}
)
def _every_prediction(run: Run) -> Predictions:
    """Returns a run's predictions, also those of images without a label."""
    labelled = predictions(run)
    shared = labelled.shared
    if shared is None or all(shared.labelled(split) is None for split in shared.rows):
        return labelled  # the same ones: a second copy would only fill the memory
    return read_predictions(run.directory, LabelSet(run.info.labels), unlabelled=True)


@st.cache_resource(
    max_entries=64, show_spinner=False, hash_funcs={Run: file_stamps("predictions_path")}
)
def _positions(run: Run) -> dict[str, tuple[str, int]]:
    """Returns split and row of each sample of a run's predictions, see `_every_prediction`."""
    return {
        str(sample_id): (split, row)
        for split, part in _every_prediction(run).splits.items()
        for row, sample_id in enumerate(part.ids)
    }


def sample_probabilities(
    benchmark: Benchmark, sample_id: str, classes: Sequence[str] = ()
) -> dict[str, NDArray[np.float64]]:
    """Returns the runs' calibrated probabilities for a sample, best run first.

    Args:
        benchmark: The benchmark.
        sample_id: Any of its samples, labelled or not; there are no predictions for training
            images.
        classes: The scored classes, in the order of the labels; all if empty.

    Returns:
        Probabilities by run id, shape (K,); without the runs that have none for the sample.
    """
    labels = benchmark.info.labels
    columns = [index for index, name in enumerate(labels) if not classes or name in classes]
    rows = {}
    for run in benchmark.runs:
        with suppress(ArtifactError):
            if (position := _positions(run).get(sample_id)) is not None:
                split, row = position
                raw = _every_prediction(run).split(split).stored[row].astype(np.float64)
                # renormalised by the scaling
                scored = calibration.scale_confidence(raw[columns], temperature(run) or 1.0)
                rows[run.run_id] = scored
    return rows


@st.cache_resource(
    max_entries=64, show_spinner=False, hash_funcs={Run: file_stamps("predictions_path")}
)
def _outcomes(run: Run) -> pd.Series:
    parts = []
    with suppress(ArtifactError):
        for part in predictions(run).splits.values():
            right = np.where(part.right, "right", "wrong")
            labelled = part.truth >= 0
            parts.append(pd.Series(right[labelled], index=part.ids[labelled].astype(str)))
    return pd.concat(parts) if parts else pd.Series(dtype=str)


def outcomes(benchmark: Benchmark, run_id: str) -> pd.Series:
    """Returns `right` or `wrong` by sample id, for the images that a run was evaluated on."""
    return _outcomes(benchmark.run(run_id))


@st.cache_resource(max_entries=_BOARDS, show_spinner=False, hash_funcs=BY_RESULTS)
def seed_table(benchmark: Benchmark, scope: Scope) -> pd.DataFrame:
    """Returns the accuracy over seeds of the ranked runs, see `tables.seed_table`."""
    return tables.seed_table(board(benchmark, scope).results)


@st.cache_resource(max_entries=_BOARDS, show_spinner=False, hash_funcs=BY_RESULTS)
def agreement(benchmark: Benchmark, scope: Scope) -> Agreement:
    """Returns how far the ranked runs agree in their predictions and errors."""
    return measure_agreement(board(benchmark, scope).aligned)


def _redrawn_votes(benchmark: Benchmark, scope: Scope) -> Votes | None:
    """Returns the votes that labels can be redrawn from; second labels come from no votes."""
    return None if scope.eval_set == SECOND_LABEL else board(benchmark, scope).votes


def doubts(benchmark: Benchmark, scope: Scope) -> tuple[Doubt, ...]:
    """Returns the sources of doubt about the order of the ranked runs."""
    return doubts_of(board(benchmark, scope).aligned, _redrawn_votes(benchmark, scope))


@st.cache_resource(
    max_entries=4 * _BOARDS, show_spinner="Resampling the ranking ...", hash_funcs=BY_RESULTS
)
def ranking(benchmark: Benchmark, scope: Scope, resampled: tuple[Doubt, ...]) -> Ranking:
    """Returns the order of the ranked runs in 1,000 draws of what it depends on."""
    aligned = board(benchmark, scope).aligned
    return rank_under_doubt(
        aligned, resampled, _redrawn_votes(benchmark, scope), _persons(benchmark, scope)
    )


@st.cache_resource(max_entries=64, show_spinner="Comparing models ...", hash_funcs=BY_RESULTS)
def pair_comparison(
    benchmark: Benchmark, scope: Scope, first: str, second: str
) -> tuple[Difference, float]:
    """Returns the difference of two runs, first minus second, and the p-value of its test."""
    aligned, persons = board(benchmark, scope).scored, _persons(benchmark, scope)
    right = aligned.right[aligned.row(first)], aligned.right[aligned.row(second)]
    gap = difference(aligned.truth, *right, len(aligned.labels), persons=persons)
    return gap, right_test(*right, persons)


def _persons(benchmark: Benchmark, scope: Scope) -> NDArray[np.object_] | None:
    """Returns the person of each scored image; None if no person is known."""
    return persons_at(samples(benchmark), board(benchmark, scope).scored.ids)


def lineage(benchmark: Benchmark, run_id: str) -> Lineage:
    """Returns a run's lineage; its ancestors are cached with their benchmarks."""
    return trace_lineage(benchmark.run(run_id).info, benchmark.info.name, run_finder())


def _label_pair_stamps(pair: "LabelPair") -> Hashable:
    runs = (run for side in (pair.base, pair.corrected) for run in side.runs())
    sides = tuple(
        (stamp(side.info_path), stamp(side.samples_path)) for side in (pair.base, pair.corrected)
    )
    return sides, tuple((stamp(run.info_path), stamp(run.predictions_path)) for run in runs)


@dataclass(frozen=True)
class LabelPair:
    """A benchmark and one that corrects its validation or test labels."""

    base: BenchmarkDir
    corrected: BenchmarkDir


def label_pairs(benchmark: Benchmark) -> list[LabelPair]:
    """Returns the benchmark with each one that corrects it, or that it corrects."""
    directory, everything = benchmark.directory, list(benchmark_dirs().values())
    pairs = [LabelPair(directory, other) for other in find_corrected(directory, everything)]
    base = find_base(directory, everything)
    return pairs if base is None else [*pairs, LabelPair(base, directory)]


@st.cache_resource(
    max_entries=_BOARDS,
    show_spinner="Scoring under both labels ...",
    hash_funcs={LabelPair: _label_pair_stamps},
)
def label_comparison(pair: LabelPair) -> LabelComparison:
    """Returns the scores of every run under the given and the corrected labels.

    Raises:
        ArtifactError: If a benchmark cannot be read, or their classes differ.
    """
    return compare_labels(pair.base, pair.corrected)


def effective_members(benchmark: Benchmark, scope: Scope, run_id: str) -> float | None:
    """Returns the effective number of independent members of an ensemble on a scope.

    None if a member cannot be scored; NaN if it cannot be computed.
    """
    aligned, members = board(benchmark, scope).scored, benchmark.run(run_id).info.members
    if not members or not set(members) <= set(aligned.runs):
        return None
    return count_effective_members(~aligned.right[[aligned.row(member) for member in members]])


@st.cache_resource(
    max_entries=_BOARDS, show_spinner="Computing trade-offs ...", hash_funcs=BY_RESULTS
)
def prior_curves(benchmark: Benchmark, scope: Scope) -> dict[str, PriorCurves]:
    """Returns accuracy and macro-recall by prior shift of the ranked runs.

    Runs are left out where no validation image has the scored classes.
    """
    train_counts = dict(
        zip(benchmark.info.label_set.names, benchmark.info.train_counts, strict=True)
    )
    pending: dict[str, Future[PriorCurves]] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for run_id, scored in board(benchmark, scope).aligned.predictions.items():
            run = benchmark.run(run_id)
            validation = validation_predictions(predictions(run), samples(benchmark), scope.classes)
            if validation is not None:
                counts = np.array([train_counts[name] for name in scored.labels.names])
                pending[run_id] = pool.submit(
                    measure_prior_curves, validation, scored, counts, run.info.prior_shift
                )
    return {run_id: curves.result() for run_id, curves in pending.items()}


@st.cache_resource(max_entries=_BOARDS, show_spinner="Computing slices ...", hash_funcs=BY_RESULTS)
def facets(benchmark: Benchmark, scope: Scope) -> pd.DataFrame:
    """Returns the groups that the samples of a scope fall into, aligned with its board."""
    scored = board(benchmark, scope)
    first = next(iter(scored.aligned.predictions.values()))
    return slices.facets(samples(benchmark), first, scored.votes)


@st.cache_resource(max_entries=64, show_spinner="Testing slices ...", hash_funcs=BY_RESULTS)
def worst_slices(benchmark: Benchmark, scope: Scope, run_id: str) -> list[Slice]:
    """Returns the slices on which a run errs more than elsewhere, most significant first."""
    aligned = board(benchmark, scope).scored
    wrong: NDArray[np.bool_] = ~aligned.right[aligned.row(run_id)]
    return slices.worst_slices(wrong, facets(benchmark, scope))


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_RESULTS)
def by_person(benchmark: Benchmark, scope: Scope, run_id: str) -> PersonAccuracy | None:
    """Returns a run's accuracy on each person's images; None without the facet of persons."""
    aligned, groups = board(benchmark, scope).scored, facets(benchmark, scope)
    if slices.PERSON not in groups:
        return None
    persons = groups[slices.PERSON].to_numpy(dtype=object)
    return accuracy_by_person(aligned.right[aligned.row(run_id)], persons)


@dataclass(frozen=True)
class CalibrationResults:
    """A run's calibration, uncalibrated and with the temperature fitted on validation.

    Attributes:
        temperature: The fitted temperature; None if no validation image has the scored classes.
        before: Uncalibrated.
        after: Scaled by the temperature.
        accuracy: Accuracy on the scored images, with its interval; None without images.
        confidence: Mean confidence, uncalibrated and scaled.
        curves: Top-label reliability of both, by binning.
        by_class: Uncalibrated reliability by class and binning.
    """

    temperature: float | None
    before: Calibration
    after: Calibration
    accuracy: Estimate | None
    confidence: tuple[float, float]
    curves: Mapping[Binning, tuple[Reliability, Reliability]]
    by_class: Mapping[tuple[str, Binning], Reliability]


@st.cache_resource(max_entries=64, show_spinner="Measuring calibration ...", hash_funcs=BY_RESULTS)
def calibration_of(benchmark: Benchmark, scope: Scope, run_id: str) -> CalibrationResults:
    """Returns a run's calibration on a scope."""
    table = samples(benchmark)
    run_predictions = predictions(benchmark.run(run_id))
    scored = select_predictions(run_predictions, table, scope)
    validation = validation_predictions(run_predictions, table, scope.classes)
    temperature = None if validation is None else calibration.fit_temperature(validation)
    scaled = calibration.scale_predictions(scored, temperature or 1.0)
    persons = persons_at(table, scored.ids) if benchmark.directory.is_transfer else None
    return CalibrationResults(
        temperature,
        calibration.calibration_metrics(scored),
        calibration.calibration_metrics(scaled),
        share_of(scored.right, persons),
        (float(scored.confidence.mean()), float(scaled.confidence.mean())),
        {binning: (_curve(scored, binning), _curve(scaled, binning)) for binning in Binning},
        {
            (label, binning): calibration.class_reliability(scored, label, how=binning)
            for label in scored.labels.names
            for binning in Binning
        },
    )


def _curve(scored: SplitPredictions, binning: Binning) -> Reliability:
    return calibration.reliability(scored.confidence, scored.right, how=binning)


@dataclass(frozen=True)
class HumanComparison:
    """A run compared with the annotators.

    Attributes:
        votes: Distance of its probabilities to the distribution of their votes.
        agreement: Agreement of the run, and of one left-out annotator, with the others' majority;
            None if these never agree.
        by_agreement: Accuracy by how many annotators agreed, as `accuracy_by_agreement`
            returns it.
    """

    votes: VoteMetrics
    agreement: HumanAgreement | None
    by_agreement: pd.DataFrame


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_RESULTS)
def human_comparison(benchmark: Benchmark, scope: Scope, run_id: str) -> HumanComparison | None:
    """Returns a run compared with the annotators; None without votes."""
    scored = board(benchmark, scope)
    if scored.votes is None:
        return None
    run = scored.scored.predictions[run_id]
    return HumanComparison(
        human_votes.vote_metrics(run, scored.votes),
        human_votes.human_agreement(scored.votes, run.predicted),
        human_votes.accuracy_by_agreement(run.right, scored.votes),
    )


def _index_stamps(benchmark: Benchmark) -> Hashable:
    return _samples_stamp(benchmark), picture_stamps(benchmark)


@st.cache_resource(
    max_entries=2, show_spinner="Indexing pictures ...", hash_funcs={Benchmark: _index_stamps}
)
def picture_index(
    benchmark: Benchmark,
) -> tuple[NeighbourIndex, dict[str, NDArray[np.int64]], list[str]]:
    """Returns an index of the benchmark's pictures, their rows by split, and their ids.

    Raises:
        ArtifactError: If the pictures are not on this machine.
    """
    stored = pictures(benchmark)
    if stored is None:
        raise ArtifactError(f"The pictures of {benchmark.info.name!r} are not on this machine.")
    ids = list(stored.rows)
    splits = samples(benchmark)["split"].reindex(ids).to_numpy(dtype=object)
    rows = np.array(list(stored.rows.values()), dtype=np.int64)
    by_split = {split: np.sort(rows[splits == split]) for split in SPLITS}
    return NeighbourIndex.of(stored.images), by_split, ids


def nearest(
    benchmark: Benchmark, picture: NDArray[np.uint8], count: int, split: str = "train"
) -> list[tuple[str, float]]:
    """Returns the samples of a split whose pictures correlate most with one, highest first.

    Args:
        benchmark: The benchmark; its pictures are on this machine.
        picture: A picture in the benchmark's format.
        count: Most samples to return.
        split: The searched split.

    Returns:
        Sample ids and correlations.
    """
    index, rows, ids = picture_index(benchmark)
    matches = index.nearest(picture, count, rows[split])
    return [(ids[row], correlation) for row, correlation in matches]
