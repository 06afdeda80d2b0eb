"""The jobs behind the commands: from a recipe and a prepared set to a run on disk."""

import math
import os
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn

from fer_core import provenance
from fer_core.artifacts import (
    ArtifactStore,
    BenchmarkDir,
    RunDir,
    RunInfo,
    write_table,
)
from fer_core.config import EnsembleRecipe, Recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.data.transforms import Preprocessing
from fer_core.engine.fit import FitResult, Observer, TrainData, Trainer
from fer_core.engine.networks import load_network, preprocessing_of
from fer_core.engine.predict import predict_logits, predict_probabilities
from fer_core.engine.teacher import Teacher
from fer_core.errors import (
    ArtifactError,
    DataError,
    FerscopeError,
    RecipeError,
    WeightsError,
)
from fer_core.evaluation.ensemble import average, greedy_weights
from fer_core.evaluation.predictions import Predictions, Scores
from fer_core.evaluation.report import Protocol, Report, build_report
from fer_core.models import build_model, spec_of
from fer_core.models.checkpoint import (
    CheckpointFolder,
    half_precision,
    load_tensors,
    save_tensors,
)
from fer_core.models.weights import InitialWeights, initialise
from fer_core.project import ROOT

EVALUATED = ("validation", "test")
_SMOKE = 4  # images of a smoke run
MAX_HALF_DIFFERENCE = 0.02
"""Largest change of a validation probability that float16 weights may make."""


def run_name(recipe: Recipe | EnsembleRecipe, seed: int) -> str:
    """Returns the run id: recipe, profile and seed; an ensemble has no seed."""
    if isinstance(recipe, EnsembleRecipe):
        return f"{recipe.name}-{recipe.profile}"
    return f"{recipe.name}-{recipe.profile}-s{seed}"


def is_main_process() -> bool:
    """Whether this process prints and writes; true without `accelerate launch`."""
    return os.environ.get("RANK", "0") == "0"


def make_accelerator(precision: str, device: str | None = None) -> Accelerator:
    """Returns the accelerator of a precision, on a GPU where there is one.

    Raises:
        RecipeError: If the precision cannot be had on this device.
    """
    cpu = device == "cpu" or not torch.cuda.is_available()
    if cpu and precision == "fp16":
        raise RecipeError(
            "Precision fp16 needs a CUDA GPU, and none is in use. "
            "Choose bf16 or fp32 with --set train.precision=fp32."
        )
    mode = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[precision]
    return Accelerator(cpu=cpu, mixed_precision=mode)


def train_network(
    recipe: Recipe,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    observer: Observer,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    device: str | None = None,
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

    Returns:
        The finished run, or None if the time was up first.
    """
    config = recipe.train
    run = benchmark.run(run_name(recipe, config.seed))
    accelerator = make_accelerator(config.precision, device)
    _seed(config.seed, config.deterministic)
    deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
    preprocessing = preprocessing_of(recipe, dataset.format)
    model = build_model(recipe.model, len(dataset.labels))
    store = ArtifactStore(benchmark.root.parent)
    initial = initialise(model, recipe.model, dataset.labels.names, store)
    checkpoints = CheckpointFolder(run.state_dir)
    teacher = _teacher(recipe, dataset, benchmark, accelerator)
    trainer = Trainer(
        model,
        recipe,
        _train_data(recipe, dataset),
        preprocessing,
        accelerator,
        checkpoints,
        observer,
        teacher,
    )
    result = trainer.fit(resume=resume, deadline=deadline)
    if accelerator.is_main_process:
        _write_history(run, result)
    if not result.finished:
        return None
    model = build_model(recipe.model, len(dataset.labels)).to(accelerator.device)
    model.load_state_dict(result.weights)
    predictions = predict_splits(model, dataset, preprocessing, accelerator)
    if accelerator.is_main_process:
        info = _run_info(recipe, dataset, preprocessing, initial, model, result, accelerator)
        save_tensors(run.weights_path, dict(result.weights), _weight_facts(info))
        write_run(run, info, predictions, dataset.samples)
    accelerator.wait_for_everyone()
    return run


def smoke_network(
    recipe: Recipe, dataset: PreparedDataset, benchmark: BenchmarkDir, observer: Observer
) -> tuple[FitResult, str]:
    """Trains a recipe for two steps on a few images and keeps nothing: does it run at all?

    The only place where another start than the asked one is taken, because the question is
    about the code, not about the weights.

    Returns:
        The result, and what was left out (weights or teachers that are not here), or empty.
    """
    left_out = []
    train = recipe.train.model_copy(
        update={"epochs": 1, "batch_size": _SMOKE // 2, "compile": False, "precision": "fp32"}
        | {"small_size": 0, "small_epochs": 0, "freeze_epochs": 0, "patience": 0}
    )
    optim = recipe.optim.model_copy(update={"warmup_epochs": 0.0})
    recipe = recipe.model_copy(update={"train": train, "optim": optim})
    model = build_model(recipe.model, len(dataset.labels))
    try:
        store = ArtifactStore(benchmark.root.parent)
        initialise(model, recipe.model, dataset.labels.names, store)
    except WeightsError as error:
        left_out.append(str(error))
    accelerator = make_accelerator("fp32")
    try:
        teacher = _teacher(recipe, dataset, benchmark, accelerator)
    except FerscopeError as error:
        teacher = None
        left_out.append(str(error))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            recipe,
            _train_data(recipe, dataset, limit=_SMOKE),
            preprocessing_of(recipe, dataset.format),
            accelerator,
            CheckpointFolder(Path(folder)),
            observer,
            teacher,
        )
        return trainer.fit(), " ".join(left_out)


def predict_splits(
    model: nn.Module,
    dataset: PreparedDataset,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
) -> Predictions:
    """Predicts validation and test."""
    ids = dataset.samples["id"].to_numpy(dtype=object)
    splits = {}
    for split in EVALUATED:
        rows = dataset.rows(split)
        probabilities = predict_probabilities(
            model, dataset.images, rows, preprocessing, accelerator
        )
        splits[split] = Scores(dataset.labels, ids[rows], dataset.targets(rows), probabilities)
    return Predictions(splits)


def build_ensemble(recipe: EnsembleRecipe, benchmark: BenchmarkDir, seed: int = 0) -> RunDir:
    """Averages finished runs of one benchmark into an ensemble run; validation alone chooses.

    Raises:
        ArtifactError: If a member is not finished, or members do not fit together.
    """
    candidates = [benchmark.run(f"{name}-{recipe.profile}-s{seed}") for name in recipe.members]
    infos = [run.info() for run in candidates]
    if len({info.split_hash for info in infos}) > 1:
        raise ArtifactError("The members of an ensemble must stand on the same split.")
    labels = benchmark.info().label_set
    scored = [Predictions.read(run.predictions_path, labels) for run in candidates]
    weights = (
        greedy_weights(scored)
        if recipe.method == "greedy"
        else (1 / len(candidates),) * len(candidates)
    )
    predictions = average(scored, weights)
    chosen = [place for place, weight in enumerate(weights) if weight > 0]
    members = [infos[place] for place in chosen]
    run = benchmark.run(run_name(recipe, seed))
    info = RunInfo(
        run_id=run.run_id,
        kind="ensemble",
        title=recipe.title or " + ".join(member.title for member in members),
        family="ensemble",
        recipe=recipe.model_dump(mode="json"),
        labels=labels.names,
        init="members",
        init_source=", ".join(member.run_id for member in members),
        seed=seed,
        image_size=None,
        preprocessing_hash="+".join(member.preprocessing_hash for member in members),
        split_hash=members[0].split_hash,
        parameters=sum(member.parameters for member in members),
        members=tuple(member.run_id for member in members),
        member_weights=tuple(weights[place] for place in chosen),
        git_commit=provenance.git_commit(ROOT),
        versions=provenance.versions(),
        created=provenance.now(),
    )
    write_run(run, info, predictions, benchmark.samples())
    return run


def write_run(
    run: RunDir, info: RunInfo, predictions: Predictions, samples: pd.DataFrame
) -> Report:
    """Writes predictions, reports and, last, `run.json`: with it the run is finished.

    Where the images carry a second annotation (FER2013's original labels beside FER+), the same
    answers are scored against it too, so that they can be read beside the literature.
    """
    report = build_report(run.run_id, predictions, samples, _protocol(info, predictions, "label"))
    predictions.write(run.predictions_path)
    report.write(run.report_path)
    if samples["second_label"].notna().any():
        names = samples.set_index("id")["second_label"]
        second = Predictions(
            {split: scores.relabelled(names) for split, scores in predictions.splits.items()}
        )
        protocol = _protocol(info, second, "second_label")
        build_report(run.run_id, second, samples, protocol).write(run.second_report_path)
    info.write(run.info_path)
    return report


def _protocol(info: RunInfo, predictions: Predictions, label_source: str) -> Protocol:
    return Protocol(
        label_source=label_source,
        split_hash=info.split_hash,
        test_samples=len(predictions.split("test")),
        init=info.init,
        seed=info.seed,
        image_size=info.image_size,
        preprocessing_hash=info.preprocessing_hash,
    )


def evaluate_run(run: RunDir, dataset: PreparedDataset, device: str | None = None) -> Report:
    """Predicts validation and test again from a run's weights and rewrites its report.

    Raises:
        DataError: If the dataset's split is not the one that the run was trained on.
    """
    network = load_network(run, dataset.format)
    info = network.info
    if dataset.info.split_hash != info.split_hash:
        raise DataError(
            f"{run.run_id} was trained on split {info.split_hash}, and this set has "
            f"{dataset.info.split_hash}. Prepare the data as for the run."
        )
    accelerator = make_accelerator("fp32", device)
    predictions = predict_splits(
        network.model.to(accelerator.device), dataset, network.preprocessing, accelerator
    )
    return write_run(run, info, predictions, dataset.samples)


def publish_run(run: RunDir, dataset: PreparedDataset, *, device: str | None = None) -> RunDir:
    """Replaces a run's weights by a float16 copy that was checked, and removes checkpoints.

    The predictions and the report are made anew from the float16 weights, so that what is
    shown is what ships.

    Raises:
        ArtifactError: If float16 changes a validation probability by more than
            `MAX_HALF_DIFFERENCE`.
    """
    network = load_network(run, dataset.format)
    model, info = network.model, network.info
    if info.weights_dtype == "float16":
        return run
    rows = dataset.rows("validation")

    def probabilities() -> torch.Tensor:
        return torch.softmax(
            predict_logits(model, dataset.images, network.preprocessing, rows=rows), 1
        )

    before = probabilities()
    tensors = half_precision(load_tensors(run.weights_path)[0])
    model.load_state_dict(
        {
            key: value.float() if value.is_floating_point() else value
            for key, value in tensors.items()
        }
    )
    after = probabilities()
    difference = float((before - after).abs().max())
    if difference > MAX_HALF_DIFFERENCE:
        raise ArtifactError(
            f"float16 weights change a probability of {run.run_id} by {difference:.3f}, more than "
            f"{MAX_HALF_DIFFERENCE}. The run is left as it was; publish it in float32."
        )
    published: dict[str, Any] = {
        "dtype": "float16",
        "largest_probability_difference": difference,
        "same_decision": float((before.argmax(1) == after.argmax(1)).float().mean()),
        "at": provenance.now(),
    }
    info = info.model_copy(update={"weights_dtype": "float16", "published": published})
    save_tensors(run.weights_path, tensors, _weight_facts(info))
    info.write(run.info_path)
    evaluate_run(run, dataset, device)
    shutil.rmtree(run.state_dir, ignore_errors=True)
    return run


def _teacher(
    recipe: Recipe, dataset: PreparedDataset, benchmark: BenchmarkDir, accelerator: Accelerator
) -> Teacher | None:
    """Loads the recipe's teachers; an ensemble stands for its members."""
    if recipe.distill is None:
        return None
    networks = []
    for name in recipe.distill.teachers:
        info = benchmark.run(name).info()
        if info.labels != dataset.labels.names or info.split_hash != dataset.info.split_hash:
            raise RecipeError(
                f"The teacher {name} has other classes or another split than this set; a student "
                "would learn from answers about its own test images."
            )
        for member in info.members or (name,):
            network = load_network(benchmark.run(member), dataset.format)
            network.model.to(accelerator.device).requires_grad_(False)
            networks.append(network)
    return Teacher(networks, recipe.distill.temperature)


def _weight_facts(info: RunInfo) -> dict[str, Any]:
    return {
        "run_id": info.run_id,
        "labels": list(info.labels),
        "preprocessing_hash": info.preprocessing_hash,
        "split_hash": info.split_hash,
    }


def _train_data(recipe: Recipe, dataset: PreparedDataset, limit: int | None = None) -> TrainData:
    train, validation = dataset.rows("train")[:limit], dataset.rows("validation")[:limit]
    classes = dataset.targets(train)
    hard = np.eye(len(dataset.labels), dtype=np.float32)[classes]
    return TrainData(
        images=dataset.images,
        train_rows=train,
        train_targets=dataset.soft_targets(train) if recipe.loss.soft_labels else hard,
        train_counts=np.array(
            [dataset.info.counts["train"][name] for name in dataset.labels.names]
        ),
        validation_rows=validation,
        validation_targets=dataset.targets(validation),
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
        run_id=run_name(recipe, recipe.train.seed),
        kind="network",
        title=spec.title,
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
        weights_dtype="float32",
        best_epoch=result.best_epoch,
        epochs=len(result.history),
        wall_seconds=round(result.seconds, 1),
        git_commit=provenance.git_commit(ROOT),
        versions=provenance.versions(),
        hardware=provenance.hardware(str(accelerator.device))
        | {"processes": str(accelerator.num_processes)},
        created=provenance.now(),
    )


def _write_history(run: RunDir, result: FitResult) -> None:
    if result.history:
        write_table(run.history_path, pd.DataFrame([asdict(record) for record in result.history]))


def _seed(seed: int, deterministic: bool) -> None:
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
