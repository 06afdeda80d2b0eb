"""Measures finished runs: robustness on corrupted pictures, and cost."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_core.artifacts import BenchmarkDir, RunDir, write_table
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.engine.efficiency import device_title, measure_run
from fer_core.engine.networks import load_network
from fer_core.engine.robustness import CONDITIONS, corrupted_probabilities
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.efficiency import Efficiency, combined
from fer_core.evaluation.ensemble import average_probabilities, members_changed
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.robustness import read_robustness, robustness_row, samples_hash
from fer_core.files import DAMAGED_ARRAYS, atomic_path
from fer_core.provenance import now
from fer_core.records import RunInfo


def chosen_runs(benchmark: BenchmarkDir, names: Sequence[str]) -> list[RunDir]:
    """Returns the named runs, or every finished one; networks first, then ensembles.

    Raises:
        ArtifactError: If a named run is not finished, or there is none.
    """
    runs = [benchmark.run(name) for name in names] or benchmark.runs()
    finished = [run for run in runs if run.info_path.is_file()]
    if not names:  # of imported runs answers alone are known, or a file that is not ours
        finished = [run for run in finished if _kind(run) != "imported"]
    if names and len(finished) < len(runs):
        missing = ", ".join(run.run_id for run in runs if run not in finished)
        raise ArtifactError(f"There is no finished run {missing} in {benchmark.root}.")
    if not finished:
        raise ArtifactError(
            f"{benchmark.name} has no finished run to measure. Train one with "
            f"`python -m training train efficientnet_lite0 --benchmark {benchmark.name}`."
        )
    return sorted(finished, key=lambda run: _kind(run) == "ensemble")


def _kind(run: RunDir) -> str:
    try:
        return run.info().kind
    except ArtifactError:
        return ""  # said when it is measured


def _require_network_or_ensemble(info: RunInfo) -> None:
    if info.kind == "imported":
        raise ArtifactError(
            f"{info.run_id} was imported; only networks of this library and their ensembles are "
            "measured."
        )


@dataclass(frozen=True)
class TestPictures:
    """The pictures that robustness is measured on.

    Attributes:
        images: uint8, shape (N, side, side) or (N, side, side, 3).
        rows: Their rows in the prepared set, which decide their corruptions; shape (N,).
        truth: Ids and classes; the probabilities in it are not used.
        seed: Of the choice of pictures and of their corruptions.
    """

    __test__ = False  # the name is not pytest's business

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    truth: SplitPredictions
    seed: int

    @classmethod
    def draw(cls, dataset: PreparedDataset, count: int, seed: int) -> "TestPictures":
        """Draws test pictures without replacement; all of them where `count` is 0 or too many."""
        rows = dataset.rows("test")
        if 0 < count < len(rows):
            rows = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))
        ids = dataset.samples["id"].to_numpy(dtype=object)[rows]
        classes = len(dataset.labels)
        even = np.full((len(rows), classes), 1 / classes)
        truth = SplitPredictions(dataset.labels, ids, dataset.targets(rows), even)
        return cls(np.asarray(dataset.images[rows]), rows, truth, seed)

    def scores(self, probabilities: NDArray[np.float32]) -> SplitPredictions:
        """Returns scores with these probabilities."""
        given = probabilities.astype(np.float64)
        return SplitPredictions(self.truth.labels, self.truth.ids, self.truth.truth, given)


def measure_robustness(
    run: RunDir,
    benchmark: BenchmarkDir,
    dataset: PreparedDataset,
    pictures: TestPictures,
    device: torch.device,
    progress: Progress,
    *,
    again: bool = False,
) -> bool:
    """Writes a run's `robustness.parquet`; of an ensemble, from its members' answers.

    Returns:
        False if it had been measured already on the same pictures.

    Raises:
        FerscopeError: If the run, or a member, is damaged or does not fit the dataset.
    """
    info = run.info()
    if not again and _is_measured(run, info, pictures):
        return False
    _require_network_or_ensemble(info)
    if info.split_hash != dataset.info.split_hash:
        raise ArtifactError(
            f"{run.run_id} was trained on another split than the prepared set {dataset.info.name}."
        )
    if info.kind == "network":
        answers = _network_answers(run, dataset.format, pictures, device, progress, again=again)
    else:
        if members_changed(run):
            raise ArtifactError(
                f"A member of {run.run_id} was made anew or deleted since it was chosen. Train the "
                "average again, then measure it."
            )
        members = [
            _network_answers(
                benchmark.run(name), dataset.format, pictures, device, progress, again=False
            )
            for name in info.members
        ]
        answers = average_probabilities(
            [part.astype(np.float64) for part in members], info.member_weights, info.logit_shift
        ).astype(np.float32)
    table = pd.DataFrame(
        [
            robustness_row(name, strength, pictures.scores(probabilities), pictures.seed)
            for (name, strength), probabilities in zip(CONDITIONS, answers, strict=True)
        ]
    )
    if run.info().created != info.created:
        raise ArtifactError(f"{run.run_id} was made anew meanwhile. Measure it again.")
    write_table(run.robustness_path, table.assign(run_created=info.created))
    return True


def _is_measured(run: RunDir, info: RunInfo, pictures: TestPictures) -> bool:
    try:
        table = read_robustness(run.robustness_path)
    except ArtifactError:
        return False
    first = table.iloc[0]
    same = (first["seed"], first["samples_hash"]) == (pictures.seed, samples_hash(pictures.truth))
    made = first.get("run_created", info.created)  # earlier versions did not say
    return same and made == info.created and len(table) == len(CONDITIONS)


def _network_answers(
    run: RunDir,
    stored: SampleFormat,
    pictures: TestPictures,
    device: torch.device,
    progress: Progress,
    *,
    again: bool,
) -> NDArray[np.float32]:
    """Probabilities under each condition, shape (conditions, N, K); kept for ensembles."""
    weights = run.weights_path.stat() if run.weights_path.is_file() else None
    pixels = hashlib.sha256(np.ascontiguousarray(pictures.images).tobytes()).hexdigest()[:12]
    stamp = f"{pictures.seed} {samples_hash(pictures.truth)} {pixels} {CONDITIONS}"
    stamp += f" {weights.st_size} {weights.st_mtime_ns}" if weights else ""
    if not again:
        try:
            with np.load(run.corrupted_path, allow_pickle=False) as kept:
                if str(kept["stamp"]) == stamp:
                    return np.asarray(kept["answers"], dtype=np.float32)
        except DAMAGED_ARRAYS:
            pass
    network = load_network(run, stored)
    network.model.to(device).requires_grad_(False)
    steps = corrupted_probabilities(network, pictures.images, pictures.rows, seed=pictures.seed)
    answers = np.stack(list(progress(steps, len(CONDITIONS), run.run_id)))
    if not np.isfinite(answers).all():
        raise ArtifactError(f"{run.run_id} gives no finite answer; its weights are damaged.")
    with atomic_path(run.corrupted_path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, stamp=stamp, answers=answers.astype(np.float16))
    return answers


def measure_efficiency(
    run: RunDir,
    benchmark: BenchmarkDir,
    device: torch.device,
    *,
    threads: int | None = None,
    again: bool = False,
) -> Efficiency:
    """Writes a run's `efficiency.json` and returns it; an ensemble's is the sum of its members'.

    What was measured on this device, with as many threads as are asked for, stays.

    Raises:
        FerscopeError: If the run, or a member, is damaged.
    """
    if not again and run.efficiency_path.is_file():
        try:
            found = Efficiency.read(run.efficiency_path)
        except ArtifactError:
            pass  # a damaged file is measured anew
        else:
            if found.device == device_title(device) and threads in (None, found.threads):
                return found
    info = run.info()
    _require_network_or_ensemble(info)
    if info.kind == "network":
        place = benchmark.info()
        stored = SampleFormat(place.side, place.colour)
        # a fresh process: peak memory only ever grows
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found = process.submit(measure_run, run, stored, device, threads).result()
    else:
        members = [
            measure_efficiency(benchmark.run(name), benchmark, device, threads=threads)
            for name in info.members
        ]
        if len({(member.device, member.threads) for member in members}) > 1:
            raise FerscopeError(
                f"The members of {run.run_id} were measured on different devices or with different "
                "numbers of threads. Measure them all with --again."
            )
        found = combined(run.run_id, members, now())
    found.write(run.efficiency_path)
    return found
