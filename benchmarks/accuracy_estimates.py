"""Checks estimates of accuracy without labels where labels exist.

Validation is halved: one half is the labelled source, the other is shifted (corruptions, framing,
other class shares) and estimated without its labels. Drawn faces are another data set. The table is
written to the benchmark; the dashboard shows estimates only with the errors in it, and the limits
within which an estimate is trusted were chosen on it. Test is not read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.result import Result
from fer_core.abilities import abilities_of
from fer_core.arrays import read_arrays, write_arrays
from fer_core.artifacts import VOTE_PREFIX, ArtifactStore, BenchmarkDir
from fer_core.data.corruptions import CORRUPTIONS, corrupt
from fer_core.data.framing_shifts import FRAMING_SHIFTS, shift_framing
from fer_core.data.prepared import PreparedDataset
from fer_core.data.storage import decode
from fer_core.evaluation.accuracy_estimates import (
    AgreementLine,
    Estimator,
    RunPredictions,
    estimate,
    mean_agreement,
    moved_share,
)
from fer_core.evaluation.calibration import fit_temperature, scale_confidence, scale_predictions
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.evaluation.shift_reference import ShiftReference
from fer_core.project import artifacts_root, data_root
from fer_core.records import BenchmarkInfo
from fer_core.tables import write_table

BENCHMARK = "ferplus"
OTHER = "synthetic"
RUNS = ("vit_tiny-cpu-s0", "resnet34-cpu-s0", "hf_vit-cpu-s0")
"""Three different architectures predict the shifted copies; slices use the stored predictions."""

SHIFTED = 150
SEVERITIES = (3,)
RESAMPLED = 24
SMALLEST = 100


@dataclass(frozen=True)
class Shift:
    """A shifted set: its name, kind, stored images and labels."""

    name: str
    kind: str
    images: NDArray[np.uint8]
    truth: NDArray[np.int64]


def shifts(dataset: PreparedDataset, rows: NDArray[np.int64]) -> Iterator[Shift]:
    """Yields shifted copies of some validation images."""
    images, truth = np.asarray(dataset.images[rows]), dataset.targets(rows)
    keys = rows.tolist()
    for shift in FRAMING_SHIFTS:
        yield Shift(shift.title, "framing", shift_framing(images, shift, keys=keys), truth)
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            changed = corrupt(images, name, severity, keys=keys)
            yield Shift(f"{name} {severity}", "corruption", changed, truth)


def drawn(benchmark: BenchmarkDir, info: BenchmarkInfo) -> Shift | None:
    """Returns the test images of the drawn faces in the benchmark's format; None without them."""
    from fer_core.data.imaging import SampleFormat
    from fer_core.tables import read_table

    if not benchmark.pictures_path.is_file():
        return None
    facts, samples = benchmark.info(), benchmark.samples().set_index("id")
    table = read_table(benchmark.pictures_path, ("id", "webp"))
    table = table[table["id"].map(samples["split"]) == "test"].head(SHIFTED)
    stored = SampleFormat.of(info)
    images = np.stack([stored.convert(decode(data, facts.colour)) for data in table["webp"]])
    labels = samples["label"].reindex(table["id"])
    truth = np.array([info.label_set.index(label) for label in labels])
    return Shift(f"benchmark {benchmark.name}", "data set", images, truth)


@dataclass(frozen=True)
class ShiftPredictions:
    """Raw predictions of a shifted set.

    Attributes:
        probabilities: Probabilities by run id, shape (N, K).
        distances: Distances of the faces in the reference network's features, shape (N,).
    """

    probabilities: dict[str, NDArray[np.float64]]
    distances: NDArray[np.float64]


def predict(benchmark: BenchmarkDir, reference: ShiftReference, shift: Shift) -> ShiftPredictions:
    """Predicts a shifted set; finished sets are read from the benchmark's cache."""
    import torch

    from fer_core.predictor import Predictor
    from training.jobs.transfer_reference import features_of

    folder = benchmark.cache_dir / "estimates"
    path = folder / f"{shift.name.replace(' ', '-').replace('%', '')}-{len(shift.truth)}.npz"
    if not path.is_file():
        predictor = Predictor(benchmark, torch.device("cpu"), capacity=len(RUNS))
        predictions = predictor.predict(list(shift.images), RUNS)
        features = features_of(benchmark, reference.run_id, shift.images)
        arrays = {item.run_id: item.probabilities for item in predictions}
        write_arrays(path, {"distances": reference.space.distances(features), **arrays})
    stored = read_arrays(path)
    return ShiftPredictions({name: stored[name] for name in RUNS}, stored["distances"])


@dataclass(frozen=True)
class Source:
    """The labelled half of validation, by run, calibrated, with the fitted temperatures."""

    validation: dict[str, SplitPredictions]
    temperatures: dict[str, float]


def source(benchmark: BenchmarkDir, run_ids: Sequence[str], shifted: set[str]) -> Source:
    """Returns the validation predictions of the images that are not shifted."""
    validation, temperatures = {}, {}
    for run_id in run_ids:
        run = benchmark.run(run_id)
        part = Predictions.read(run.predictions_path, benchmark.info().label_set)
        whole = part.split("validation")
        kept = whole.select(np.array([name not in shifted for name in whole.ids]))
        temperatures[run_id] = fit_temperature(kept)
        validation[run_id] = scale_predictions(kept, temperatures[run_id])
    return Source(validation, temperatures)


def check(
    known: Source, reference: ShiftReference | None, shift: Shift, predicted: ShiftPredictions
) -> pd.DataFrame:
    """Returns estimates, truth and signals of a shifted set, one row per run."""
    runs = {
        run_id: RunPredictions(
            known.validation[run_id],
            scale_confidence(predicted.probabilities[run_id], known.temperatures[run_id]),
        )
        for run_id in known.validation
    }
    line = AgreementLine.of(runs)
    moved = moved_share(list(runs.values()))
    agreement = mean_agreement([run.predicted for run in runs.values()])
    before = mean_agreement([run.validation.predicted for run in runs.values()])
    return pd.DataFrame(
        [
            {
                "set": shift.name,
                "kind": shift.kind,
                "run_id": run_id,
                "samples": len(shift.truth),
                "source": len(known.validation[run_id]),
                "validation": run.accuracy,
                "accuracy": float((run.predicted == shift.truth).mean()),
                **{str(name): value for name, value in estimate(run, line).items()},
                "outside": np.nan
                if reference is None
                else reference.space.share_outside(predicted.distances),
                "moved": moved,
                "agreement": agreement,
                "agreement_before": before,
            }
            for run_id, run in runs.items()
        ]
    )


def stored_slices(benchmark: BenchmarkDir) -> list[pd.DataFrame]:
    """Checks estimates on slices of validation, by the stored predictions of every network.

    One half is the labelled source; slices of the other are harder or easier, or have other class
    shares. Nothing is predicted again.
    """
    samples = benchmark.samples().set_index("id")
    validation = samples[samples["split"] == "validation"]
    random = np.random.default_rng(3)
    half = random.permutation(validation.index.to_numpy(dtype=object))
    new = validation.loc[half[len(half) // 2 :]]
    networks = _networks(benchmark)
    known = source(benchmark, networks, set(new.index))
    labels = benchmark.info().label_set
    raw = {}
    for run_id in networks:
        part = Predictions.read(benchmark.run(run_id).predictions_path, labels).split("validation")
        order = pd.Index(part.ids).get_indexer(pd.Index(new.index))
        raw[run_id] = part.probabilities[order]
    truth = np.array([labels.index(name) for name in new["label"]])
    tables = []
    for name, kind, rows in _slices(new, truth, random):
        if len(rows) < SMALLEST:
            continue
        predicted = ShiftPredictions(
            {run_id: values[rows] for run_id, values in raw.items()}, np.empty(0)
        )
        shift = Shift(name, kind, np.empty(0, dtype=np.uint8), truth[rows])
        tables.append(check(known, None, shift, predicted))
    return tables


def _networks(benchmark: BenchmarkDir) -> list[str]:
    return [
        run.run_id
        for run in benchmark.runs()
        if (info := run.info()).kind == "network" and abilities_of(run, info).predicts
    ]


def _slices(
    new: pd.DataFrame, truth: NDArray[np.int64], random: np.random.Generator
) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    for column in ("brightness", "contrast", "sharpness", "outlier"):
        order = np.argsort(new[column].to_numpy(), kind="stable")
        count = len(order) // 3
        yield f"{column} low", "slice", order[:count]
        yield f"{column} high", "slice", order[-count:]
    votes = new[[name for name in new.columns if name.startswith(VOTE_PREFIX)]]
    share = (votes.max(axis=1) / votes.sum(axis=1)).to_numpy()
    for low, high in ((0, 0.65), (0.65, 0.85), (0.85, 0.95), (0.95, 1.01)):
        rows = np.flatnonzero((share >= low) & (share < high))
        yield f"annotators agree {low:.0%} to {min(high, 1):.0%}", "slice", rows
    for number in range(RESAMPLED):
        shares = random.dirichlet(np.full(7, 0.7))
        weights = shares[truth] / np.maximum(np.bincount(truth, minlength=7), 1)[truth]
        rows = random.choice(len(truth), 600, p=weights / weights.sum())
        yield f"other classes {number + 1}", "classes", rows


def measure() -> list[Result]:
    """Checks every estimator on every shifted set, and writes the table."""
    from fer_core.data.centerface import CenterFaceDetector
    from training.jobs.transfer_reference import reference_of, sample
    from training.terminal.progress import show_progress

    store = ArtifactStore(artifacts_root())
    benchmark = store.benchmark(BENCHMARK)
    tables = stored_slices(benchmark)
    dataset = PreparedDataset.open(data_root() / BENCHMARK)
    reference = reference_of(benchmark, dataset, CenterFaceDetector(), show_progress)
    if reference is None:
        return [Result("estimates without labels", "not measured: the pictures are not here")]
    rows = sample(dataset.rows("validation"), SHIFTED, seed=2)
    known = source(benchmark, RUNS, set(dataset.samples["id"].to_numpy(dtype=object)[rows]))
    sets = list(shifts(dataset, rows))
    if (other := drawn(store.benchmark(OTHER), benchmark.info())) is not None:
        sets.append(other)
    for shift in show_progress(sets, len(sets), "predicting shifted sets"):
        tables.append(check(known, reference, shift, predict(benchmark, reference, shift)))
    table = pd.concat(tables, ignore_index=True)
    write_table(benchmark.estimate_checks_path, table)
    return _summary(table)


def _summary(table: pd.DataFrame) -> list[Result]:
    """Returns the mean absolute error of each method by kind of shift, in points."""
    results = []
    for kind, rows in table.groupby("kind", sort=False):
        errors = {
            str(name): float(100 * (rows[str(name)] - rows["accuracy"]).abs().mean())
            for name in Estimator
        }
        shown = ", ".join(f"{name} {error:.1f}" for name, error in errors.items())
        results.append(Result(f"mean error in points: {kind}", shown))
    return results
