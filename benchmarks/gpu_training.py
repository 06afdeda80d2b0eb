"""Images per second of the training loop on a GPU, against bare steps on data that are there.

The bare step is what no loop can do without: forward and backward pass and the optimizer, on one
batch that stays on the GPU. The loop also augments, averages weights and reports.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from benchmarks.result import Result
from fer_core.config import Recipe, load_recipe, recipe_names
from fer_core.data.transforms import Preprocessing
from fer_core.engine.train_step import TrainStep
from fer_core.engine.trainer import TrainData, Trainer
from fer_core.errors import NoProfileError
from fer_core.models import build_model, spec_of
from fer_core.models.checkpoint import CheckpointFolder
from training.jobs.accelerator import make_accelerator, peak_memory, reset_peak_memory
from training.jobs.speed import EnoughStepsError, Stopwatch
from training.options import RECIPES

LEAST = 0.9
"""Share of the bare steps' speed that the training loop must keep."""

CLASSES = 7


@dataclass(frozen=True)
class Steps:
    """Steps of a measurement; a GPU reports every ten."""

    warm_up: int = 20
    timed: int = 50


def measure() -> Iterator[Result]:
    """Measures each network recipe of the profile gpu_offline, uncompiled."""
    if not torch.cuda.is_available():
        yield Result("training on a GPU", "not measured: there is no CUDA GPU here")
        return
    torch.backends.cudnn.benchmark = True
    for name in recipe_names(RECIPES):
        with suppress(NoProfileError):
            recipe = load_recipe(RECIPES, name, "gpu_offline")
            # an adapter's recipe trains a part of a network that another recipe trains
            if isinstance(recipe, Recipe) and recipe.model.lora is None:
                yield compare(recipe, make_accelerator(recipe.train.precision), Steps())


def compare(recipe: Recipe, accelerator: Accelerator, steps: Steps) -> Result:
    """Measures the loop and the bare steps of a recipe, one after the other."""
    reset_peak_memory(accelerator)
    loop, bare = _loop(recipe, accelerator, steps), _bare(recipe, accelerator, steps)
    return Result(
        f"training {recipe.name}, {recipe.model.image_size} px, batch {recipe.train.batch_size}, "
        f"{accelerator.mixed_precision}, {peak_memory(accelerator)}",
        f"{loop:,.0f} images/s",
        f"{bare:,.0f} images/s (bare steps): {loop / bare:.0%}",
        target=f"at least {LEAST:.0%} of the bare steps",
        reached=loop / bare >= LEAST,
    )


def _loop(recipe: Recipe, accelerator: Accelerator, steps: Steps) -> float:
    # one step more than is measured: the epoch must not end before
    count = recipe.train.batch_size * (steps.warm_up + steps.timed + 1)
    images = np.random.default_rng(0).integers(0, 255, (count, 48, 48), dtype=np.uint8)
    spec, rows = spec_of(recipe.model), np.arange(count)
    data = TrainData(
        images,
        Preprocessing(48, False, recipe.model.image_size, spec.mean, spec.std),
        rows,
        np.eye(CLASSES, dtype=np.float32)[rows % CLASSES],
        np.bincount(rows % CLASSES, minlength=CLASSES),
        rows[:8],
        rows[:8] % CLASSES,
    )
    counts = torch.from_numpy(data.train_counts)
    step = TrainStep(build_model(recipe.model, CLASSES), recipe, counts, accelerator)
    watch = Stopwatch(time.perf_counter, steps.warm_up, steps.timed)
    with tempfile.TemporaryDirectory() as folder, suppress(EnoughStepsError):
        Trainer(step, data, CheckpointFolder(Path(folder)), watch).fit()
    return recipe.train.batch_size / watch.seconds_per_step


def _bare(recipe: Recipe, accelerator: Accelerator, steps: Steps) -> float:
    size, side, device = recipe.train.batch_size, recipe.model.image_size, accelerator.device
    model = build_model(recipe.model, CLASSES).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = torch.randn(size, 3, side, side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    targets = torch.arange(size, device=device) % CLASSES
    started = 0.0
    for step in range(steps.warm_up + steps.timed):
        if step == steps.warm_up:
            _wait(device)
            started = time.perf_counter()
        with accelerator.autocast():
            logits = model(images)
        torch.nn.functional.cross_entropy(logits.float(), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    _wait(device)
    return steps.timed * size / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
