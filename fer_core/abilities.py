"""Abilities of runs, as pages and commands check them."""

from dataclasses import dataclass
from pathlib import Path

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.records import RunInfo


@dataclass(frozen=True)
class Abilities:
    """Abilities of a run besides showing its stored predictions.

    Attributes:
        predicts: Whether it predicts new images.
        has_layers: Whether it is a network whose layers and gradients can be read.
        reason: Why it lacks one of both, as a sentence; empty if it has both.
    """

    predicts: bool
    has_layers: bool
    reason: str = ""


def abilities_of(run: RunDir, info: RunInfo | None = None) -> Abilities:
    """Returns what a run can do.

    Args:
        run: Files of the run.
        info: The run's `run.json`, if it was read already.

    Raises:
        ArtifactError: If `run.json` is missing or damaged.
    """
    info = info or run.info()
    match info.backend:
        case "torch":
            return _network(run, info)
        case "onnx":
            return _onnx(run, info)
        case "none":
            return Abilities(
                predicts=False,
                has_layers=False,
                reason=f"{info.title} was imported as predictions; it has no model that could "
                "predict new images.",
            )
        case "members":
            return _ensemble(run, info)


def model_file(run: RunDir, info: RunInfo) -> Path:
    """Returns the file of the model that a run predicts with; it may be missing."""
    return run.onnx_path if info.backend == "onnx" else run.weights_path


def _network(run: RunDir, info: RunInfo) -> Abilities:
    if run.weights_path.is_file():
        return Abilities(predicts=True, has_layers=True)
    reason = f"{info.title} has results but no weights: its model.safetensors is missing."
    return Abilities(predicts=False, has_layers=False, reason=reason)


def _onnx(run: RunDir, info: RunInfo) -> Abilities:
    if run.onnx_path.is_file():
        reason = f"{info.title} is an ONNX file, whose layers and gradients cannot be read."
        return Abilities(predicts=True, has_layers=False, reason=reason)
    reason = f"{info.title} was imported from an ONNX file, and its model.onnx is missing."
    return Abilities(predicts=False, has_layers=False, reason=reason)


def _ensemble(run: RunDir, info: RunInfo) -> Abilities:
    for name in info.members:
        try:
            member = abilities_of(run.benchmark.run(name))
        except ArtifactError as error:
            return Abilities(predicts=False, has_layers=False, reason=str(error))
        if not member.predicts:
            reason = f"A member of {info.title} cannot predict: {member.reason}"
            return Abilities(predicts=False, has_layers=False, reason=reason)
    reason = f"{info.title} is an ensemble, which has no layers of its own."
    return Abilities(predicts=True, has_layers=False, reason=reason)
