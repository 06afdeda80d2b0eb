"""Checkpoints of a training: what is saved, and when it may be resumed."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fer_core.config import Recipe, parse_recipe
from fer_core.engine.callbacks import TrainState
from fer_core.engine.train_step import TrainStep
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import CheckpointFolder

_RENAMED_FINGERPRINT = {
    "preparation of images": "preprocessing",
    "batch of all processes": "global batch size",
    "table of scores": "regression targets",
}
_HARDWARE = {
    "device": "on a device of the earlier kind (--device cpu, or a GPU)",
    "precision": "on a device that computes in the earlier precision",
    "images on the GPU": "with as much free GPU memory as before",
}
"""Where to resume, by entry of the fingerprint. Checkpoints of earlier versions lack these."""

_RENAMED_STATE = {"best_score": "best_criterion"}
_RENAMED_EPOCH = {"score_error": "regression_error"}
"""Keys in checkpoints of earlier versions and their present names."""


@dataclass(frozen=True)
class TrainCheckpoints:
    """Saves and restores a training.

    `last` holds everything that resuming needs, `best-<epoch>` the evaluated weights of the epoch
    that validation selected.

    Attributes:
        folder: Folder of the checkpoints.
        fingerprint: Further inputs of the training besides its recipe, by name, such as the split
            and each teacher's creation time. A checkpoint with another fingerprint is not resumed.
    """

    folder: CheckpointFolder
    fingerprint: Mapping[str, str]

    def including(self, fingerprint: Mapping[str, str]) -> "TrainCheckpoints":
        """Returns the same checkpoints with further entries in the fingerprint."""
        return replace(self, fingerprint={**self.fingerprint, **fingerprint})

    @property
    def resumable(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return self.folder.has("last")

    def save(self, train_step: TrainStep, state: TrainState, totals: Tensor) -> None:
        """Saves `last`.

        Args:
            train_step: Holds the network, moving average, optimizer and loss scaler to save.
            state: Progress of the training.
            totals: Sums of the current epoch over all processes, shape (3,).

        Raises:
            ArtifactError: If the file cannot be written; the earlier one stays.
        """
        criterion = state.best_criterion if math.isfinite(state.best_criterion) else None
        facts = {
            "recipe": train_step.recipe.model_dump(mode="json"),
            "fingerprint": dict(self.fingerprint),
            "state": asdict(state) | {"best_criterion": criterion},
            "totals": totals.tolist(),
            "scaler": train_step.scaler_state(),
        }
        self.folder.save("last", train_step.tensors(), facts)

    def load(self, train_step: TrainStep) -> tuple[TrainState, Tensor]:
        """Restores `last`.

        Returns:
            The state, and the current epoch's sums over all processes, shape (3,).

        Raises:
            WeightsError: If the checkpoint is damaged, or belongs to another recipe or fingerprint.
        """
        recipe = train_step.recipe
        try:
            tensors, facts = self.folder.load("last")
        except WeightsError as error:
            raise WeightsError(f"{error} Or {self._restart}.") from error
        self._require_same(recipe, facts)
        try:
            train_step.load(tensors, facts["scaler"])
        except (KeyError, RuntimeError) as error:
            raise WeightsError(
                f"The checkpoint of {recipe.name!r} does not fit its network any more: "
                f"{self._restart}."
            ) from error
        return _state(facts), torch.tensor(facts["totals"], dtype=torch.float64)

    def save_best(self, weights: Mapping[str, Tensor], state: TrainState) -> None:
        """Saves the evaluated weights of the best epoch."""
        facts = {"epoch": state.best_epoch, "criterion": state.best_criterion}
        self.folder.save(_best(state), weights, facts)

    def drop_earlier(self, state: TrainState) -> None:
        """Removes the weights of earlier best epochs."""
        self.folder.keep_only("last", _best(state))

    def best_weights(self, state: TrainState) -> dict[str, Tensor]:
        """Returns the weights of the best epoch, on the CPU; empty before the first."""
        return self.folder.load(_best(state))[0] if state.best_epoch else {}

    @property
    def _restart(self) -> str:
        return f"start again: leave out --resume, or remove the folder {self.folder.folder}"

    def _require_same(self, recipe: Recipe, facts: Mapping[str, Any]) -> None:
        if parse_recipe(facts.get("recipe", {})) != recipe:
            raise WeightsError(
                f"The checkpoint of {recipe.name!r} was made with another recipe. Resume with the "
                f"recipe and options that it was started with, or {self._restart}."
            )
        saved = _renamed(facts.get("fingerprint", facts.get("grounds", {})), _RENAMED_FINGERPRINT)
        for name in dict.fromkeys([*self.fingerprint, *saved]):
            if name in _HARDWARE and name not in saved:
                continue
            before, now = saved.get(name, "none"), self.fingerprint.get(name, "none")
            if before != now:
                remedy = f"Resume {_HARDWARE[name]}, or " if name in _HARDWARE else ""
                raise WeightsError(
                    f"The checkpoint of {recipe.name!r} was made with another {name} ({before}, "
                    f"now {now}) and cannot be resumed{'. ' if remedy else ': '}{remedy}"
                    f"{self._restart}."
                )


def _best(state: TrainState) -> str:
    return f"best-{state.best_epoch}"


def _state(facts: Mapping[str, Any]) -> TrainState:
    saved = _renamed(facts["state"] if "state" in facts else facts["progress"], _RENAMED_STATE)
    if saved["best_criterion"] is None:
        saved["best_criterion"] = -math.inf
    saved["history"] = [_renamed(record, _RENAMED_EPOCH) for record in saved["history"]]
    return TrainState(**saved)


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}
