"""Training one network."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core import provenance
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import Recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress, silent
from fer_core.data.targets import RegressionTargets, read_targets
from fer_core.engine.callbacks import Callback, FitResult
from fer_core.engine.distillation import Distillation
from fer_core.engine.networks import Network, preprocessing_of
from fer_core.engine.predict import predict_probabilities
from fer_core.engine.train_step import TrainStep
from fer_core.engine.trainer import TrainData, Trainer
from fer_core.errors import DataError, WeightsError
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.prior_shift import choose_prior_shift, log_frequencies
from fer_core.files import content_hash
from fer_core.models import build_model, check_progressive_size, spec_of, with_resolved_model
from fer_core.models.adapters import adapter_part, add_adapter, base_hash
from fer_core.models.checkpoint import CheckpointFolder, save_tensors
from fer_core.models.logit_shift import require_shiftable, shift_logits
from fer_core.models.regression_head import add_regression_head
from fer_core.models.weights import InitialWeights, initialise
from fer_core.project import ROOT
from fer_core.records import RunInfo
from fer_core.run_commit import atomic_replace, run_lock
from fer_core.tables import write_table
from training.callbacks.progress_files import ProgressWriter
from training.jobs.accelerator import (
    is_compiled,
    is_main_process,
    make_accelerator,
    peak_memory,
    reset_peak_memory,
)
from training.jobs.base_runs import require_unseen_images, unknown_training
from training.jobs.distillation import distilled_targets, load_hint_teacher, load_teachers
from training.jobs.evaluate import predict_splits, require_split, write_regression, write_run


def _ignore(note: str) -> None:
    """Receives a note and does nothing."""


@dataclass(frozen=True)
class RunDescription:
    """The user's description of a run.

    Attributes:
        tags: Short words, without duplicates.
        note: Free text.
    """

    tags: tuple[str, ...] = ()
    note: str = ""

    def with_tags(self, tags: Sequence[str]) -> "RunDescription":
        """Returns the description with further tags."""
        return replace(self, tags=tuple(dict.fromkeys((*self.tags, *tags))))


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training that are not part of its recipe.

    Attributes:
        resume: Whether to continue from the last checkpoint.
        max_minutes: Time limit, after which the training can be resumed; None for no limit.
        device: `cpu`, or None for a GPU if there is one.
        progress: Shows the progress of teachers that predict before the training.
        notify: Receives what became of the initial weights' classifier and unused tensors.
        description: Tags and note of the run.
    """

    resume: bool = False
    max_minutes: float | None = None
    device: str | None = None
    progress: Progress = field(default=silent, compare=False)
    notify: Callable[[str], None] = field(default=_ignore, compare=False)
    description: RunDescription = RunDescription()

    @property
    def deadline(self) -> float:
        """`time.monotonic()` value at which a training that starts now must stop."""
        return math.inf if self.max_minutes is None else time.monotonic() + 60 * self.max_minutes


@dataclass(frozen=True)
class _Setup:
    """The recipe, data and device of a training.

    Attributes:
        compiled: Whether the network is compiled; `auto` of the recipe is resolved.
        description: Tags and note of the run.
    """

    recipe: Recipe
    dataset: PreparedDataset
    benchmark: BenchmarkDir
    accelerator: Accelerator
    compiled: bool
    description: RunDescription

    @property
    def run(self) -> RunDir:
        return self.benchmark.run(self.recipe.run_id)


@dataclass(frozen=True)
class _Components:
    """A network with its initial weights, its data and its teachers.

    Attributes:
        base_hash: Hash of an adapter's base weights; None without an adapter.
        regression: Targets of the regression head; None without one.
        teachers: Creation time of each teacher by run id.
        unknown_training: Notes on imported runs that the training descends from.
    """

    model: nn.Module
    initial: InitialWeights
    base_hash: str | None
    regression: RegressionTargets | None
    data: TrainData
    distillation: Distillation
    teachers: Mapping[str, str]
    unknown_training: tuple[str, ...]


def train_network(
    recipe: Recipe,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    callback: Callback,
    options: TrainOptions | None = None,
) -> RunDir | None:
    """Trains a recipe and writes the run.

    Args:
        recipe: The resolved recipe.
        dataset: The prepared dataset.
        benchmark: The benchmark that gets the run.
        callback: Receives the progress.
        options: Resuming, time limit and device.

    Returns:
        The finished run, or None if the time limit stopped the training first.

    Raises:
        ArtifactError: If another process is training this run.
    """
    run = benchmark.run(recipe.run_id)
    with run_lock(run) if is_main_process() else nullcontext():
        return _train(recipe, dataset, benchmark, callback, options or TrainOptions())


def _train(
    recipe: Recipe,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    callback: Callback,
    options: TrainOptions,
) -> RunDir | None:
    deadline = options.deadline
    recipe = with_resolved_model(recipe)
    check_progressive_size(recipe)
    require_split(dataset, benchmark.info().split_hash, f"The benchmark {benchmark.name}")
    require_unseen_images(recipe, dataset, benchmark.store)
    setup = _setup(recipe, dataset, benchmark, options)
    accelerator, run = setup.accelerator, setup.run
    components = _build(setup, options.progress)
    for note in components.initial.notes:
        options.notify(f"Initial weights ({components.initial.source}): {note}.")
    for note in components.unknown_training:
        options.notify(f"{note}.")
    main = accelerator.is_main_process
    writer = ProgressWriter(callback, run.under_way, recipe) if main else None
    checkpoints = CheckpointFolder(run.state_dir)
    if accelerator.is_main_process and not options.resume:
        checkpoints.clear()
    accelerator.wait_for_everyone()
    step, fingerprint = _train_step(setup, components), _fingerprint(setup, components)
    trainer = Trainer(step, components.data, checkpoints, writer or callback, fingerprint)
    result = trainer.fit(resume=options.resume, deadline=deadline)
    if not result.finished:
        return None
    _finish(setup, components, result)
    if writer is not None:
        checkpoints.clear()
        writer.close()
    accelerator.wait_for_everyone()
    return run


def _setup(
    recipe: Recipe, dataset: PreparedDataset, benchmark: BenchmarkDir, options: TrainOptions
) -> _Setup:
    """Prepares the device and seeds the process."""
    accelerator = make_accelerator(recipe.train.precision, options.device)
    compiled = is_compiled(recipe.train.compile, accelerator.device)
    reset_peak_memory(accelerator)
    _seed(recipe.train.seed, recipe.train.deterministic)
    return _Setup(recipe, dataset, benchmark, accelerator, compiled, options.description)


def _build(setup: _Setup, progress: Progress) -> _Components:
    """Builds the network with its initial weights, adapter and regression head, and its data."""
    recipe, dataset = setup.recipe, setup.dataset
    model = build_model(recipe.model, len(dataset.labels))
    initial = initialise(model, recipe.model, dataset.labels.names, setup.benchmark.store)
    base = base_hash(model, spec_of(recipe.model)) if recipe.model.lora else None
    add_adapter(model, recipe.model)
    regression = _add_regression(model, recipe, dataset)
    if recipe.loss.prior != "fixed":
        require_shiftable(model, spec_of(recipe.model), recipe.model.image_size)
    data, distillation = _distill(setup, train_data(recipe, dataset, regression), progress)
    names = recipe.distill.teachers if recipe.distill else ()
    teachers = {name: setup.benchmark.run(name).info().created for name in names}
    unknown = unknown_training(recipe, setup.benchmark)
    return _Components(model, initial, base, regression, data, distillation, teachers, unknown)


def _distill(setup: _Setup, data: TrainData, progress: Progress) -> tuple[TrainData, Distillation]:
    """Loads the teachers; with `distill.views`, mixes their soft targets into the data."""
    config = setup.recipe.distill
    if config is None:
        return data, Distillation()
    where = (setup.dataset, setup.benchmark, setup.accelerator)
    if not config.views:
        return data, Distillation(load_teachers(config, *where), load_hint_teacher(config, *where))
    targets = distilled_targets(config, data, *where, progress)
    hint_teacher = load_hint_teacher(config, *where)
    return replace(data, train_targets=targets), Distillation(hint_teacher=hint_teacher)


def _train_step(setup: _Setup, components: _Components) -> TrainStep:
    train = setup.recipe.train.model_copy(update={"compile": setup.compiled})
    recipe = setup.recipe.model_copy(update={"train": train})
    counts = torch.from_numpy(components.data.train_counts)
    return TrainStep(components.model, recipe, counts, setup.accelerator, components.distillation)


def _fingerprint(setup: _Setup, components: _Components) -> dict[str, str]:
    """Returns what a checkpoint depends on besides the recipe, by name."""
    dataset, regression = setup.dataset, setup.recipe.regression
    fingerprint = {
        "split": dataset.info.split_hash,
        "classes": ", ".join(dataset.labels.names),
        **{f"teacher {name}": created for name, created in components.teachers.items()},
    }
    if components.base_hash is not None:
        fingerprint["base"] = components.base_hash
    if regression is not None:
        fingerprint["regression targets"] = content_hash(Path(regression.table))
    return fingerprint


def _finish(setup: _Setup, components: _Components, result: FitResult) -> None:
    """Applies the prior shift, predicts validation and test, and writes the run."""
    recipe, model, accelerator = setup.recipe, components.model, setup.accelerator
    if not result.weights:
        raise WeightsError(
            f"No epoch of {recipe.run_id} has a finite validation metric. Lower optim.lr."
        )
    model.load_state_dict(result.weights)
    prior_shift = _apply_prior_shift(setup, components)
    predictions = predict_splits(model, setup.dataset, components.data.preprocessing, accelerator)
    if accelerator.is_main_process:
        _write(
            setup,
            components,
            result,
            _run_info(setup, components, result, prior_shift),
            predictions,
        )


def _write(
    setup: _Setup,
    components: _Components,
    result: FitResult,
    info: RunInfo,
    predictions: Predictions,
) -> None:
    run, recipe, dataset = setup.run, setup.recipe, setup.dataset
    with atomic_replace(run) as new:
        weights = _saved_weights(components.model.state_dict(), recipe)
        save_tensors(new.weights_path, weights, weight_metadata(info))
        if components.regression is not None:
            spec = spec_of(recipe.model)
            network = Network(components.model, spec, components.data.preprocessing, info)
            write_regression(new, network, dataset, components.regression)
        if result.history:
            history = pd.DataFrame([asdict(record) for record in result.history])
            write_table(new.history_path, history)
        if run.under_way.trace_path.is_file():
            write_table(new.trace_path, run.under_way.trace())
        write_run(new, info, predictions, dataset.samples)


def _apply_prior_shift(setup: _Setup, components: _Components) -> float:
    """Chooses the prior shift's strength on validation and adds it to the classifiers' bias.

    Returns:
        The strength; 0 changes nothing.
    """
    if setup.recipe.loss.prior == "fixed":
        return 0.0
    dataset, data = setup.dataset, components.data
    rows = data.validation_rows
    probabilities = predict_probabilities(
        components.model, dataset.images, rows, data.preprocessing, setup.accelerator
    )
    logarithms = log_frequencies(dataset.info.train_counts)
    strength = choose_prior_shift(
        probabilities, data.validation_targets, logarithms, setup.recipe.loss.least_macro_recall
    )
    shift = strength * torch.from_numpy(logarithms).float()
    shift_logits(components.model, spec_of(setup.recipe.model), shift)
    return strength


def _saved_weights(weights: Mapping[str, Tensor], recipe: Recipe) -> dict[str, Tensor]:
    """Returns the content of a run's weight file: with LoRA, the adapter and the classifier."""
    if recipe.model.lora is None:
        return dict(weights)
    return adapter_part(weights, spec_of(recipe.model))


def weight_metadata(info: RunInfo) -> dict[str, Any]:
    """Returns the metadata in the header of a weight file."""
    return {
        "run_id": info.run_id,
        "labels": list(info.classes.names),
        "preprocessing_hash": info.preprocessing_hash,
        "split_hash": info.split_hash,
    }


def _add_regression(
    model: nn.Module, recipe: Recipe, dataset: PreparedDataset
) -> RegressionTargets | None:
    """Reads the recipe's regression targets, if any, and adds a head for them."""
    if recipe.regression is None:
        return None
    targets = read_targets(Path(recipe.regression.table), dataset, recipe.targets)
    values = targets.values[dataset.rows("train")]
    mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    for name in np.array(targets.names)[~(std > 0)]:
        raise DataError(
            f"All training images in {recipe.regression.table} have the same target {name}, so "
            "there is nothing to learn. Check the table."
        )
    add_regression_head(model, spec_of(recipe.model), mean.tolist(), std.tolist())
    return targets


def train_data(
    recipe: Recipe,
    dataset: PreparedDataset,
    regression: RegressionTargets | None = None,
    *,
    limit: int | None = None,
) -> TrainData:
    """Returns a recipe's images and targets; at most `limit` of each split."""
    train, validation = dataset.rows("train"), dataset.rows("validation")[:limit]
    if recipe.loss.no_majority:
        train = np.concatenate([train, dataset.no_majority_rows()])
    train = _subset(train, recipe)[:limit]
    return TrainData(
        images=dataset.images,
        preprocessing=preprocessing_of(recipe, dataset.format),
        train_rows=train,
        train_targets=_targets(recipe, dataset, train),
        train_counts=dataset.info.train_counts,
        validation_rows=validation,
        validation_targets=dataset.targets(validation),
        train_regression=None if regression is None else regression.values[train],
        validation_regression=None if regression is None else regression.values[validation],
    )


def _subset(rows: NDArray[np.int64], recipe: Recipe) -> NDArray[np.int64]:
    """Returns the random subset of `train.max_images`, in the order of the rows.

    Every seed and recipe draws the same images, so that only the recipes differ.
    """
    count = recipe.train.max_images
    if not count or count >= len(rows):
        return rows
    return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:count])]


def _targets(
    recipe: Recipe, dataset: PreparedDataset, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    if recipe.loss.soft_labels:
        return dataset.soft_targets(rows)
    return np.eye(len(dataset.labels), dtype=np.float32)[dataset.targets(rows)]


def _run_info(
    setup: _Setup, components: _Components, result: FitResult, prior_shift: float
) -> RunInfo:
    recipe, info, weights = setup.recipe, setup.dataset.info, list(components.model.parameters())
    spec = spec_of(recipe.model)
    return RunInfo(
        run_id=recipe.run_id,
        kind="network",
        title=f"{spec.title} with LoRA" if recipe.model.lora else spec.title,
        family=spec.family,
        recipe=recipe.model_dump(mode="json"),
        labels=setup.dataset.labels.names,
        init=components.initial.init,
        init_source=components.initial.source,
        init_notes=(*components.initial.notes, *components.unknown_training),
        seed=recipe.train.seed,
        image_size=recipe.model.image_size,
        preprocessing_hash=components.data.preprocessing.hash,
        split_hash=info.split_hash,
        parameters=sum(weight.numel() for weight in weights),
        trained_parameters=sum(weight.numel() for weight in weights if weight.requires_grad),
        base_hash=components.base_hash,
        prior_shift=prior_shift,
        teachers=components.teachers,
        weights_dtype="float32",
        tags=setup.description.tags,
        note=setup.description.note,
        best_epoch=result.best_epoch,
        epochs=len(result.history),
        wall_seconds=round(result.seconds, 1),
        git_commit=provenance.git_commit(ROOT),
        versions=provenance.versions(),
        hardware=_hardware(setup),
        created=provenance.now(),
    )


def _hardware(setup: _Setup) -> dict[str, str]:
    accelerator = setup.accelerator
    precision = accelerator.mixed_precision
    return {
        **provenance.hardware(str(accelerator.device)),
        "processes": str(accelerator.num_processes),
        "precision": "fp32" if precision == "no" else precision,
        "peak memory": peak_memory(accelerator),
        "compiled": "yes" if setup.compiled else "no",
    }


def _seed(seed: int, deterministic: bool) -> None:
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
