"""A benchmark's runs as one answerer for new faces: lazy, shared, bounded."""

from fer_core.predictor.answers import (
    Answer,
    Backend,
    Prediction,
    calibrated,
    decide,
    ensemble_prediction,
)
from fer_core.predictor.loaded_model import Subject
from fer_core.predictor.predictor import MAP_SIDE, Predictor

__all__ = [
    "MAP_SIDE",
    "Answer",
    "Backend",
    "Prediction",
    "Predictor",
    "Subject",
    "calibrated",
    "decide",
    "ensemble_prediction",
]
