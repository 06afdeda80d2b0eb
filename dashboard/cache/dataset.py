"""Cached dataset cards, review lists and label issues of the data pages.

The caching rules are those of `dashboard.cache.benchmarks`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard.cache import benchmarks, results
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.stamps import HashFuncs, digested, file_stamps
from fer_core.data import review
from fer_core.data.card import DatasetCard
from fer_core.data.outliers import outliers
from fer_core.data.transformed_copies.table import COLUMNS, describe_change
from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import scale_predictions
from fer_core.evaluation.label_issues import (
    LabelNoiseReport,
    TrainLabelIssues,
    accuracy_without_suspects,
    expected_votes,
    find_label_issues,
)
from fer_core.evaluation.predictions import Predictions
from fer_core.tables import read_table

_samples_stamp = file_stamps("samples_path")
_predictions_stamp = file_stamps("predictions_path")


@digested
def _prediction_stamps(benchmark: Benchmark) -> Hashable:
    stamps = tuple(_predictions_stamp(run) for run in benchmark.runs)
    return _samples_stamp(benchmark), stamps


_BY_PREDICTIONS: HashFuncs = {Benchmark: _prediction_stamps}


@st.cache_resource(
    max_entries=8, show_spinner=False, hash_funcs={Benchmark: file_stamps("card_path")}
)
def card(benchmark: Benchmark) -> DatasetCard | None:
    """Returns the dataset card, or None if an earlier version prepared the dataset."""
    try:
        return DatasetCard.read(benchmark.directory.card_path)
    except ArtifactError:
        return None


def card_text(benchmark: Benchmark) -> str:
    """Returns the dataset card as Markdown; empty if there is none."""
    path = benchmark.directory.card_text_path
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _outliers(samples: pd.DataFrame) -> pd.DataFrame:
    facts = samples.set_index("id")[["split", "label"]]
    return outliers(samples).join(facts, on="id").assign(proposal=review.ASIDE)


REVIEW_LISTS: Mapping[str, Callable[[pd.DataFrame, Benchmark], pd.DataFrame]] = {
    "duplicates": lambda samples, _: review.duplicate_groups(samples),
    "conflicts": lambda samples, _: review.conflicts(samples),
    "leaks": lambda samples, benchmark: review.leaks(samples, _copy_pairs(benchmark)),
    "outliers": lambda samples, _: _outliers(samples),
}


@st.cache_resource(
    max_entries=16,
    show_spinner="Checking the samples ...",
    hash_funcs={Benchmark: file_stamps("samples_path", "copies_path")},
)
def review_list(benchmark: Benchmark, name: str) -> pd.DataFrame:
    """Returns one of `REVIEW_LISTS`.

    It has columns `id`, `reason` and `proposal`.
    """
    samples = benchmarks.samples(benchmark).reset_index(drop=True)
    return REVIEW_LISTS[name](samples, benchmark)


@st.cache_resource(
    max_entries=2, show_spinner=False, hash_funcs={Benchmark: file_stamps("samples_path")}
)
def scored_ids(benchmark: Benchmark) -> frozenset[str]:
    """Returns the ids of the images that runs are scored on, see `review.scored_ids`."""
    return review.scored_ids(benchmarks.samples(benchmark))


@st.cache_resource(
    max_entries=8, show_spinner=False, hash_funcs={Benchmark: file_stamps("copies_path")}
)
def transformed_copies(benchmark: Benchmark) -> pd.DataFrame | None:
    """Returns pairs of transformed copies with what was done, and split and label of both images.

    None if the benchmark has none, because no search was made. Pairs across splits come first.
    """
    pairs = _copy_pairs(benchmark)
    if pairs is None:
        return None
    facts = benchmarks.samples(benchmark)[["id", "original_split", "label"]].set_index("id")
    table = pairs.assign(
        change=[describe_change(pair) for pair in pairs.to_dict("records")],
        split=pairs["id"].map(facts["original_split"]),
        label=pairs["id"].map(facts["label"]),
    )
    table["other split"] = pairs["other"].map(facts["original_split"])
    table["other label"] = pairs["other"].map(facts["label"])
    first = ["id", "other", "change", "split", "other split", "label", "other label"]
    rest = [name for name in table.columns if name not in first]
    together = table["split"] == table["other split"]
    order = together.sort_values(kind="stable").index
    return table.loc[order, first + rest].reset_index(drop=True)


def _copy_pairs(benchmark: Benchmark) -> pd.DataFrame | None:
    path = benchmark.directory.copies_path
    return read_table(path, COLUMNS) if path.is_file() else None


@dataclass(frozen=True)
class Judges:
    """Networks on the benchmark's split whose predictions are compared with the labels.

    Attributes:
        runs: Networks with readable predictions.
        dropped: Ids of networks whose predictions cannot be read or are of other samples.
    """

    runs: tuple[Run, ...]
    dropped: tuple[str, ...]


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_BY_PREDICTIONS)
def judges(benchmark: Benchmark) -> Judges:
    """Returns the networks whose predictions judge labels, and those that cannot be read."""
    networks = _networks(benchmark)
    readable = _readable_predictions(networks)
    return Judges(
        tuple(run for run in networks if run.run_id in readable),
        tuple(run.run_id for run in networks if run.run_id not in readable),
    )


@st.cache_resource(
    max_entries=8, show_spinner="Finding label issues ...", hash_funcs=_BY_PREDICTIONS
)
def label_issues(benchmark: Benchmark) -> pd.DataFrame:
    """Lists likely label errors by the judges' mean prediction; empty without readable runs."""
    readable = _readable_predictions(_networks(benchmark))
    if not readable:
        return pd.DataFrame()
    table = find_label_issues(list(readable.values())).table()
    return _as_review(benchmark, table, "the models predict")


@st.cache_resource(
    max_entries=8, show_spinner="Scoring without suspect labels ...", hash_funcs=_BY_PREDICTIONS
)
def label_noise(benchmark: Benchmark) -> list[LabelNoiseReport]:
    """Returns each run's test accuracy with and without likely label errors."""
    same_split = [run for run in benchmark.runs if _on_this_split(benchmark, run)]
    readable = _readable_predictions(same_split)
    judging = {run.run_id for run in _networks(benchmark)}
    return accuracy_without_suspects(
        readable,
        {run_id: predictions for run_id, predictions in readable.items() if run_id in judging},
        {run.run_id: run.info.members for run in same_split},
    )


@st.cache_resource(
    max_entries=8, show_spinner=False, hash_funcs={Benchmark: file_stamps("train_labels_path")}
)
def train_label_issues(benchmark: Benchmark) -> TrainLabelIssues | None:
    """Returns the likely label errors of train; None if they were not computed for this split."""
    try:
        issues = TrainLabelIssues.read(benchmark.directory.train_labels_path)
    except ArtifactError:
        return None
    return issues if issues.split_hash == benchmark.info.split_hash else None


@st.cache_resource(
    max_entries=8,
    show_spinner=False,
    hash_funcs={Benchmark: file_stamps("train_labels_path", "samples_path")},
)
def train_label_table(benchmark: Benchmark) -> pd.DataFrame:
    """Returns likely label errors of train as a review list, with annotators' votes.

    It is empty if they were not computed for this split.
    """
    issues = train_label_issues(benchmark)
    if issues is None:
        return pd.DataFrame()
    table = issues.table
    known = table["id"].isin(benchmarks.samples(benchmark)["id"])
    return _as_review(benchmark, table[known].reset_index(drop=True), "a classifier predicts")


def _as_review(benchmark: Benchmark, table: pd.DataFrame, prefix: str) -> pd.DataFrame:
    table = expected_votes(benchmarks.samples(benchmark), table, benchmark.info.label_set)
    return table.assign(
        label=table["given"],
        proposal=table["suggested"],
        reason=[
            f"{prefix} {suggested} ({confidence:.0%}), not {label} ({probability:.0%})"
            for suggested, confidence, label, probability in zip(
                table["suggested"],
                table["confidence"],
                table["given"],
                table["given_probability"],
                strict=True,
            )
        ],
    )


def _on_this_split(benchmark: Benchmark, run: Run) -> bool:
    return run.info.split_hash == benchmark.info.split_hash


def _networks(benchmark: Benchmark) -> list[Run]:
    return [
        run
        for run in benchmark.runs
        if run.info.kind == "network" and _on_this_split(benchmark, run)
    ]


def _readable_predictions(runs: Sequence[Run]) -> dict[str, Predictions]:
    """Returns the readable predictions, calibrated, of the same samples as the first such run."""
    readable: dict[str, Predictions] = {}
    first: Predictions | None = None
    for run in runs:
        try:
            predictions = benchmarks.predictions(run)
            if first is not None:
                for split in ("validation", "test"):
                    predictions.split(split).aligned_with(first.split(split))
        except ArtifactError:
            continue
        first = predictions if first is None else first
        readable[run.run_id] = _calibrated(run, predictions)
    return readable


def _calibrated(run: Run, predictions: Predictions) -> Predictions:
    temperature = results.temperature(run) or 1.0
    return Predictions(
        {split: scale_predictions(part, temperature) for split, part in predictions.splits.items()}
    )
