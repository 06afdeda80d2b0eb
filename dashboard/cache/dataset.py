"""What the pages on data read and compute once: `data_access` for samples, lists and labels.

Like there, caches are keyed by the stamps of files, and what is returned must not be changed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark, Run, Stamp, stamp
from fer_core.artifacts import BenchmarkDir
from fer_core.data import review
from fer_core.data.card import DatasetCard
from fer_core.data.outliers import outliers
from fer_core.errors import ArtifactError
from fer_core.evaluation.label_issues import (
    LabelNoiseReport,
    accuracy_without_suspects,
    expected_votes,
    find_label_issues,
)
from fer_core.evaluation.predictions import Predictions

MAP_POINTS = 6000
"""Most images that are drawn on the map; the lasso still reaches all of them."""


def card(chosen: Benchmark) -> DatasetCard | None:
    """Returns the dataset card, or None for a set of an earlier version."""
    try:
        return _read_card(chosen.place, stamp(chosen.place.card_path))
    except ArtifactError:
        return None


def card_text(chosen: Benchmark) -> str:
    """Returns the dataset card as Markdown; empty if there is none."""
    path = chosen.place.card_text_path
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def map_points(chosen: Benchmark) -> pd.DataFrame:
    """Returns up to `MAP_POINTS` samples with a place on the map, drawn evenly."""
    return _map_points(chosen.place, _stamp(chosen), chosen)


LISTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "duplicates": review.duplicate_groups,
    "leaks": review.leaks,
    "conflicts": review.conflicts,
}


def review_list(chosen: Benchmark, name: str) -> pd.DataFrame:
    """Returns one of `LISTS`, or `outliers`, with columns `id`, `reason` and `proposal`."""
    return _review_list(chosen.place, name, _stamp(chosen), chosen)


@dataclass(frozen=True)
class Judges:
    """Whose answers judge labels: networks scored on this split.

    Attributes:
        runs: Those that can be read.
        dropped: Ids of those that cannot, or that answered other samples.
    """

    runs: tuple[Run, ...]
    dropped: tuple[str, ...]


def judges(chosen: Benchmark) -> Judges:
    """Returns the networks that judge labels, and those that cannot."""
    return _judges(chosen.place, _prediction_stamps(chosen), chosen)


def label_issues(chosen: Benchmark) -> pd.DataFrame:
    """Lists likely label errors by the average of the judges; empty without readable runs."""
    return _label_issues(chosen.place, _prediction_stamps(chosen), chosen)


def cleared(chosen: Benchmark) -> list[LabelNoiseReport]:
    """Returns each run's test score with and without likely label errors."""
    return _cleared(chosen.place, _prediction_stamps(chosen), chosen)


def _networks(chosen: Benchmark) -> tuple[Run, ...]:
    return tuple(
        run
        for run in chosen.runs
        if run.info.kind == "network" and run.info.split_hash == chosen.info.split_hash
    )


def _stamp(chosen: Benchmark) -> Stamp:
    return stamp(chosen.place.samples_path)


def _prediction_stamps(chosen: Benchmark) -> tuple[tuple[str, Stamp], ...]:
    return tuple((run.run_id, stamp(run.place.predictions_path)) for run in chosen.runs)


@st.cache_resource(max_entries=8, show_spinner=False)
def _read_card(place: BenchmarkDir, stamp: Stamp) -> DatasetCard:
    return DatasetCard.read(place.card_path)


@st.cache_resource(max_entries=8, show_spinner=False)
def _map_points(place: BenchmarkDir, stamp: Stamp, _chosen: Benchmark) -> pd.DataFrame:
    samples = benchmarks.samples(_chosen)
    placed = samples.loc[samples["x"].notna(), ["id", "x", "y", "label"]]
    return placed.sample(min(MAP_POINTS, len(placed)), random_state=0).sort_index()


@st.cache_resource(max_entries=16, show_spinner="Going through the samples ...")
def _review_list(place: BenchmarkDir, name: str, stamp: Stamp, _chosen: Benchmark) -> pd.DataFrame:
    samples = benchmarks.samples(_chosen).reset_index(drop=True)
    if name in LISTS:
        return LISTS[name](samples)
    found = outliers(samples)
    facts = samples.set_index("id")[["split", "label"]]
    return found.join(facts, on="id").assign(proposal=review.ASIDE)


@st.cache_resource(max_entries=8, show_spinner=False)
def _judges(
    place: BenchmarkDir, stamps: tuple[tuple[str, Stamp], ...], _chosen: Benchmark
) -> Judges:
    networks = _networks(_chosen)
    read = _answers(_chosen, networks)
    return Judges(
        tuple(run for run in networks if run.run_id in read),
        tuple(run.run_id for run in networks if run.run_id not in read),
    )


@st.cache_resource(max_entries=8, show_spinner="Judging labels ...")
def _label_issues(
    place: BenchmarkDir, stamps: tuple[tuple[str, Stamp], ...], _chosen: Benchmark
) -> pd.DataFrame:
    answers = _answers(_chosen, _networks(_chosen))
    if not answers:
        return pd.DataFrame()
    table = find_label_issues(list(answers.values())).table()
    samples = benchmarks.samples(_chosen)
    table = expected_votes(samples, table, _chosen.info.label_set)
    return table.assign(
        label=table["given"],
        proposal=table["suggested"],
        reason=[
            f"the models say {suggested} ({confidence:.0%}), not {given} ({probability:.0%})"
            for suggested, confidence, given, probability in zip(
                table["suggested"],
                table["confidence"],
                table["given"],
                table["given_probability"],
                strict=True,
            )
        ],
    )


@st.cache_resource(max_entries=8, show_spinner="Scoring without suspect labels ...")
def _cleared(
    place: BenchmarkDir, stamps: tuple[tuple[str, Stamp], ...], _chosen: Benchmark
) -> list[LabelNoiseReport]:
    same_split = [r for r in _chosen.runs if r.info.split_hash == _chosen.info.split_hash]
    runs = _answers(_chosen, tuple(same_split))
    judging = {run.run_id for run in _networks(_chosen)}
    return accuracy_without_suspects(
        runs,
        {name: run for name, run in runs.items() if name in judging},
        {run.run_id: run.info.members for run in same_split},
    )


def _answers(chosen: Benchmark, runs: tuple[Run, ...]) -> dict[str, Predictions]:
    """Returns the predictions of runs that are readable and on the same samples."""
    answers: dict[str, Predictions] = {}
    for run in runs:
        try:
            read = benchmarks.predictions(chosen, run)
            for other in answers.values():
                for split in ("validation", "test"):
                    read.split(split).aligned_with(other.split(split))
                break
        except ArtifactError:
            continue
        answers[run.run_id] = read
    return answers
