"""Training one network."""

import math
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fer_core import provenance
from fer_core.artifacts import BenchmarkDir, RunDir, write_table
from fer_core.config import Recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress, silent
from fer_core.data.targets import RegressionTargets, read_targets
from fer_core.data.transforms import Preprocessing
from fer_core.engine.callbacks import Callback, FitResult
from fer_core.engine.networks import preprocessing_of
from fer_core.engine.predict import predict_probabilities
from fer_core.engine.trainer import TrainData, Trainer
from fer_core.errors import DataError, FerscopeError, WeightsError
from fer_core.evaluation.prior_shift import choose_prior_shift, log_frequencies
from fer_core.files import content_hash
from fer_core.models import build_model, check_small_size, spec_of
from fer_core.models.adapters import adapter_part, add_adapter, base_hash
from fer_core.models.checkpoint import CheckpointFolder, save_tensors
from fer_core.models.regression_head import add_score_head, classifier_of
from fer_core.models.weights import InitialWeights, initialise
from fer_core.project import ROOT
from fer_core.records import RunInfo
from fer_core.run_commit import atomic_replace, run_lock
from training.callbacks.progress_files import ProgressWriter
from training.jobs.accelerator import (
    forget_peak_memory,
    is_compiled,
    is_main_process,
    make_accelerator,
    peak_memory,
)
from training.jobs.base_runs import require_unseen_test
from training.jobs.distillation import load_guide, load_teachers, taught_targets
from training.jobs.evaluate import predict_splits, require_split, write_run, write_scores

_SMOKE = 2  # images a step and process of a smoke run, and steps


def train_network(
    recipe: Recipe,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    observer: Callback,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> RunDir | None:
    """Trains a recipe and writes the run.

    Args:
        recipe: The resolved recipe.
        dataset: The prepared set.
        benchmark: Where the run is written.
        observer: Is told about progress.
        resume: Go on from the last checkpoint.
        max_minutes: Stop, resumable, after this time.
        device: `cpu`, or None for the best there is.
        progress: Shows how far teachers are that are asked before the training.

    Returns:
        The finished run, or None if the time was up first.

    Raises:
        ArtifactError: If another process is training this run.
    """
    run = benchmark.run(recipe.run_id)
    with run_lock(run) if is_main_process() else nullcontext():
        return _train(recipe, dataset, benchmark, observer, resume, max_minutes, device, progress)


def _train(
    recipe: Recipe,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    observer: Callback,
    resume: bool,
    max_minutes: float | None,
    device: str | None,
    progress: Progress,
) -> RunDir | None:
    config = recipe.train
    check_small_size(recipe)
    require_split(dataset, benchmark.info().split_hash, f"The benchmark {benchmark.name}")
    require_unseen_test(recipe, dataset, benchmark.store)
    run = benchmark.run(recipe.run_id)
    accelerator = make_accelerator(config.precision, device)
    compiled = is_compiled(config.compile, accelerator.device)
    forget_peak_memory(accelerator)
    _seed(config.seed, config.deterministic)
    deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
    preprocessing = preprocessing_of(recipe, dataset.format)
    model = build_model(recipe.model, len(dataset.labels))
    initial = initialise(model, recipe.model, dataset.labels.names, benchmark.store)
    base = base_hash(model, spec_of(recipe.model.architecture)) if recipe.model.lora else None
    add_adapter(model, recipe.model)
    scores = _add_scores(model, recipe, dataset)
    checkpoints = CheckpointFolder(run.state_dir)
    train_data = _train_data(recipe, dataset, scores=scores)
    teacher, guide = None, None
    teachers = recipe.distill.teachers if recipe.distill else ()
    if recipe.distill is not None and recipe.distill.views:
        targets = taught_targets(
            recipe.distill, train_data, dataset, benchmark, accelerator, progress
        )
        train_data = replace(train_data, train_targets=targets)
    elif recipe.distill is not None:
        teacher = load_teachers(recipe.distill, dataset, benchmark, accelerator)
    if recipe.distill is not None:
        guide = load_guide(recipe.distill, dataset, benchmark, accelerator)
    taught_by = {name: benchmark.run(name).info().created for name in teachers}
    journal = ProgressWriter(observer, run.under_way) if accelerator.is_main_process else None
    if accelerator.is_main_process and not resume:
        checkpoints.clear()
    accelerator.wait_for_everyone()
    trainer = Trainer(
        model,
        recipe.model_copy(update={"train": config.model_copy(update={"compile": compiled})}),
        train_data,
        preprocessing,
        accelerator,
        checkpoints,
        journal or observer,
        teacher,
        guide,
        {
            "split": dataset.info.split_hash,
            "classes": ", ".join(dataset.labels.names),
            **({"base": base} if base else {}),
            **({"table of scores": content_hash(Path(recipe.score.table))} if recipe.score else {}),
            **{f"teacher {name}": created for name, created in taught_by.items()},
        },
    )
    result = trainer.fit(resume=resume, deadline=deadline)
    if not result.finished:
        return None
    if not result.weights:
        raise WeightsError(
            f"No epoch of {recipe.run_id} gave a number on validation; try a lower optim.lr."
        )
    model.load_state_dict(result.weights)
    strength = _settle_prior(model, recipe, dataset, preprocessing, accelerator)
    predictions = predict_splits(model, dataset, preprocessing, accelerator)
    if accelerator.is_main_process:
        info = _run_info(recipe, dataset, preprocessing, initial, model, result, accelerator)
        info = info.model_copy(
            update={
                "base_hash": base,
                "teachers": taught_by,
                "prior_shift": strength,
                "hardware": {**info.hardware, "compiled": "yes" if compiled else "no"},
            }
        )
        with atomic_replace(run) as place:
            save_tensors(place.weights_path, _kept(model.state_dict(), recipe), weight_facts(info))
            if scores is not None:
                write_scores(place, model, recipe, dataset, preprocessing, scores)
            _write_history(place, result)
            if run.under_way.trace_path.is_file():
                write_table(place.trace_path, run.under_way.trace())
            write_run(place, info, predictions, dataset.samples)
        checkpoints.clear()
    if journal is not None:
        journal.close()
    accelerator.wait_for_everyone()
    return run


def smoke_network(
    recipe: Recipe,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    observer: Callback,
    device: str | None = None,
) -> tuple[FitResult, str]:
    """Trains a recipe for two steps on a few images and keeps nothing: does it run at all?

    The only place where another start than the asked one is taken, because the question is
    about the code, not about the weights. Where the recipe trains the classifier first, two more
    steps do; nothing is compiled.

    Returns:
        The result, and what was left out (weights or teachers that are not here), or empty.
    """
    check_small_size(recipe)
    accelerator = make_accelerator(recipe.train.precision, device)
    left_out, batch_size = [], _SMOKE * accelerator.num_processes
    frozen = min(1, recipe.train.freeze_epochs)
    train = recipe.train.model_copy(
        update={"epochs": 1 + frozen, "freeze_epochs": frozen, "batch_size": batch_size}
        | {"small_size": 0, "small_epochs": 0, "patience": 0, "compile": False}
        | {"monitor": "accuracy"}
    )
    optim = recipe.optim.model_copy(update={"warmup_epochs": 0.0})
    recipe = recipe.model_copy(update={"train": train, "optim": optim, "score": None})
    model = build_model(recipe.model, len(dataset.labels))
    try:
        initialise(model, recipe.model, dataset.labels.names, benchmark.store)
    except WeightsError as error:
        left_out.append(str(error))
    add_adapter(model, recipe.model)
    teacher, guide = None, None
    try:
        if recipe.distill is not None:
            teacher = load_teachers(recipe.distill, dataset, benchmark, accelerator)
            guide = load_guide(recipe.distill, dataset, benchmark, accelerator)
    except FerscopeError as error:
        left_out.append(str(error))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            recipe,
            _train_data(recipe, dataset, limit=_SMOKE * batch_size),
            preprocessing_of(recipe, dataset.format),
            accelerator,
            CheckpointFolder(Path(folder)),
            observer,
            teacher,
            guide,
        )
        return trainer.fit(), " ".join(left_out)


def _settle_prior(
    model: nn.Module,
    recipe: Recipe,
    dataset: PreparedDataset,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
) -> float:
    """Lets validation choose how far class frequencies speak, and puts it into the classifier.

    Returns:
        The strength that was chosen; 0 changes nothing.
    """
    if recipe.loss.prior == "fixed":
        return 0.0
    rows = dataset.rows("validation")
    probabilities = predict_probabilities(model, dataset.images, rows, preprocessing, accelerator)
    logarithms = log_frequencies(dataset.info.train_counts)
    strength = choose_prior_shift(probabilities, dataset.targets(rows), logarithms)
    bias = classifier_of(model, spec_of(recipe.model.architecture)).bias
    with torch.no_grad():
        bias.add_(strength * torch.from_numpy(logarithms).to(bias))
    return strength


def _kept(weights: Mapping[str, Tensor], recipe: Recipe) -> dict[str, Tensor]:
    """Returns what a run's weight file holds: under LoRA the adapter and the classifier alone."""
    if recipe.model.lora is None:
        return dict(weights)
    return adapter_part(weights, spec_of(recipe.model.architecture))


def weight_facts(info: RunInfo) -> dict[str, Any]:
    """Returns what a weight file says of itself."""
    return {
        "run_id": info.run_id,
        "labels": list(info.labels),
        "preprocessing_hash": info.preprocessing_hash,
        "split_hash": info.split_hash,
    }


def _add_scores(
    model: nn.Module, recipe: Recipe, dataset: PreparedDataset
) -> RegressionTargets | None:
    """Reads the recipe's table of scores, if it has one, and puts a head for them in place."""
    if recipe.score is None:
        return None
    scores = read_targets(Path(recipe.score.table), dataset)
    known = scores.values[dataset.rows("train")]
    known = known[~np.isnan(known)]
    spread = float(known.std())
    if not spread > 0:
        raise DataError(
            f"All training images of {recipe.score.table} have the same score; there is nothing "
            "to learn from them."
        )
    add_score_head(model, spec_of(recipe.model.architecture), float(known.mean()), spread)
    return scores


def _train_data(
    recipe: Recipe,
    dataset: PreparedDataset,
    *,
    limit: int | None = None,
    scores: RegressionTargets | None = None,
) -> TrainData:
    train, validation = dataset.rows("train"), dataset.rows("validation")[:limit]
    if recipe.loss.disputed:
        train = np.concatenate([train, dataset.no_majority_rows()])
    train = train[:limit]
    return TrainData(
        images=dataset.images,
        train_rows=train,
        train_targets=dataset.soft_targets(train)
        if recipe.loss.soft_labels
        else np.eye(len(dataset.labels), dtype=np.float32)[dataset.targets(train)],
        train_counts=dataset.info.train_counts,
        validation_rows=validation,
        validation_targets=dataset.targets(validation),
        train_scores=None if scores is None else scores.values[train],
        validation_scores=None if scores is None else scores.values[validation],
    )


def _run_info(
    recipe: Recipe,
    dataset: PreparedDataset,
    preprocessing: Preprocessing,
    initial: InitialWeights,
    model: nn.Module,
    result: FitResult,
    accelerator: Accelerator,
) -> RunInfo:
    spec = spec_of(recipe.model.architecture)
    return RunInfo(
        run_id=recipe.run_id,
        kind="network",
        title=f"{spec.title} with LoRA" if recipe.model.lora else spec.title,
        family=spec.family,
        recipe=recipe.model_dump(mode="json"),
        labels=dataset.labels.names,
        init=initial.init,
        init_source=initial.source,
        seed=recipe.train.seed,
        image_size=recipe.model.image_size,
        preprocessing_hash=preprocessing.hash,
        split_hash=dataset.info.split_hash,
        parameters=sum(weight.numel() for weight in model.parameters()),
        trained_parameters=sum(
            weight.numel() for weight in model.parameters() if weight.requires_grad
        ),
        weights_dtype="float32",
        best_epoch=result.best_epoch,
        epochs=len(result.history),
        wall_seconds=round(result.seconds, 1),
        git_commit=provenance.git_commit(ROOT),
        versions=provenance.versions(),
        hardware=provenance.hardware(str(accelerator.device))
        | {
            "processes": str(accelerator.num_processes),
            "precision": {"no": "fp32"}.get(
                accelerator.mixed_precision, accelerator.mixed_precision
            ),
            "peak memory": peak_memory(accelerator),
        },
        created=provenance.now(),
    )


def _write_history(run: RunDir, result: FitResult) -> None:
    if result.history:
        write_table(run.history_path, pd.DataFrame([asdict(record) for record in result.history]))


def _seed(seed: int, deterministic: bool) -> None:
    torch.manual_seed(seed)
    if deterministic:  # without it cuBLAS refuses; it is read when the first product is computed
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
