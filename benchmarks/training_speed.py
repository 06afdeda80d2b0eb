"""Training throughput, compared with a minimal PyTorch loop on the same model."""

import contextlib
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.result import Result
from fer_core.config import Recipe, load_recipe, recipe_names
from fer_core.data.transforms import Preprocessing
from fer_core.engine.train_step import TrainStep
from fer_core.engine.trainer import TrainData, Trainer
from fer_core.models import build_model, spec_of
from fer_core.models.checkpoint import CheckpointFolder
from training.jobs.accelerator import make_accelerator
from training.options import RECIPES

STEPS, WARM_UP = 8, 3

LEAST = 0.95
"""Smallest throughput relative to the minimal loop."""


class _Clock:
    """Callback that records the end of each step and stops the training after enough steps."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step(self, metrics: object) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) == WARM_UP + STEPS:
            raise StopIteration

    def on_epoch(self, record: object) -> None:
        raise AssertionError("the measurement must end within the first epoch")


def measure() -> Iterator[Result]:
    """Measures each network recipe of the cpu profile at its full image size, uncompiled."""
    for name in recipe_names(RECIPES):
        recipe = load_recipe(RECIPES, name, "cpu")
        # adapters are skipped: their network is measured with another recipe
        if isinstance(recipe, Recipe) and recipe.model.lora is None:
            train = recipe.train.model_copy(
                update={"compile": False, "progressive_size": 0, "progressive_epochs": 0}
            )
            recipe = recipe.model_copy(update={"train": train})
            rate, reference = _training_rate(recipe), _reference_rate(recipe)
            yield Result(
                f"training {name}, {recipe.model.image_size} px, batch {train.batch_size}, "
                f"{train.precision}",
                f"{rate:.0f} images/s",
                f"{reference:.0f} images/s (minimal PyTorch loop): {rate / reference:.0%}",
                target="at least 95% of the minimal loop",
                reached=rate / reference >= LEAST,
            )


def _training_rate(recipe: Recipe) -> float:
    size, count = recipe.train.batch_size, recipe.train.batch_size * (WARM_UP + STEPS + 1)
    images = np.random.default_rng(0).integers(0, 255, (count, 48, 48), dtype=np.uint8)
    spec = spec_of(recipe.model)
    rows = np.arange(count)
    data = TrainData(
        images,
        Preprocessing(48, False, recipe.model.image_size, spec.mean, spec.std),
        rows,
        np.eye(7, dtype=np.float32)[rows % 7],
        np.bincount(rows % 7, minlength=7),
        rows[:8],
        rows[:8] % 7,
    )
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        step = TrainStep(
            build_model(recipe.model, 7),
            recipe,
            torch.from_numpy(data.train_counts),
            make_accelerator(recipe.train.precision, "cpu"),
        )
        trainer = Trainer(step, data, CheckpointFolder(Path(folder)), clock)
        with contextlib.suppress(StopIteration, RuntimeError):
            trainer.fit(deadline=math.inf)
    return STEPS * size / (clock.times[-1] - clock.times[WARM_UP - 1])


def _reference_rate(recipe: Recipe) -> float:
    size = recipe.train.batch_size
    side = recipe.model.image_size
    model = build_model(recipe.model, 7).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = torch.randn(size, 3, side, side).contiguous(memory_format=torch.channels_last)
    targets = torch.arange(size) % 7
    low = make_accelerator(recipe.train.precision, "cpu").mixed_precision == "bf16"
    times = []
    for _ in range(WARM_UP + STEPS):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            logits = model(images)
        loss = torch.nn.functional.cross_entropy(logits.float(), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter())
    return STEPS * size / (times[-1] - times[WARM_UP - 1])
