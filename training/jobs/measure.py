"""Measuring finished runs: robustness to corruptions, and efficiency."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_core.abilities import abilities_of
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.engine.efficiency import device_title, measure_run
from fer_core.engine.robustness import CONDITIONS, corrupted
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.efficiency import Efficiency, combined
from fer_core.evaluation.ensemble import average_probabilities, require_members
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.robustness import read_robustness, robustness_row, samples_hash
from fer_core.provenance import now
from fer_core.records import RunInfo
from fer_core.tables import write_table
from training.jobs.evaluate import predictions_of_rows
from training.jobs.saved_predictions import SavedPredictions, saved_by_member, weights_stamp


def requested_runs(benchmark: BenchmarkDir, names: Sequence[str]) -> list[RunDir]:
    """Returns the named runs, or all finished ones; networks first, then ensembles.

    Raises:
        ArtifactError: If a named run is not finished, or no run is.
    """
    runs = [benchmark.run(name) for name in names] or benchmark.runs()
    finished = [run for run in runs if run.info_path.is_file()]
    if not names:
        finished = [run for run in finished if _predicts(run)]
    if names and len(finished) < len(runs):
        missing = ", ".join(run.run_id for run in runs if run not in finished)
        raise ArtifactError(
            f"{benchmark.name} has no finished run {missing}. Check the ids, or train it first."
        )
    if not finished:
        raise ArtifactError(
            f"{benchmark.name} has no finished run to measure. Train one with "
            f"`python -m training train efficientnet_lite0 --benchmark {benchmark.name}`."
        )
    return sorted(finished, key=is_ensemble)


def is_ensemble(run: RunDir) -> bool:
    """Whether a run is an ensemble; False if it is damaged, which measuring it reports."""
    try:
        return run.info().kind == "ensemble"
    except ArtifactError:
        return False


def _predicts(run: RunDir) -> bool:
    try:
        return abilities_of(run).predicts
    except ArtifactError:
        return True  # measuring it reports the damage


def require_predicts(run: RunDir) -> None:
    """Checks that a run can predict new images.

    Raises:
        ArtifactError: If it cannot.
    """
    abilities = abilities_of(run)
    if not abilities.predicts:
        raise ArtifactError(f"{run.run_id} cannot be measured: {abilities.reason}")


@dataclass(frozen=True)
class SampledPictures:
    """Images of one split on which robustness is measured.

    Attributes:
        images: uint8, shape (N, side, side) or (N, side, side, 3).
        rows: Rows of the images in the prepared dataset, which seed the corruptions; shape (N,).
        truth: Ids and classes; its probabilities are not used.
        seed: Seed of the sample and of the corruptions.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    truth: SplitPredictions
    seed: int

    @classmethod
    def draw(
        cls, dataset: PreparedDataset, count: int, seed: int, split: str = "test"
    ) -> "SampledPictures":
        """Draws images without replacement; all if `count` is 0 or larger than the split."""
        rows = dataset.rows(split)
        if 0 < count < len(rows):
            rows = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
        classes = len(dataset.labels)
        uniform = np.full((len(rows), classes), 1 / classes)
        truth = predictions_of_rows(dataset, rows, uniform)
        return cls(np.asarray(dataset.images[rows]), rows, truth, seed)

    def predictions(self, probabilities: NDArray[np.float32]) -> SplitPredictions:
        """Wraps probabilities as predictions of these images."""
        values = probabilities.astype(np.float64)
        return SplitPredictions(self.truth.labels, self.truth.ids, self.truth.truth, values)


def measure_robustness(
    run: RunDir,
    dataset: PreparedDataset,
    pictures: SampledPictures,
    device: torch.device,
    progress: Progress,
    *,
    again: bool = False,
) -> bool:
    """Writes a run's `robustness.parquet`; an ensemble's comes from its members' predictions.

    An interrupted measurement continues after the last finished condition.

    Args:
        run: A network's or an ensemble's run.
        dataset: The prepared dataset.
        pictures: The test images.
        device: Device to predict on.
        progress: Shows progress over corruptions.
        again: Whether to measure again if the same images were measured.

    Returns:
        False if the same images were measured already.

    Raises:
        FerscopeError: If the run or a member is damaged, or has another split than the dataset.
    """
    info = run.info()
    if not again and _is_measured(run, info, pictures):
        return False
    require_measurable(run, info, dataset)
    conditions = {f"{name} {severity}": (name, severity) for name, severity in CONDITIONS}

    def images(key: str) -> NDArray[np.uint8]:
        return corrupted(pictures.images, conditions[key], pictures.rows, pictures.seed)

    def saved_of(member: RunDir) -> SavedPredictions:
        stamp = input_stamp(member, pictures)
        return SavedPredictions(member, member.corrupted_path, stamp, 128, np.float32)

    members = [
        saved.complete(list(conditions), images, dataset.format, device, progress)
        for saved in saved_by_member(run, info, saved_of, again=again)
    ]
    rows = []
    for key, (name, severity) in conditions.items():
        predictions = pictures.predictions(average_members([m[key] for m in members], info))
        rows.append(robustness_row(name, severity, predictions, pictures.seed))
    require_unchanged(run, info)
    write_table(run.robustness_path, pd.DataFrame(rows).assign(run_created=info.created))
    return True


def require_measurable(run: RunDir, info: RunInfo, dataset: PreparedDataset) -> None:
    """Checks that a run can be measured on a prepared dataset.

    Raises:
        ArtifactError: If it cannot predict, has another split, or is an ensemble with a changed
            member.
    """
    require_predicts(run)
    if info.split_hash != dataset.info.split_hash:
        raise ArtifactError(
            f"{run.run_id} has another split than the prepared dataset {dataset.info.name}. "
            "Prepare the data again with the same options."
        )
    require_members(run)


def require_unchanged(run: RunDir, info: RunInfo) -> None:
    """Checks that a run was not retrained since its `run.json` was read.

    Raises:
        ArtifactError: If it was.
    """
    if run.info().created != info.created:
        raise ArtifactError(f"{run.run_id} was retrained during the measurement. Measure it again.")


def average_members(members: Sequence[NDArray[np.floating]], info: RunInfo) -> NDArray[np.float32]:
    """Averages members' predictions as an ensemble does; a network's stay as they are.

    Args:
        members: Probabilities, each of shape (..., K).
        info: Metadata of the run.
    """
    if info.kind != "ensemble":
        return members[0].astype(np.float32)
    wide = [member.astype(np.float64) for member in members]
    return average_probabilities(wide, info.member_weights, info.logit_shift).astype(np.float32)


def _is_measured(run: RunDir, info: RunInfo, pictures: SampledPictures) -> bool:
    try:
        table = read_robustness(run.robustness_path)
    except ArtifactError:
        return False
    first = table.iloc[0]
    same = (first["seed"], first["samples_hash"]) == (pictures.seed, samples_hash(pictures.truth))
    created = first.get("run_created", info.created)  # earlier versions have no such column
    return same and created == info.created and len(table) == len(CONDITIONS)


def input_stamp(run: RunDir, pictures: SampledPictures) -> str:
    """Returns what cached predictions of a network depend on: the images and its weights."""
    pixels = hashlib.sha256(np.ascontiguousarray(pictures.images).tobytes()).hexdigest()[:12]
    return f"{pictures.seed} {samples_hash(pictures.truth)} {pixels} {weights_stamp(run)}"


def measure_efficiency(
    run: RunDir, device: torch.device, *, threads: int | None = None, again: bool = False
) -> Efficiency:
    """Measures a run and writes `efficiency.json`; an ensemble's is the sum of its members'.

    Args:
        run: A network's or an ensemble's run.
        device: Device to measure on.
        threads: Threads on a CPU; torch's default if None.
        again: Whether to measure again if there are results for this device and these threads.

    Raises:
        FerscopeError: If the run or a member is damaged.
    """
    if not again and (earlier := _earlier_efficiency(run, device, threads)) is not None:
        return earlier
    info = run.info()
    require_predicts(run)
    if info.kind != "ensemble":
        benchmark = run.benchmark.info()
        stored = SampleFormat.of(benchmark)
        # a new process, because peak memory never falls
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            efficiency = process.submit(measure_run, run, stored, device, threads).result()
    else:
        members = [
            measure_efficiency(run.benchmark.run(name), device, threads=threads)
            for name in info.members
        ]
        if len({(member.device, member.threads) for member in members}) > 1:
            raise FerscopeError(
                f"The members of {run.run_id} were measured on different devices or with different "
                "numbers of threads. Measure all of them with --again."
            )
        efficiency = combined(run.run_id, members, now())
    efficiency.write(run.efficiency_path)
    return efficiency


def _earlier_efficiency(
    run: RunDir, device: torch.device, threads: int | None
) -> Efficiency | None:
    """Returns a run's results for a device and number of threads, if there are any."""
    if not run.efficiency_path.is_file():
        return None
    try:
        earlier = Efficiency.read(run.efficiency_path)
    except ArtifactError:
        return None  # a damaged file is written again
    same = earlier.device == device_title(device) and threads in (None, earlier.threads)
    return earlier if same else None
