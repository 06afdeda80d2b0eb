"""Teachers of a training: finished runs, asked at every step or once before it."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import DistillConfig
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.engine.distillation import Teacher, Teachers, mean_answers
from fer_core.engine.hints import HintTeacher
from fer_core.engine.networks import Network, load_network
from fer_core.engine.onnx import OnnxNetwork, exported_copy, read_onnx
from fer_core.engine.trainer import TrainData
from fer_core.errors import ArtifactError, RecipeError, WeightsError
from fer_core.evaluation.ensemble import average_probabilities, members_changed
from fer_core.files import DAMAGED_ARRAYS, atomic_path, content_hash
from fer_core.records import RunInfo

_BATCH = 128


def load_teachers(
    config: DistillConfig,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    accelerator: Accelerator,
) -> Teachers:
    """Loads the teachers that are asked at every step.

    Raises:
        RecipeError: If a teacher has other classes or another split.
        FerscopeError: If one is missing or damaged.
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


def load_guide(
    config: DistillConfig,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    accelerator: Accelerator,
) -> HintTeacher | None:
    """Loads the first teacher as the one whose feature map is followed, if the recipe asks for it.

    Raises:
        RecipeError: If the first teacher is no network that was trained here, or has other classes
            or another split.
        FerscopeError: If it is missing or damaged.
    """
    if not config.hint_epochs:
        return None
    first = _infos(config, dataset, benchmark)[0]
    if first.kind != "network":
        raise RecipeError(
            f"Hints are taken from a network's feature map, and the first teacher, {first.run_id}, "
            "has none of its own. Name a network first, or set distill.hint_epochs=0."
        )
    network = load_network(benchmark.run(first.run_id), dataset.format)
    # measured on a CPU: EfficientNet-Lite0 answers in two thirds of the time
    model = network.model.to(accelerator.device).requires_grad_(False)
    model.to(memory_format=torch.channels_last)
    return HintTeacher(network, config.hint_weight)


def taught_targets(
    config: DistillConfig,
    data: TrainData,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    accelerator: Accelerator,
    progress: Progress,
) -> NDArray[np.float32]:
    """Asks the teachers once about every training image, and mixes their answers with the labels.

    The first process asks; answers are kept beside each teacher, so that another student, or a
    resumed training, finds them.

    Args:
        config: Teachers, their weight, and how many views.
        data: Training rows and their targets from labels.
        dataset: The prepared set.
        benchmark: Where the teachers are.
        accelerator: Where they answer.
        progress: Shows how far they are.

    Returns:
        Class distributions, shape (n, K).

    Raises:
        RecipeError: If a teacher has other classes or another split.
        FerscopeError: If one is missing or damaged.
    """
    infos = _infos(config, dataset, benchmark)
    if accelerator.is_main_process:
        for run in dict.fromkeys(run for info in infos for run in _members(info, benchmark)):
            if _kept(run, config, data) is None:
                _ask(run, config, data, dataset, accelerator, progress)
    accelerator.wait_for_everyone()
    answers = []
    for info in infos:
        parts = [_read(run, config, data) for run in _members(info, benchmark)]
        shift = [value / config.temperature for value in info.logit_shift]
        answers.append(average_probabilities(parts, info.member_weights, shift))
    targets = (1 - config.weight) * data.train_targets + config.weight * np.mean(answers, axis=0)
    return np.asarray(targets, dtype=np.float32)


def _infos(
    config: DistillConfig, dataset: PreparedDataset, benchmark: BenchmarkDir
) -> list[RunInfo]:
    """Returns the teachers' records."""
    infos = []
    for name in config.teachers:
        run = benchmark.run(name)
        if not run.info_path.is_file():
            raise RecipeError(
                f"The recipe learns from the run {name}, which {benchmark.name} has not finished. "
                f"Train it first (python -m training train {name.rsplit('-', 2)[0]} --benchmark "
                f"{benchmark.name}), or learn from the labels alone with --set distill=null."
            )
        info = run.info()
        if info.labels != dataset.labels.names or info.split_hash != dataset.info.split_hash:
            raise RecipeError(
                f"The teacher {name} has other classes or another split than this set; a student "
                "would learn from answers about its own test images."
            )
        if members_changed(run):
            raise RecipeError(
                f"A member of the teacher {name} was made anew or deleted since it was chosen. "
                "Train the average again, then its student."
            )
        infos.append(info)
    return infos


def _members(info: RunInfo, benchmark: BenchmarkDir) -> list[RunDir]:
    """Returns the networks that answer for a teacher: itself, or an ensemble's members."""
    return [benchmark.run(name) for name in info.members or (info.run_id,)]


def _load(run: RunDir, dataset: PreparedDataset, accelerator: Accelerator) -> Network | OnnxNetwork:
    """Loads a teacher; on a CPU, one that was exported answers by its ONNX copy."""
    if run.info().kind == "imported":
        return read_onnx(_file_of(run), dataset.format)
    on_cpu = accelerator.device.type == "cpu"
    if on_cpu and (copy := exported_copy(run, dataset.format)) is not None:
        return copy
    network = load_network(run, dataset.format)
    network.model.to(accelerator.device).requires_grad_(False)
    return network


def _file_of(run: RunDir) -> Path:
    """Returns the file that decides a teacher's answers."""
    path = run.onnx_path if run.info().kind == "imported" else run.weights_path
    if not path.is_file():
        raise WeightsError(
            f"The teacher {run.run_id} has no {path.name}, so it cannot be asked about training "
            "images. Take another teacher, or bring the file back."
        )
    return path


def _ask(
    run: RunDir,
    config: DistillConfig,
    data: TrainData,
    dataset: PreparedDataset,
    accelerator: Accelerator,
    progress: Progress,
) -> None:
    steps = mean_answers(
        _load(run, dataset, accelerator),
        data.images,
        data.train_rows,
        views=config.views,
        temperature=config.temperature,
        batch_size=_BATCH,
    )
    length = -(-len(data.train_rows) // _BATCH)
    title = f"{run.run_id} answers {config.views} views of each image"
    answers = np.concatenate(list(progress(steps, length, title)))
    path = _place(run, config, data)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, answers=answers)
    ours, _, _ = path.name.rpartition("-")
    for other in path.parent.glob(run.taught_path("").name):
        if not other.name.startswith(ours):  # of earlier weights
            other.unlink(missing_ok=True)


def _kept(run: RunDir, config: DistillConfig, data: TrainData) -> NDArray[np.float32] | None:
    """Returns a teacher's answers if they are there and of its present weights."""
    try:
        with np.load(_place(run, config, data), allow_pickle=False) as kept:
            return np.asarray(kept["answers"], dtype=np.float32)
    except DAMAGED_ARRAYS:
        return None


def _read(run: RunDir, config: DistillConfig, data: TrainData) -> NDArray[np.float64]:
    answers = _kept(run, config, data)
    if answers is None:
        raise ArtifactError(
            f"The answers of the teacher {run.run_id} are not in {run.state_dir}. All processes "
            "of a training must see the same folder of artifacts."
        )
    return answers.astype(np.float64)


def _place(run: RunDir, config: DistillConfig, data: TrainData) -> Path:
    """Returns where answers are kept: its name says of which weights, and to what question."""
    rows = data.train_rows
    asked = hashlib.sha256(f"{config.views} {config.temperature} {data.images.shape[1:]}".encode())
    asked.update(rows.tobytes())
    # pictures of every part of the set: it may have been prepared anew under the same name
    asked.update(np.ascontiguousarray(data.images[rows[:: max(1, len(rows) // 200)]]).tobytes())
    return run.taught_path(f"{content_hash(_file_of(run))}-{asked.hexdigest()[:12]}")
