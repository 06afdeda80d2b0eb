"""Predicting a transferred set on a Ray cluster; predictions go to the caches of the networks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.artifacts import BenchmarkDir
from fer_core.data.prepared import PreparedDataset
from fer_core.errors import FerscopeError
from fer_core.predictor import Predictor
from training.jobs.prediction_cache import PredictionCache
from training.jobs.ray_engine import map_on_ray, require_seen

Batch = tuple[str, tuple[int, ...]]
"""A network's run, and the rows of the faces that it predicts."""


@dataclass(frozen=True)
class PredictSetJob:
    """Predicts batches of faces with one network at a time.

    Attributes:
        origin: Folder of the benchmark with the runs, which each worker must see under this path.
        faces: Folder of the prepared faces, likewise.
        forward: Faces per forward pass.
        device: "cpu", or None for the best device of the worker.
    """

    origin: Path
    faces: Path
    forward: int
    device: str | None = None

    def load(self) -> Callable[[Batch], NDArray[np.float64] | None]:
        """Opens the faces and the runs.

        Raises:
            DataError: If the faces cannot be seen from here.
        """
        require_seen([self.faces], self.faces)
        images = PreparedDataset.open(self.faces).images
        predictor = Predictor(BenchmarkDir(self.origin), self.device, capacity=1)

        def predict(batch: Batch) -> NDArray[np.float64] | None:
            run_id, rows = batch
            stored = [np.asarray(images[row]) for row in rows]
            try:
                (prediction,) = predictor.predict(stored, [run_id], self.forward)
            except FerscopeError:  # a damaged run does not stop the others; transfer says why
                return None
            return prediction.probabilities

        return predict


def predict_set_on_ray(
    caches: Mapping[str, PredictionCache],
    digests: Sequence[str],
    job: PredictSetJob,
    batch: int,
    workers: int | None,
) -> Iterator[int]:
    """Fills the networks' caches on a Ray cluster; yields once for each predicted face.

    Args:
        caches: Cache of each network, by run id.
        digests: Hash of each face of the set.
        job: Job that each worker loads.
        batch: Faces per task: what a dead worker computes again.
        workers: Number of workers; None for one per GPU of the cluster, or per CPU core.

    Raises:
        MissingExtraError: If Ray is not installed.
        FerscopeError: If workers die repeatedly.
    """
    tasks: list[Batch] = []
    for run_id, cache in caches.items():
        missing = cache.missing(digests)
        starts = range(0, len(missing), batch)
        tasks += [(run_id, tuple(missing[start : start + batch])) for start in starts]
    for number, probabilities in map_on_ray(tasks, job, workers):
        run_id, rows = tasks[number]
        if probabilities is not None:
            caches[run_id].add([digests[row] for row in rows], probabilities)
        yield from rows
