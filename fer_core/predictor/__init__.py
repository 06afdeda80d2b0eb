"""Inference with the runs of a benchmark: lazy loading, thread-safe, bounded memory."""

from fer_core.predictor.answers import (
    Answer,
    Backend,
    Prediction,
    TargetEstimates,
    calibrated,
    decide,
    ensemble_prediction,
)
from fer_core.predictor.loaded_model import BorrowedModel
from fer_core.predictor.predictor import MAP_SIDE, Predictor

__all__ = [
    "MAP_SIDE",
    "Answer",
    "Backend",
    "BorrowedModel",
    "Prediction",
    "Predictor",
    "TargetEstimates",
    "calibrated",
    "decide",
    "ensemble_prediction",
]
