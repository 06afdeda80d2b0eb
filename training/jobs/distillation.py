"""Teachers of a training: loading finished runs and caching their soft targets."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from fer_core.abilities import abilities_of, model_file
from fer_core.arrays import cached_arrays, write_arrays
from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import PROFILES, DistillConfig
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.engine.classifiers import open_onnx
from fer_core.engine.distillation import AugmentedViews, Teacher, Teachers, mean_predictions
from fer_core.engine.hints import HintTeacher
from fer_core.engine.networks import Network, load_network
from fer_core.engine.onnx_graph import onnx_copy
from fer_core.engine.onnx_network import OnnxNetwork
from fer_core.engine.trainer import TrainData
from fer_core.errors import ArtifactError, RecipeError, WeightsError
from fer_core.evaluation.ensemble import average_probabilities, require_members
from fer_core.files import content_hash
from fer_core.records import RunInfo

_BATCH = 128


def load_teachers(
    config: DistillConfig,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    accelerator: Accelerator,
) -> Teachers:
    """Loads the teachers that predict at every step.

    Raises:
        RecipeError: If a teacher has other classes or another split.
        FerscopeError: If a teacher is missing or damaged.
    """
    return Teachers(
        [
            Teacher(
                [_load(run, dataset, accelerator) for run in _members(info, benchmark)],
                config.temperature,
                info.member_weights,
                info.logit_shift,
            )
            for info in _infos(config, dataset, benchmark)
        ]
    )


def load_hint_teacher(
    config: DistillConfig,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    accelerator: Accelerator,
) -> HintTeacher | None:
    """Loads the first teacher for the hint loss; returns None if the recipe has no hints.

    Raises:
        RecipeError: If the first teacher is an ensemble or an imported model, or has other classes
            or another split.
        FerscopeError: If it is missing or damaged.
    """
    if not config.hint_epochs:
        return None
    first = _infos(config, dataset, benchmark)[0]
    run = benchmark.run(first.run_id)
    abilities = abilities_of(run, first)
    if not abilities.has_layers:
        raise RecipeError(
            f"Hints need the feature map of the first teacher, {first.run_id}. {abilities.reason} "
            "List a network first, or set distill.hint_epochs=0."
        )
    network = load_network(run, dataset.format)
    # measured on a CPU: EfficientNet-Lite0 takes two thirds of the time
    model = network.model.to(accelerator.device).requires_grad_(False)
    model.to(memory_format=torch.channels_last)
    return HintTeacher(network, config.hint_weight)


def distilled_targets(
    config: DistillConfig,
    data: TrainData,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    accelerator: Accelerator,
    progress: Progress,
) -> NDArray[np.float32]:
    """Predicts every training image with the teachers and mixes the result with the labels.

    The first process predicts. The predictions are cached beside each teacher for resumed
    trainings and other students.

    Args:
        config: Teachers, their weight and the number of views.
        data: Training rows and their targets from labels.
        dataset: The prepared dataset.
        benchmark: The benchmark of the teachers.
        accelerator: Device of the teachers.
        progress: Shows their progress.

    Returns:
        Class distributions, shape (n, K).

    Raises:
        RecipeError: If a teacher has other classes or another split.
        FerscopeError: If one is missing or damaged.
    """
    infos = _infos(config, dataset, benchmark)
    if accelerator.is_main_process:
        for run in dict.fromkeys(run for info in infos for run in _members(info, benchmark)):
            if _cached(run, config, data) is None:
                _predict(run, config, data, _load(run, dataset, accelerator), progress)
    accelerator.wait_for_everyone()
    predictions = []
    for info in infos:
        members = [_read(run, config, data) for run in _members(info, benchmark)]
        shift = [value / config.temperature for value in info.logit_shift]
        predictions.append(average_probabilities(members, info.member_weights, shift))
    soft_targets = np.mean(predictions, axis=0)
    targets = (1 - config.weight) * data.train_targets + config.weight * soft_targets
    return np.asarray(targets, dtype=np.float32)


def _infos(
    config: DistillConfig, dataset: PreparedDataset, benchmark: BenchmarkDir
) -> list[RunInfo]:
    """Returns the teachers' `run.json` after checking that they fit the dataset."""
    infos = []
    for name in config.teachers:
        run = benchmark.run(name)
        if not run.info_path.is_file():
            raise RecipeError(
                f"The recipe's teacher {name} is not a finished run of {benchmark.name}. "
                f"Train it first (python -m training train {_options(name)} --benchmark "
                f"{benchmark.name}), or train without teachers: --set distill=null."
            )
        info = run.info()
        if info.labels != dataset.labels.names or info.split_hash != dataset.info.split_hash:
            raise RecipeError(
                f"The teacher {name} has other classes or another split than this dataset, so it "
                "may have been trained on the student's test images. Train it on this split."
            )
        require_members(run)
        infos.append(info)
    return infos


def _options(run_id: str) -> str:
    """Returns the recipe and profile, as options of `train`, that a run id consists of."""
    recipe, _, rest = run_id.partition("-")
    profile = rest.partition("-")[0]
    return f"{recipe} --profile {profile}" if profile in PROFILES[1:] else recipe


def _members(info: RunInfo, benchmark: BenchmarkDir) -> list[RunDir]:
    """Returns the runs whose networks predict for a teacher: itself, or an ensemble's members."""
    return [benchmark.run(name) for name in info.members or (info.run_id,)]


def _load(run: RunDir, dataset: PreparedDataset, accelerator: Accelerator) -> Network | OnnxNetwork:
    """Loads a teacher; on a CPU, its ONNX copy if there is one, which is several times faster."""
    info = run.info()
    if info.kind == "imported":
        _model_file(run)
        return open_onnx(run, info, dataset.format)
    on_cpu = accelerator.device.type == "cpu"
    if on_cpu and (copy := onnx_copy(run, dataset.format)) is not None:
        return copy
    network = load_network(run, dataset.format)
    network.model.to(accelerator.device).requires_grad_(False)
    network.model.to(memory_format=torch.channels_last)
    return network


def _model_file(run: RunDir) -> Path:
    """Returns a teacher's weight file or ONNX file."""
    path = model_file(run, run.info())
    if not path.is_file():
        raise WeightsError(
            f"The teacher {run.run_id} has no {path.name}, so it cannot predict training images. "
            "Choose another teacher, or restore the file."
        )
    return path


def _predict(
    run: RunDir,
    config: DistillConfig,
    data: TrainData,
    network: Network | OnnxNetwork,
    progress: Progress,
) -> None:
    """Predicts the training images with a teacher and caches the result."""
    batches = mean_predictions(
        network,
        data.images,
        data.train_rows,
        AugmentedViews(config.views, config.temperature),
        batch_size=_BATCH,
    )
    length = -(-len(data.train_rows) // _BATCH)
    title = f"{run.run_id} predicts {config.views} views of each image"
    predictions = np.concatenate(list(progress(batches, length, title)))
    path = _cache_path(run, config, data)
    write_arrays(path, {"answers": predictions}, compress=True)
    same_weights, _, _ = path.name.rpartition("-")
    for other in path.parent.glob(run.soft_targets_path("").name):
        if not other.name.startswith(same_weights):
            other.unlink(missing_ok=True)


def _cached(run: RunDir, config: DistillConfig, data: TrainData) -> NDArray[np.float32] | None:
    """Returns a teacher's cached predictions; None if there are none of its current weights."""
    cached = cached_arrays(_cache_path(run, config, data), ("answers",))
    return cached["answers"].astype(np.float32) if cached else None


def _read(run: RunDir, config: DistillConfig, data: TrainData) -> NDArray[np.float64]:
    predictions = _cached(run, config, data)
    if predictions is None:
        raise ArtifactError(
            f"The predictions of the teacher {run.run_id} are missing from {run.state_dir}. All "
            "processes of a training must share the artifacts folder."
        )
    return predictions.astype(np.float64)


def _cache_path(run: RunDir, config: DistillConfig, data: TrainData) -> Path:
    """Returns where predictions are cached; its name hashes the weights and the images."""
    rows = data.train_rows
    digest = hashlib.sha256(f"{config.views} {config.temperature} {data.images.shape[1:]}".encode())
    digest.update(rows.tobytes())
    # a sample of the images: the dataset may have been prepared again under the same name
    digest.update(np.ascontiguousarray(data.images[rows[:: max(1, len(rows) // 200)]]).tobytes())
    return run.soft_targets_path(f"{content_hash(_model_file(run))}-{digest.hexdigest()[:12]}")
