"""A dry run of a recipe: two training steps on a few images; nothing is saved."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from fer_core.artifacts import BenchmarkDir
from fer_core.config import Recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.engine.callbacks import Callback, FitResult
from fer_core.engine.distillation import Distillation
from fer_core.engine.train_step import TrainStep
from fer_core.engine.trainer import Trainer
from fer_core.errors import FerscopeError, WeightsError
from fer_core.models import build_model, check_progressive_size, with_resolved_model
from fer_core.models.adapters import add_adapter
from fer_core.models.checkpoint import CheckpointFolder
from fer_core.models.weights import initialise
from training.jobs.accelerator import make_accelerator
from training.jobs.distillation import load_hint_teacher, load_teachers
from training.jobs.train import train_data

_STEPS = 2  # and images per step and process


@dataclass(frozen=True)
class SmokeResult:
    """Result of a dry run.

    Attributes:
        fit: The steps.
        notes: Sentences on the initial weights.
        unfit: Why the initial weights cannot be loaded, so that a training would stop; empty if
            they can.
        untrained: Runs that must be trained first, as teachers or as initial weights; empty for
            none.
    """

    fit: FitResult
    notes: tuple[str, ...]
    unfit: str
    untrained: str


def smoke_network(
    recipe: Recipe,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    callback: Callback,
    device: str | None = None,
) -> SmokeResult:
    """Trains a recipe for two steps on a few images and saves nothing.

    The steps are also done without the initial weights or teachers, to test the rest; the result
    says what is missing. With `train.freeze_epochs`, there are two more steps. Nothing is compiled.

    Raises:
        RecipeError: If the network cannot be built.
    """
    recipe = with_resolved_model(recipe)
    check_progressive_size(recipe)
    accelerator = make_accelerator(recipe.train.precision, device)
    batch_size = _STEPS * accelerator.num_processes
    recipe = _short(recipe, batch_size)
    model = build_model(recipe.model, len(dataset.labels))
    notes, error = _initialise(model, recipe, dataset, benchmark)
    add_adapter(model, recipe.model)
    distillation, untrained = _distillation(recipe, dataset, benchmark, accelerator)
    data = train_data(recipe, dataset, limit=_STEPS * batch_size)
    counts = torch.from_numpy(data.train_counts)
    step = TrainStep(model, recipe, counts, accelerator, distillation)
    with tempfile.TemporaryDirectory() as folder:
        fit = Trainer(step, data, CheckpointFolder(Path(folder)), callback).fit()
    if _starts_from_untrained_run(recipe, benchmark):
        return SmokeResult(fit, notes, "", f"{error} {untrained}".strip())
    return SmokeResult(fit, notes, error, untrained)


def _initialise(
    model: nn.Module, recipe: Recipe, dataset: PreparedDataset, benchmark: BenchmarkDir
) -> tuple[tuple[str, ...], str]:
    """Loads the initial weights; returns notes, or the reason why they cannot be loaded."""
    try:
        initial = initialise(model, recipe.model, dataset.labels.names, benchmark.store)
    except WeightsError as error:
        return (), str(error)
    return initial.notes, ""


def _starts_from_untrained_run(recipe: Recipe, benchmark: BenchmarkDir) -> bool:
    kind, _, name = recipe.model.init.partition(":")
    if kind != "run":
        return False
    owner, _, run_id = name.partition("/")
    return not benchmark.store.benchmark(owner).run(run_id).info_path.is_file()


def _distillation(
    recipe: Recipe, dataset: PreparedDataset, benchmark: BenchmarkDir, accelerator: Accelerator
) -> tuple[Distillation, str]:
    """Loads the teachers; returns none and the reason where they are not trained yet."""
    if recipe.distill is None:
        return Distillation(), ""
    where = (dataset, benchmark, accelerator)
    try:
        teachers = load_teachers(recipe.distill, *where)
        return Distillation(teachers, load_hint_teacher(recipe.distill, *where)), ""
    except FerscopeError as error:
        return Distillation(), str(error)


def _short(recipe: Recipe, batch_size: int) -> Recipe:
    frozen = min(1, recipe.train.freeze_epochs)
    train = recipe.train.model_copy(
        update={
            "epochs": 1 + frozen,
            "freeze_epochs": frozen,
            "batch_size": batch_size,
            "progressive_size": 0,
            "progressive_epochs": 0,
            "patience": 0,
            "compile": False,
            "monitor": "accuracy",
        }
    )
    optim = recipe.optim.model_copy(update={"warmup_epochs": 0.0})
    return recipe.model_copy(update={"train": train, "optim": optim, "regression": None})
