"""Small but real benchmarks and runs, written the way the library writes them."""

import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw

from fer_core.artifacts import ArtifactStore, BenchmarkDir, RunDir
from fer_core.config import EnsembleRecipe, Recipe
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepare import prepare, publish_facts
from fer_core.data.prepared import PreparedDataset
from fer_core.data.sources.base import Origin, Sample
from fer_core.engine.networks import preprocessing_of
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.models import build_model, spec_of
from fer_core.models.checkpoint import save_tensors
from fer_core.records import RunInfo
from fer_core.tables import write_table
from training.jobs.ensembles import build_ensemble
from training.jobs.evaluate import write_run

SIDE = 48


@dataclass(frozen=True)
class ToySource:
    """Grey images whose class is a bright square at a place of its own, plus noise."""

    per_class: int = 12
    labels: tuple[str, ...] = SEVEN_EMOTIONS.names
    seed: int = 0

    origin = Origin("toy", "Toy faces", "CC0", "none")
    colour = False

    def __len__(self) -> int:
        return self.per_class * len(self.labels)

    def __iter__(self):
        random = np.random.default_rng(self.seed)
        for index in range(len(self)):
            target = index % len(self.labels)
            image = random.integers(0, 90, (SIDE, SIDE), dtype=np.uint8)
            x, y = 6 + 12 * (target % 3), 6 + 12 * (target // 3)
            image[y : y + 10, x : x + 10] = 230
            split = ("train", "train", "validation", "test")[(index // len(self.labels)) % 4]
            # the second annotation takes every fifth image for the next class
            other = self.labels[(target + (index % 5 == 0)) % len(self.labels)]
            label = self.labels[target]
            yield Sample(f"{index:04d}", image, label, split, second_label=other)


def toy_dataset(data: Path, name: str = "toy", **options) -> PreparedDataset:
    """Prepares a toy dataset under a data root."""
    return prepare(ToySource(**options), data / name, name=name, side=SIDE)


def toy_recipe(name: str = "efficientnet_lite0", seed: int = 0, **parts) -> Recipe:
    """Returns a recipe small enough for a test."""
    content = {
        "name": name,
        "profile": "cpu",
        "model": {"architecture": "efficientnet_lite0", "image_size": 32},
        "optim": {"warmup_epochs": 0},
        "train": {"epochs": 2, "batch_size": 8, "seed": seed},
    }
    for key, value in parts.items():
        content[key] = {**content.get(key, {}), **value}
    return Recipe.model_validate(content)


def toy_run(
    benchmark: BenchmarkDir,
    dataset: PreparedDataset,
    seed: int,
    name: str = "efficientnet_lite0",
    architecture: str = "efficientnet_lite0",
) -> RunDir:
    """Writes a finished run: a real network with random weights, and constructed predictions."""
    recipe = toy_recipe(name, seed, model={"architecture": architecture})
    torch.manual_seed(seed)
    model = build_model(recipe.model, len(dataset.labels))
    preprocessing = preprocessing_of(recipe, SampleFormat.of(dataset.info))
    run = benchmark.run(f"{name}-cpu-s{seed}")
    info = RunInfo(
        run_id=run.run_id,
        kind="network",
        title="EfficientNet-Lite0" if seed == 0 else f"EfficientNet-Lite0 number {seed}",
        family=spec_of(architecture).family,
        recipe=recipe.model_dump(mode="json"),
        labels=dataset.labels.names,
        init="scratch",
        init_source="",
        seed=seed,
        image_size=recipe.model.image_size,
        preprocessing_hash=preprocessing.hash,
        split_hash=dataset.info.split_hash,
        parameters=sum(weight.numel() for weight in model.parameters()),
        weights_dtype="float32",
        best_epoch=2,
        epochs=2,
        wall_seconds=12.0,
        created="2026-01-01T00:00:00+00:00",
    )
    save_tensors(run.weights_path, model.state_dict(), {"run_id": run.run_id})
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "train_loss": [2.0, 1.5],
            "train_accuracy": [0.2, 0.4],
            "log_loss": [1.9, 1.6],
            "accuracy": [0.3, 0.5],
            "macro_recall": [0.25, 0.4],
            "learning_rate": [1e-3, 1e-4],
            "images_per_second": [100.0, 110.0],
            "seconds": [1.0, 1.0],
            "image_size": [32, 32],
        }
    )
    write_table(run.history_path, history)
    write_run(run, info, constructed_predictions(dataset, seed), dataset.samples)
    return run


def constructed_predictions(dataset: PreparedDataset, seed: int) -> Predictions:
    """Scores in which three of four samples are right; the mistakes go to the next class."""
    splits = {}
    for split in ("validation", "test"):
        rows = dataset.rows(split)
        truth = dataset.targets(rows)
        classes = len(dataset.labels)
        wrong = (np.arange(len(rows)) + seed) % 4 == 3
        predicted = np.where(wrong, (truth + 1) % classes, truth)
        probabilities = np.full((len(rows), classes), 0.4 / (classes - 1))
        probabilities[np.arange(len(rows)), predicted] = 0.6
        ids = dataset.samples["id"].to_numpy(dtype=object)[rows]
        splits[split] = SplitPredictions(dataset.labels, ids, truth, probabilities)
    return Predictions(splits)


@dataclass(frozen=True)
class Toy:
    """Where a toy benchmark was written."""

    artifacts: Path
    data: Path
    benchmark: BenchmarkDir
    dataset: PreparedDataset


def toy_benchmark(root: Path, *, runs: int = 2, name: str = "toy", **options) -> Toy:
    """Writes a benchmark with some runs and, from two on, their ensemble.

    Each kind is made once in a process and then copied: many tests change one of their own.
    """
    shutil.copytree(_original(runs, name, **options), root, dirs_exist_ok=True)
    data, artifacts = root / "data", root / "artifacts"
    benchmark = ArtifactStore(artifacts).benchmark(name)
    return Toy(artifacts, data, benchmark, PreparedDataset.open(data / name))


@functools.cache
def _workshop() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="toys")  # gone when the process ends


@functools.cache
def _original(runs: int, name: str, **options) -> Path:
    root = Path(tempfile.mkdtemp(dir=_workshop().name))
    data, artifacts = root / "data", root / "artifacts"
    dataset = toy_dataset(data, name, **options)
    benchmark = ArtifactStore(artifacts).benchmark(name)
    publish_facts(dataset, benchmark)
    names = ("efficientnet_lite0", "resnet34")
    for seed in range(runs):
        toy_run(benchmark, dataset, seed)
    if runs >= 2:
        toy_run(benchmark, dataset, 0, names[1])
        build_ensemble(
            EnsembleRecipe(kind="ensemble", name="pair", profile="cpu", members=names), benchmark
        )
    return root


def drawn_face(side: int = 240) -> Image.Image:
    """Returns a crude drawn face; nothing of a dataset."""
    picture = Image.new("RGB", (side, side), (120, 130, 140))
    draw = ImageDraw.Draw(picture)
    unit = side / 10
    draw.ellipse([2 * unit, unit, 8 * unit, 9 * unit], fill=(222, 184, 150))
    for x in (3.6, 5.6):
        draw.ellipse([x * unit, 3.6 * unit, (x + 0.9) * unit, 4.3 * unit], fill=(30, 30, 30))
    draw.arc([3.6 * unit, 5.4 * unit, 6.4 * unit, 7.4 * unit], 20, 160, (120, 40, 40), 5)
    return picture
