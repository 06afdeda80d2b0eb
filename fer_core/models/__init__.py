"""Architectures, initial weights and checkpoints. Importing this package fills the registry."""

from fer_core.models import cnn as cnn
from fer_core.models import vit as vit
from fer_core.models.registry import (
    ModelSpec,
    architectures,
    build_model,
    check_progressive_size,
    spec_of,
    with_resolved_model,
)

__all__ = [
    "ModelSpec",
    "architectures",
    "build_model",
    "check_progressive_size",
    "spec_of",
    "with_resolved_model",
]
