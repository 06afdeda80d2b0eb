"""Results that pages show, computed once for each state of the files.

Beside `data_access` the only module that caches; the same rules hold. A `Scope` says what is
scored: a part of the benchmark, and the classes that count. A `Board` holds all ranked runs on
one scope, aligned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache.benchmarks import Benchmark, Pictures, Stamp, predictions, samples, stamp
from fer_core.artifacts import BenchmarkDir
from fer_core.data.nearest_images import NeighbourIndex
from fer_core.data.sources.base import SPLITS
from fer_core.evaluation import calibration, human_votes, leaderboard, slices
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.calibration import Binning, Calibration, Reliability
from fer_core.evaluation.diversity import Agreement
from fer_core.evaluation.diversity import agreement as measure_agreement
from fer_core.evaluation.human_votes import HumanAgreement, VoteMetrics, Votes
from fer_core.evaluation.leaderboard import BenchmarkResults, RunSource, Scope
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.slices import Slice

_BOARDS = 4  # kept at once: with 300,000 samples and 12 runs each takes some 100 MB


@dataclass(frozen=True)
class Board:
    """A benchmark's results on one scope.

    Attributes:
        results: Ranked runs with their numbers.
        panel: The ranked runs' scores, aligned; None if no run can be read.
        votes: Of the annotators, aligned with the panel; None without any.
    """

    results: BenchmarkResults
    panel: AlignedPredictions | None
    votes: Votes | None


def board(chosen: Benchmark, scope: Scope) -> Board:
    """Returns the results of all readable runs on a scope; others become warnings."""
    return _board(_key(chosen), scope, chosen)


def agreement(chosen: Benchmark, scope: Scope) -> Agreement | None:
    """Returns how alike the ranked runs are; None if none can be read."""
    return _agreement(_key(chosen), scope, chosen)


def facets(chosen: Benchmark, scope: Scope) -> pd.DataFrame:
    """Returns the groups that the samples of a scope fall into, aligned with its panel."""
    return _facets(_key(chosen), scope, chosen)


def worst_slices(chosen: Benchmark, scope: Scope, run_id: str) -> list[Slice]:
    """Returns the slices on which a run errs more than elsewhere, surest first."""
    return _worst_slices(_key(chosen), scope, run_id, chosen)


@dataclass(frozen=True)
class Trust:
    """A run's calibration, as it is and with the temperature fitted on validation.

    Attributes:
        temperature: That temperature; None if no validation image has the classes that count.
        before: As it is.
        after: Scaled.
        curves: Top-label reliability of both, by how confidence is binned.
        by_class: Reliability as it is, by class and by how confidence is binned.
    """

    temperature: float | None
    before: Calibration
    after: Calibration
    curves: Mapping[Binning, tuple[Reliability, Reliability]]
    by_class: Mapping[tuple[str, Binning], Reliability]


def trust(chosen: Benchmark, scope: Scope, run_id: str) -> Trust:
    """Returns a run's calibration on a scope."""
    return _trust(_key(chosen), scope, run_id, chosen)


@dataclass(frozen=True)
class People:
    """A run against the annotators.

    Attributes:
        distances: To the distribution of their votes.
        reference: One annotator and the run against the others; None if these never agree.
        by_agreement: Accuracy by how many agreed, as of `people.accuracy_by_agreement`.
    """

    distances: VoteMetrics
    reference: HumanAgreement | None
    by_agreement: pd.DataFrame


def against_people(chosen: Benchmark, scope: Scope, run_id: str) -> People | None:
    """Returns a run against the annotators; None where there are no votes."""
    return _against_people(_key(chosen), scope, run_id, chosen)


def nearest(
    chosen: Benchmark,
    pictures: Pictures,
    picture: NDArray[np.uint8],
    count: int,
    split: str = "train",
) -> list[tuple[str, float]]:
    """Returns the samples of a split whose pictures correlate most with one, most alike first.

    Args:
        chosen: The benchmark.
        pictures: Its pictures.
        picture: In the benchmark's format.
        count: How many to return at most.
        split: Where to look.
    """
    index, rows, ids = _neighbours(stamp(chosen.place.samples_path), chosen.place, chosen, pictures)
    return [(ids[place], alike) for place, alike in index.nearest(picture, count, rows[split])]


_Key = tuple[BenchmarkDir, tuple[tuple[str, Stamp], ...]]


def _key(chosen: Benchmark) -> _Key:
    """Every file that results depend on, with its stamp."""
    stamps = [("", stamp(chosen.place.samples_path))]
    for run in chosen.runs:
        place = run.place
        stamps += [
            (run.run_id, stamp(path))
            for path in (
                place.info_path,
                place.report_path,
                place.predictions_path,
                place.history_path,
                place.robustness_path,
                place.efficiency_path,
            )
        ]
    return chosen.place, tuple(stamps)


@st.cache_resource(max_entries=_BOARDS, show_spinner="Measuring runs ...")
def _board(key: _Key, scope: Scope, _chosen: Benchmark) -> Board:
    table = samples(_chosen)
    sources = [
        RunSource(run.place, run.info, run.report, partial(predictions, _chosen, run))
        for run in _chosen.runs
    ]
    found = leaderboard.build_leaderboard(_chosen.info, table, sources, scope)
    panel = found.aligned
    votes = None if panel is None else Votes.of(table, panel.ids, panel.labels)
    return Board(found, panel, votes)


@st.cache_resource(max_entries=_BOARDS, show_spinner=False)
def _agreement(key: _Key, scope: Scope, _chosen: Benchmark) -> Agreement | None:
    panel = board(_chosen, scope).panel
    return None if panel is None else measure_agreement(panel)


@st.cache_resource(max_entries=_BOARDS, show_spinner="Cutting slices ...")
def _facets(key: _Key, scope: Scope, _chosen: Benchmark) -> pd.DataFrame:
    found = board(_chosen, scope)
    if found.panel is None:
        return pd.DataFrame()
    first = next(iter(found.panel.predictions.values()))
    return slices.facets(samples(_chosen), first, found.votes)


@st.cache_resource(max_entries=64, show_spinner="Looking for slices ...")
def _worst_slices(key: _Key, scope: Scope, run_id: str, _chosen: Benchmark) -> list[Slice]:
    panel = board(_chosen, scope).panel
    if panel is None:
        return []
    wrong: NDArray[np.bool_] = ~panel.right[panel.row(run_id)]
    return slices.worst_slices(wrong, facets(_chosen, scope))


@st.cache_resource(max_entries=64, show_spinner="Measuring calibration ...")
def _trust(key: _Key, scope: Scope, run_id: str, _chosen: Benchmark) -> Trust:
    run = _chosen.run(run_id)
    table = samples(_chosen)
    given = predictions(_chosen, run)
    scores = leaderboard.select_predictions(given, table, scope)
    validation = leaderboard.validation_predictions(given, table, scope.classes)
    temperature = None if validation is None else calibration.fit_temperature(validation)
    scaled = calibration.scale_predictions(scores, temperature or 1.0)
    curves = {how: (_curve(scores, how), _curve(scaled, how)) for how in Binning}
    by_class = {
        (label, how): calibration.class_reliability(scores, label, how=how)
        for label in scores.labels.names
        for how in Binning
    }
    before, after = calibration.calibration_metrics(scores), calibration.calibration_metrics(scaled)
    return Trust(temperature, before, after, curves, by_class)


@st.cache_resource(max_entries=64, show_spinner=False)
def _against_people(key: _Key, scope: Scope, run_id: str, _chosen: Benchmark) -> People | None:
    found = board(_chosen, scope)
    if found.panel is None or found.votes is None:
        return None
    scores = found.panel.predictions[run_id]
    return People(
        human_votes.vote_metrics(scores, found.votes),
        human_votes.human_agreement(found.votes, scores.predicted),
        human_votes.accuracy_by_agreement(scores.predicted == scores.truth, found.votes),
    )


def _curve(scores: SplitPredictions, how: Binning) -> Reliability:
    return calibration.reliability(scores.confidence, scores.predicted == scores.truth, how=how)


@st.cache_resource(max_entries=2, show_spinner="Indexing training pictures ...")
def _neighbours(
    key: Stamp, place: BenchmarkDir, _chosen: Benchmark, _pictures: Pictures
) -> tuple[NeighbourIndex, dict[str, NDArray[np.int64]], list[str]]:
    splits = samples(_chosen)["split"]
    ids = list(_pictures.rows)
    own = splits.reindex(ids).to_numpy(dtype=object)
    places = np.array(list(_pictures.rows.values()), dtype=np.int64)
    rows = {split: np.sort(places[own == split]) for split in SPLITS}
    return NeighbourIndex.of(_pictures.images), rows, ids
