"""Inference with the runs of a benchmark: lazy loading, thread-safe, bounded memory."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fer_core.predictor.predictions import (
    Backend,
    BasePrediction,
    ExplainedPrediction,
    Prediction,
    TargetEstimates,
    calibrated,
    decide,
    ensemble_prediction,
)

if TYPE_CHECKING:
    from fer_core.predictor.loaded_model import BorrowedModel
    from fer_core.predictor.predictor import MAP_SIDE, Predictor

__all__ = [
    "MAP_SIDE",
    "Backend",
    "BasePrediction",
    "BorrowedModel",
    "ExplainedPrediction",
    "Prediction",
    "Predictor",
    "TargetEstimates",
    "calibrated",
    "decide",
    "ensemble_prediction",
]

_WITH_TORCH = {
    "BorrowedModel": "fer_core.predictor.loaded_model",
    "MAP_SIDE": "fer_core.predictor.predictor",
    "Predictor": "fer_core.predictor.predictor",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any of the names above)
    """Imports what needs torch when it is asked for: pages only show predictions."""
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_TORCH[name]), name)
