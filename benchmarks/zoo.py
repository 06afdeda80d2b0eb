"""Inference with all architectures at the image size of the cpu profile, untrained.

Speed does not depend on the weights, so each recipe trains for only two steps on drawn faces.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks import service
from benchmarks.result import Result
from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.config import EnsembleRecipe, Recipe, load_recipe
from fer_core.data.prepare import prepare, publish_facts
from fer_core.data.prepared import PreparedDataset
from fer_core.data.sources.synthetic import SyntheticSource
from fer_core.explain.saliency import Target
from fer_core.predictor import Predictor
from fer_core.synthetic.action_units import PROTOTYPES
from fer_core.synthetic.face import render
from training.jobs.ensembles import build_ensemble
from training.jobs.import_export import export_run
from training.jobs.train import TrainOptions, train_network
from training.options import RECIPES
from training.terminal.progress import TrainingBar

_SHORT = (
    "model.init=scratch", "distill=null", "train.epochs=1", "train.progressive_epochs=0",
    "train.progressive_size=0", "train.compile=false", "train.batch_size=80",
    "optim.warmup_epochs=0",
)  # fmt: skip
IMAGES = 210
SIDE = 48
PREDICT_MS, OVERLAYS_S, MAP_MS = 500, 3.0, 400
_REPEATS = 7


@dataclass(frozen=True)
class Zoo:
    """The benchmark with one run per architecture."""

    benchmark: BenchmarkDir
    dataset: PreparedDataset
    networks: list[str]


def measure() -> Iterator[Result]:
    """Measures predictions, overlays and the service with all networks and their ensemble."""
    with untrained() as zoo:
        run_ids = [*zoo.networks, "all_ensemble-cpu"]
        faces = _faces(zoo)
        predictor = Predictor(zoo.benchmark, torch.device("cpu"))
        yield from _predictions(predictor, run_ids, faces, "PyTorch")
        yield from _overlays(predictor, run_ids, zoo.networks, faces)
        yield from service.throughput(zoo.benchmark, "PyTorch, untrained zoo")
        for run_id in zoo.networks:
            run = zoo.benchmark.run(run_id)
            export_run(run, zoo.dataset.format, run.onnx_path, zoo.dataset)
        yield from _predictions(
            Predictor(zoo.benchmark, torch.device("cpu")), run_ids, faces, "ONNX copies"
        )
        yield from service.throughput(zoo.benchmark, "ONNX copies, untrained zoo")


@contextmanager
def untrained() -> Iterator[Zoo]:
    """Yields a benchmark of drawn faces with a run of each network and their ensemble."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        dataset = prepare(
            SyntheticSource(IMAGES, 0, SIDE), root / "data" / "zoo", name="zoo", side=SIDE
        )
        benchmark = ArtifactStore(root / "artifacts").benchmark("zoo")
        publish_facts(dataset, benchmark)
        ensemble = load_recipe(RECIPES, "all_ensemble", "cpu", [])
        assert isinstance(ensemble, EnsembleRecipe)
        runs = []
        for name in ensemble.members:
            recipe = load_recipe(RECIPES, name, "cpu", list(_SHORT))
            assert isinstance(recipe, Recipe)
            run = train_network(
                recipe, dataset, benchmark, TrainingBar(visible=False), TrainOptions(device="cpu")
            )
            assert run is not None
            runs.append(run.run_id)
        build_ensemble(ensemble, benchmark)
        yield Zoo(benchmark, dataset, runs)


def _faces(zoo: Zoo) -> list[np.ndarray]:
    emotions = list(PROTOTYPES)
    images = [render(900 + n, emotions[n % len(emotions)]).image for n in range(_REPEATS + 1)]
    return [zoo.dataset.format.convert(face) for face in images]


def _predictions(
    predictor: Predictor, run_ids: list[str], faces: list[np.ndarray], backend: str
) -> Iterator[Result]:
    times = [_timed(partial(predictor.predict, [face], run_ids)) for face in faces][1:]
    yield Result(
        f"one new face, {len(run_ids)} predictions, warm, {backend} (median)",
        f"{1000 * median(times):.0f} ms",
        "",
        f"{PREDICT_MS} ms",
        1000 * median(times) < PREDICT_MS,
    )


def _overlays(
    predictor: Predictor, run_ids: list[str], networks: list[str], faces: list[np.ndarray]
) -> Iterator[Result]:
    def all_overlays(face: np.ndarray) -> None:
        for run_id in run_ids:
            predictor.predict_and_explain(face, run_id)

    times = [_timed(partial(all_overlays, face)) for face in faces][1:]
    yield Result(
        f"one new face, {len(run_ids)} predictions with overlays, warm (median)",
        f"{median(times):.2f} s",
        "",
        f"{OVERLAYS_S:g} s",
        median(times) < OVERLAYS_S,
    )
    slowest, seconds = "", 0.0
    for run_id in networks:
        # a contrastive target is new, so no map is cached
        explained = partial(predictor.explain, run_id=run_id, target=Target(3, against=5))
        times_of_run = [_timed(partial(explained, face)) for face in faces]
        if median(times_of_run[1:]) > seconds:
            slowest, seconds = run_id, median(times_of_run[1:])
    yield Result(
        f"one map of the slowest model, {slowest} (median)",
        f"{1000 * seconds:.0f} ms",
        "",
        f"{MAP_MS} ms",
        1000 * seconds < MAP_MS,
    )


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
