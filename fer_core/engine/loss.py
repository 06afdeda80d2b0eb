"""Cross-entropy with soft labels, smoothing, class weights and logit adjustment."""

import torch
from torch import Tensor
from torch.nn import functional as F

from fer_core.config import LossConfig


class SoftCrossEntropy:
    """The training loss of a recipe.

    Args:
        config: The recipe's loss section.
        counts: Training samples per class, shape (K,).
    """

    def __init__(self, config: LossConfig, counts: Tensor) -> None:
        frequency = counts.double() / counts.sum()
        power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[config.class_weights]
        weights = frequency.pow(-power)
        # Normalised so that the mean weight over training samples is 1. The learning rate then
        # keeps its scale, and the mean of each process's mean is the mean over all processes.
        self._weights = (weights / (weights * frequency).sum()).float()
        self._offset = (config.logit_adjustment * frequency.log()).float()
        self._smoothing = config.label_smoothing

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the mean loss.

        Args:
            logits: Shape (N, K).
            targets: Class distributions, shape (N, K).
        """
        if self._weights.device != logits.device:  # once: a copy per batch would wait for the GPU
            self._weights = self._weights.to(logits.device)
            self._offset = self._offset.to(logits.device)
        targets = targets * (1 - self._smoothing) + self._smoothing / targets.shape[1]
        adjusted = logits.float() + self._offset
        terms = -targets * F.log_softmax(adjusted, dim=1) * self._weights
        return torch.sum(terms, dim=1).mean()
