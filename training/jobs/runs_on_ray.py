"""Measuring and explaining runs on a Ray cluster, each run on one worker.

The workers write their results beside the runs, as the commands do on one machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress, silent
from fer_core.engine.devices import Device
from fer_core.errors import FerscopeError
from fer_core.predictor import Predictor
from training.jobs.explain import ExplainedSplit, explain_run, make_plan
from training.jobs.framing_shifts import draw_splits, measure_framing_shifts
from training.jobs.measure import SampledPictures, is_ensemble, measure_robustness
from training.jobs.ray_engine import Job, map_on_ray, require_seen

Result = TypeVar("Result")


@dataclass(frozen=True)
class RobustnessJob:
    """Measures the robustness of a run.

    Attributes:
        artifacts: The benchmark's folder, which each worker must see under this path.
        data: Folder of its prepared images, likewise.
        images: Number of images per split; 0 for all.
        seed: Seed of the sample and of the changes.
        framing: Whether framing shifts are measured, and not corruptions.
        again: Whether to measure again if the same images were measured.
        device: "cpu", or None for the best device of the worker.
    """

    artifacts: Path
    data: Path
    images: int
    seed: int
    framing: bool = False
    again: bool = False
    device: str | None = None

    def load(self) -> Callable[[str], bool]:
        """Draws the images.

        Raises:
            DataError: If the images cannot be seen from here.
        """
        require_seen([self.data], self.data)
        dataset, benchmark = PreparedDataset.open(self.data), BenchmarkDir(self.artifacts)
        device = Device(self.device).torch
        one = SampledPictures.draw(dataset, self.images, self.seed)
        both = draw_splits(dataset, self.images, self.seed) if self.framing else {}

        def measure(run_id: str) -> bool:
            run = benchmark.run(run_id)
            if self.framing:
                return measure_framing_shifts(run, dataset, both, device, silent, again=self.again)
            return measure_robustness(run, dataset, one, device, silent, again=self.again)

        return measure


@dataclass(frozen=True)
class ExplainJob:
    """Evaluates the saliency methods of a run.

    Attributes:
        artifacts: The benchmark's folder, which each worker must see under this path.
        data: Folder of its prepared images, likewise.
        images: Number of images.
        drawn: Number of drawn faces.
        seed: Seed of the sample, noise and random weights.
        split: Split of the images.
        methods: Keys of methods; all that a run supports if empty.
        overwrite: Whether to evaluate methods again.
        device: "cpu", or None for the best device of the worker.
    """

    artifacts: Path
    data: Path
    images: int
    drawn: int
    seed: int
    split: ExplainedSplit = "test"
    methods: tuple[str, ...] = ()
    overwrite: bool = False
    device: str | None = None

    def load(self) -> Callable[[str], list[str]]:
        """Draws the faces.

        Raises:
            DataError: If the images cannot be seen from here.
        """
        require_seen([self.data], self.data)
        dataset, benchmark = PreparedDataset.open(self.data), BenchmarkDir(self.artifacts)
        plan = make_plan(dataset, self.images, self.drawn, self.seed, self.split)
        predictor = Predictor(benchmark, self.device)

        def explain(run_id: str) -> list[str]:
            run, overwrite = benchmark.run(run_id), self.overwrite
            return explain_run(predictor, run, plan, silent, self.methods, overwrite=overwrite)

        return explain


def runs_on_ray(
    runs: Sequence[RunDir],
    job: Job[str, Result],
    progress: Progress,
    workers: int | None = None,
) -> dict[str, Result]:
    """Computes runs on a Ray cluster, networks first: ensembles use the results of their members.

    Args:
        runs: Finished runs.
        job: Measures or explains a run by its id.
        progress: Shows progress over runs.
        workers: Number of workers; None for one per GPU of the cluster, or per CPU core.

    Returns:
        What the job returned by run id; runs that failed are missing, and the command, which
        computes them once more, says why.

    Raises:
        MissingExtraError: If Ray is not installed.
        FerscopeError: If workers die repeatedly.
    """
    done: dict[str, Result] = {}
    ensembles = [run.run_id for run in runs if is_ensemble(run)]
    networks = [run.run_id for run in runs if run.run_id not in ensembles]
    for run_ids, what in ((networks, "networks"), (ensembles, "ensembles")):
        results = map_on_ray(run_ids, _Tolerant(job), workers)
        for number, result in progress(results, len(run_ids), f"{what} on the cluster"):
            if result is not None:
                done[run_ids[number]] = result
    return done


@dataclass(frozen=True)
class _Tolerant(Generic[Result]):
    """A job whose failures give None, because a damaged run must not stop the others."""

    job: Job[str, Result]

    @property
    def device(self) -> str | None:
        return self.job.device

    def load(self) -> Callable[[str], Result | None]:
        function = self.job.load()

        def compute(run_id: str) -> Result | None:
            try:
                return function(run_id)
            except FerscopeError:
                return None

        return compute
