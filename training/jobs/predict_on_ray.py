"""Predicting the parts of many files on a Ray cluster; parts that are done are kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.artifacts import BenchmarkDir
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.progress import Progress, silent
from fer_core.predictor import Predictor
from training.jobs.predict import Files, PredictOptions, Tally, predict_part
from training.jobs.predict_parts import PartsFolder, split_files
from training.jobs.ray_engine import Job, map_on_ray, require_seen

if TYPE_CHECKING:
    from fer_core.evaluation.operating_points import OperatingPoint


@dataclass(frozen=True)
class PredictJob:
    """Loads the predictor of the command `predict` in a worker.

    Attributes:
        artifacts: The benchmark's folder, which each worker must see under this path.
        run_ids: At least one run.
        options: Frame rate, smoothing, threshold and test-time jitter.
        cropped: Whether the files show cropped faces.
        device: "cpu", or None for the best device of the worker.
        point: Temperature and class priors that a run is predicted with.
    """

    artifacts: Path
    run_ids: tuple[str, ...]
    options: PredictOptions
    cropped: bool
    device: str | None = None
    point: "OperatingPoint | None" = None

    def load(self) -> Callable[[Files], Tally]:
        """Loads the predictor and the face detector.

        Raises:
            ArtifactError: If the benchmark is damaged or cannot be seen from here.
        """
        predictor = Predictor(BenchmarkDir(self.artifacts), self.device)
        if self.point is not None:
            predictor.obey(self.point)
        detector = None if self.cropped else CenterFaceDetector()

        def predict(files: Files) -> Tally:
            require_seen([*files.pictures, *files.videos], files.root)
            return predict_part(files, predictor, self.run_ids, detector, silent, self.options)

        return predict


def predict_parts_on_ray(
    files: Files,
    folder: PartsFolder,
    job: Job[Files, Tally],
    progress: Progress,
    workers: int | None = None,
) -> None:
    """Predicts the missing parts on a Ray cluster and writes them to the folder.

    `predict_in_parts` then reads them, so the rows are those of one machine.

    Args:
        files: Images and videos.
        folder: Keeps the finished parts.
        job: Job that each worker loads.
        progress: Shows progress over parts.
        workers: Number of workers; None for one per GPU of the cluster, or per CPU core.

    Raises:
        MissingExtraError: If Ray is not installed.
        FerscopeError: If a part cannot be predicted, or its workers die repeatedly.
    """
    folder.start()
    parts = split_files(_absolute(files))
    todo = [number for number in range(len(parts)) if folder.read(number) is None]
    done = map_on_ray([parts[number] for number in todo], job, workers)
    for position, tally in progress(done, len(todo), "predicting parts on the cluster"):
        folder.write(todo[position], tally)


def _absolute(files: Files) -> Files:
    """Names files so that workers with another working folder find them."""
    return Files(
        files.root.absolute(),
        tuple(path.absolute() for path in files.pictures),
        tuple(path.absolute() for path in files.videos),
        {path.absolute(): why for path, why in files.unreadable.items()},
    )
