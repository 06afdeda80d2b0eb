"""A trainer on a toy data set, and a callback that counts and can interrupt it."""

import numpy as np
import torch
from accelerate import Accelerator

from fer_core.engine.networks import preprocessing_of
from fer_core.engine.train_step import TrainStep
from fer_core.engine.trainer import TrainData, Trainer
from fer_core.models import build_model
from fer_core.models.checkpoint import CheckpointFolder
from tests.support.builders import toy_recipe

MODEL = {"architecture": "tiny_cnn", "image_size": 32, "drop_rate": 0.3}


class Watcher:
    """Counts what it is told, and may stop the training like a kill would."""

    def __init__(self, die_after: int | None = None) -> None:
        self.steps = []
        self.epochs = []
        self.die_after = die_after

    def on_step(self, metrics):
        self.steps.append(metrics)
        if self.die_after is not None and len(self.steps) == self.die_after:
            raise KeyboardInterrupt

    def on_epoch(self, record):
        self.epochs.append(record)


def trainer(dataset, folder, watcher, accelerator=None, **parts) -> Trainer:
    recipe = toy_recipe(**{"model": MODEL, **parts})
    train, validation = dataset.rows("train"), dataset.rows("validation")
    data = TrainData(
        dataset.images,
        preprocessing_of(recipe, dataset.format),
        train,
        dataset.soft_targets(train),
        np.bincount(dataset.targets(train), minlength=7),
        validation,
        dataset.targets(validation),
    )
    torch.manual_seed(recipe.train.seed)
    model = build_model(recipe.model, 7)
    counts = torch.from_numpy(data.train_counts)
    step = TrainStep(model, recipe, counts, accelerator or Accelerator(cpu=True))
    return Trainer(step, data, CheckpointFolder(folder), watcher)
