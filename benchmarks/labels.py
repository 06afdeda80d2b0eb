"""Choosing a run from few labels: regret of each acquisition, coverage of the intervals, time.

Labelling is simulated on the test images of the shipped runs, whose labels are known: FER+ and the
drawn faces. Hyperparameters were chosen on validation. With `FERSCOPE_LABEL_REPEATS` the number of
repeats changes.
"""

import os
import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.label_simulation import BUDGETS, Simulated, simulate
from benchmarks.result import Result, seconds
from fer_core.artifacts import ArtifactStore
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.few_labels.acquisition import (
    DEFAULT,
    Acquisition,
    draw,
    sampling_probabilities,
)
from fer_core.evaluation.few_labels.pool import Labelled, LabelPool
from fer_core.evaluation.few_labels.posterior import posterior
from fer_core.evaluation.predictions import read_predictions
from fer_core.project import artifacts_root

REPEATS = 400
"""Repeats of the default acquisition."""

FEWER = {Acquisition.CODA: 40}
OTHERS = 100

MOST_REGRET = {100: 0.2, 200: 0.05}
"""Percentage points."""

COVERAGE = (0.93, 0.97)
MOST_SECONDS = 0.2
RUNS, IMAGES = 20, 100_000


def measure() -> Iterator[Result]:
    """Measures the time of one choice, then simulates each acquisition on each benchmark."""
    yield _time()
    for name in ("ferplus", "synthetic"):
        aligned = shipped(name)
        pool = LabelPool.of([part.probabilities for part in aligned.predictions.values()])
        for acquisition in Acquisition:
            yield from _simulated(name, pool, aligned.truth, acquisition)


def shipped(name: str, split: str = "test") -> AlignedPredictions:
    """Returns the predictions of a shipped benchmark's runs."""
    benchmark = ArtifactStore(artifacts_root()).benchmark(name)
    labels = benchmark.info().label_set
    return AlignedPredictions.of(
        {
            run.run_id: read_predictions(run, labels).split(split)
            for run in benchmark.runs()
            if run.info_path.is_file()  # a run in training has none
        }
    )


def _simulated(
    name: str, pool: LabelPool, truth: NDArray[np.int64], acquisition: Acquisition
) -> Iterator[Result]:
    """Simulates one acquisition on one benchmark."""
    is_default = acquisition is DEFAULT
    most = int(os.environ.get("FERSCOPE_LABEL_REPEATS", REPEATS))
    repeats = most if is_default else min(most, FEWER.get(acquisition, OTHERS))
    runs = [simulate(pool, truth, acquisition, seed) for seed in range(repeats)]
    what = f"{name}: {acquisition} ({repeats} repeats)"
    regrets = 100 * np.array([run.regret for run in runs])
    errors = regrets.std(axis=0) / repeats**0.5
    for index, budget in enumerate(BUDGETS):
        target = MOST_REGRET.get(budget) if is_default else None
        mean = float(regrets[:, index].mean())
        yield Result(
            f"{what}: mean regret at {budget} labels",
            f"{mean:.2f} ± {errors[index]:.2f} points",
            "",
            "" if target is None else f"{target} points",
            None if target is None else mean <= target,
        )
    yield from _coverage(what, runs, is_default)
    yield _stops(what, runs)


def _coverage(what: str, runs: Sequence[Simulated], is_default: bool) -> Iterator[Result]:
    covered = np.array([run.covered for run in runs]).mean(axis=0)  # (budgets, runs)
    widths = np.array([run.width for run in runs]).mean(axis=0)
    low, high = COVERAGE
    for index, budget in enumerate(BUDGETS):
        share = float(covered[index].mean())
        yield Result(
            f"{what}: coverage of the 95% intervals at {budget} labels",
            f"{share:.1%} (runs {covered[index].min():.1%} to {covered[index].max():.1%}), "
            f"width {100 * widths[index]:.0f} points",
            "",
            f"{low:.0%} to {high:.0%}" if is_default else "",
            low <= share <= high if is_default else None,
        )


def _stops(what: str, runs: Sequence[Simulated]) -> Result:
    stopped = [run for run in runs if run.stopped is not None]
    good = np.mean([run.stopped_well for run in stopped]) if stopped else float("nan")
    labels = np.median([run.stopped for run in stopped if run.stopped]) if stopped else float("nan")
    return Result(
        f"{what}: the stop rule stopped within {max(BUDGETS)} labels",
        f"{len(stopped) / len(runs):.0%}, after {labels:.0f} labels (median), within 1 point of "
        f"the best in {good:.1%}",
    )


def _time() -> Result:
    """Times the choice of one image, from the labels to the image."""
    random = np.random.default_rng(0)
    base = random.random((IMAGES, 7), dtype=np.float32)
    runs = [base + random.random((IMAGES, 7), dtype=np.float32) for _ in range(RUNS)]
    started = time.perf_counter()
    pool = LabelPool.of([run / run.sum(axis=1, keepdims=True) for run in runs])
    built = time.perf_counter() - started
    rows = random.choice(IMAGES, 200, replace=False)
    share = np.eye(7)[pool.consensus.argmax(axis=1)[rows]]
    labelled = Labelled(rows, share, np.full(200, 1 / IMAGES))

    def choose() -> None:
        probabilities = sampling_probabilities(pool, labelled, posterior(pool, labelled))
        draw(probabilities, len(labelled))

    elapsed, started = seconds(choose), time.process_time()
    choose()
    cpu = time.process_time() - started  # of one thread: what a quiet machine takes
    return Result(
        f"next image of {IMAGES:,} for {RUNS} runs after 200 labels",
        f"{cpu:.3f} s of CPU time ({elapsed:.3f} s on this machine now)",
        f"once, before the first: {built:.1f} s",
        f"{MOST_SECONDS} s",
        cpu < MOST_SECONDS,
    )
