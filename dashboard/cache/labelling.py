"""Cached choices of a run from few labels. Keys are the content of predictions and labels."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import streamlit as st

from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.stamps import HashFuncs, file_stamps, stamp
from fer_core.abilities import abilities_of
from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.few_labels.accuracy import AccuracyEstimates, estimate_accuracies
from fer_core.evaluation.few_labels.acquisition import sampling_probabilities
from fer_core.evaluation.few_labels.annotations import Annotations, Merge, annotations, pool_key
from fer_core.evaluation.few_labels.pool import LabelPool
from fer_core.evaluation.few_labels.posterior import posterior
from fer_core.evaluation.few_labels.selection import (
    NextImage,
    Selection,
    next_image,
    select,
    worth_of_next,
)
from fer_core.evaluation.few_labels.set_adjustment import SetAdjustment, adjust_to_set
from fer_core.evaluation.operating_points import OperatingPoint, adjusted_point
from fer_core.evaluation.predictions import UNLABELLED, SplitPredictions, read_predictions
from fer_core.labels import LabelSet
from fer_core.reviews import PoolLabel

_stamps = file_stamps("predictions_path")


def _pool_stamps(benchmark: Benchmark) -> Hashable:
    return tuple(_stamps(run) for run in benchmark.runs)


@dataclass(frozen=True)
class BenchmarkPool:
    """The images of a benchmark that are labelled to choose a run.

    Attributes:
        key: Identifies the images; stored with each label.
        ids: Ids of the images, in the order of the pool.
        rows: Positions by id.
        runs: Run ids, in the order of the pool.
        classes: The classes in their order.
        pool: Predictions of the runs.
        left_out: Run ids without predictions for the same images.
    """

    key: str
    ids: tuple[str, ...]
    rows: Mapping[str, int]
    runs: tuple[str, ...]
    classes: tuple[str, ...]
    pool: LabelPool
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class LabelState:
    """Result of the labels so far, and the next image.

    Attributes:
        annotations: The merged labels.
        selection: Probability that each run is best.
        accuracies: Accuracy of each run with its interval.
        image: The image to label next; None if all are labelled.
        worth: Accuracy that the next labels are expected to gain, 0 to 1.
    """

    annotations: Annotations
    selection: Selection
    accuracies: AccuracyEstimates
    image: NextImage | None
    worth: float


@st.cache_resource(
    max_entries=4, show_spinner="Reading predictions ...", hash_funcs={Benchmark: _pool_stamps}
)
def label_pool(benchmark: Benchmark) -> BenchmarkPool:
    """Returns the test images to label: those without a label, or all if each has one.

    Labels that the others have are part of the accuracies.

    Raises:
        ArtifactError: If fewer than two runs have predictions for the same images.
    """
    parts: dict[str, _TestPredictions] = {}
    left_out: list[str] = []
    for run in benchmark.runs:
        try:
            part = _TestPredictions.of(run)
        except FerscopeError:
            left_out.append(run.run_id)
            continue
        if part.agrees_with(next(iter(parts.values()), part)):
            parts[run.run_id] = part
        else:
            left_out.append(run.run_id)
    if len(parts) < 2:
        raise ArtifactError(
            "Choosing a run needs at least two runs with predictions for the same images."
        )
    first = next(iter(parts.values())).to_label
    ids = tuple(map(str, first.ids))
    classes = first.labels.names
    return BenchmarkPool(
        pool_key(ids, classes),
        ids,
        {sample: row for row, sample in enumerate(ids)},
        tuple(parts),
        tuple(classes),
        LabelPool.of(
            [part.to_label.probabilities for part in parts.values()],
            np.stack([part.known.right for part in parts.values()]),
        ),
        tuple(left_out),
    )


@dataclass(frozen=True)
class _TestPredictions:
    """A run's predictions of the images to label, and of those that have a label; by id."""

    to_label: SplitPredictions
    known: SplitPredictions

    @classmethod
    def of(cls, run: Run) -> Self:
        """Reads them; the images are to be labelled anew if each has a label."""
        labels = LabelSet(run.info.labels)
        test = read_predictions(run.directory, labels, unlabelled=True).split("test")
        order = np.argsort(test.ids.astype(str), kind="stable")
        test = SplitPredictions(
            test.labels, test.ids[order], test.truth[order], test.probabilities[order]
        )
        to_label = test.truth == UNLABELLED
        if not to_label.any():
            to_label = np.ones(len(test), dtype=bool)
        return cls(test.select(to_label), test.select(~to_label))

    def agrees_with(self, other: Self) -> bool:
        """Whether both have the same images and classes."""
        return self.to_label.labels == other.to_label.labels and all(
            np.array_equal(one.ids, second.ids)
            for one, second in ((self.to_label, other.to_label), (self.known, other.known))
        )


def state(of_benchmark: BenchmarkPool, labels: Sequence[PoolLabel], merge: Merge) -> LabelState:
    """Returns what labels say; the same labels are computed once."""
    content = hashlib.sha256(repr([(x.sample_id, x.annotator, x.label, x.step) for x in labels])
                             .encode()).hexdigest()  # fmt: skip
    return _state(of_benchmark, tuple(labels), content, merge)


def _identity(of_benchmark: BenchmarkPool) -> Hashable:
    pool = of_benchmark.pool
    known = (pool.known_images, *pool.known_right.tolist())
    return (of_benchmark.key, of_benchmark.runs, float(pool.expected.sum()), known)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={BenchmarkPool: _identity})
def _state(
    of_benchmark: BenchmarkPool, _labels: tuple[PoolLabel, ...], content: str, merge: Merge
) -> LabelState:
    pool = of_benchmark.pool
    merged = annotations(_labels, of_benchmark.rows, of_benchmark.classes, merge)
    labelled, belief = merged.labelled, posterior(pool, merged.labelled)
    before = labelled.first(merged.next_step)
    at_step = belief if len(before) == len(labelled) else posterior(pool, before)
    probabilities = sampling_probabilities(pool, before, at_step)
    return LabelState(
        merged,
        select(pool, labelled, belief),
        estimate_accuracies(pool, labelled),
        next_image(probabilities, len(before)),
        worth_of_next(pool, belief, probabilities),
    )


def _labels(now: LabelState) -> Hashable:
    labelled = now.annotations.labelled
    parts = (labelled.rows, labelled.shares, labelled.probability)
    return (now.selection.leader, *(np.asarray(part).tobytes() for part in parts))


def _training(run: RunDir) -> Hashable:
    """Changes with each training of a run, while its id stays the same."""
    return (str(run.root), stamp(run.info_path), stamp(run.predictions_path))


_BY_LABELS: HashFuncs = {
    BenchmarkPool: _identity,
    LabelState: _labels,
    Run: _stamps,
    RunDir: _training,
    SetAdjustment: SetAdjustment.model_dump_json,
}


def adjustment_of(
    benchmark: Benchmark, of_benchmark: BenchmarkPool, now: LabelState
) -> SetAdjustment:
    """Returns temperature and class shares of the leading run, from the labels so far.

    They may not help: see `SetAdjustment.helps`.

    Raises:
        DataError: If there are too few clear labels.
        ArtifactError: If predictions cannot be read.
    """
    run = benchmark.run(of_benchmark.runs[now.selection.leader])
    return _adjustment(benchmark.directory.name, run, run.directory.origin, of_benchmark, now)


@st.cache_resource(max_entries=64, show_spinner="Fitting ...", hash_funcs=_BY_LABELS)
def _adjustment(
    set_name: str,
    run: Run,
    origin: RunDir | None,  # a part of the key: its validation split is read
    of_benchmark: BenchmarkPool,
    now: LabelState,
) -> SetAdjustment:
    predictions = read_predictions(run.directory, LabelSet(run.info.labels))
    return adjust_to_set(
        set_name,
        _TestPredictions.of(run).to_label.probabilities,
        now.annotations.labelled,
        predictions.splits.get("validation"),
    )


def point_of(benchmark: Benchmark, run_id: str, adjustment: SetAdjustment) -> OperatingPoint | None:
    """Returns the operating point that the labels of a transferred set give a run.

    None if the benchmark is no transferred set (its own validation split chooses), or if the run
    cannot predict or was adapted to the set.

    Raises:
        ArtifactError: If predictions cannot be read.
    """
    origin = benchmark.directory.origin
    run = benchmark.run(run_id).directory.origin
    if origin is None or run is None or not run.info_path.is_file():
        return None
    return _point(origin.name, run, adjustment)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_BY_LABELS)
def _point(origin: str, run: RunDir, adjustment: SetAdjustment) -> OperatingPoint | None:
    info = run.info()
    if not abilities_of(run, info).predicts:
        return None
    splits = read_predictions(run, LabelSet(info.labels))
    return adjusted_point(
        origin, info, (splits.split("validation"), splits.split("test")), adjustment
    )
