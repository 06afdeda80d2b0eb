"""Predicting stored images with a network, in one or several processes."""

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core.data.transforms import Preprocessing
from fer_core.models import ModelSpec
from fer_core.models.regression_head import regression_head_of


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    images: NDArray[np.uint8] | Tensor,
    preprocessing: Preprocessing,
    *,
    rows: NDArray[np.int64] | None = None,
    batch_size: int = 128,
) -> Tensor:
    """Predicts stored images, in float32 and evaluation mode.

    Args:
        model: The network; its mode is restored afterwards.
        images: uint8, shape (N, H, W) or (N, H, W, 3); may be a memory map, or a tensor on the
            model's device.
        preprocessing: The network's input pipeline.
        rows: Rows to predict, in order; all by default.
        batch_size: Images per step.

    Returns:
        Logits, float32 on the model's device, shape (len(rows), K).
    """
    rows = np.arange(len(images)) if rows is None else rows
    device = next(model.parameters()).device
    # uploaded once: a copy for each batch would wait for all work before
    resident = torch.from_numpy(rows).to(images.device) if isinstance(images, Tensor) else None
    training = model.training
    model.eval()
    parts = []
    try:
        for start in range(0, len(rows), batch_size):
            part = slice(start, start + batch_size)
            if isinstance(images, Tensor) and resident is not None:
                stored = images[resident[part]]
            else:
                stored = torch.from_numpy(np.asarray(images[rows[part]]))
            parts.append(model(preprocessing(stored.to(device))).float())
    finally:
        model.train(training)
    return torch.cat(parts)


@torch.inference_mode()
def predict_regression(
    model: nn.Module,
    spec: ModelSpec,
    images: NDArray[np.uint8] | Tensor,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    *,
    batch_size: int = 128,
) -> NDArray[np.float64]:
    """Predicts the regression targets of stored images with a network that has such a head.

    Returns:
        In the units of the targets, shape (len(rows), T).
    """
    head = regression_head_of(model, spec)
    parts = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        predict_logits(model, images, preprocessing, rows=batch, batch_size=batch_size)
        parts.append(head.in_units(head.take()))
    return torch.cat(parts).double().cpu().numpy()


def predict_probabilities(
    model: nn.Module,
    images: NDArray[np.uint8] | Tensor,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    accelerator: Accelerator,
) -> NDArray[np.float64]:
    """Predicts rows with all processes; every process gets the whole result.

    Returns:
        Probabilities in the order of `rows`, shape (len(rows), K), rows sum to 1.
    """
    processes = accelerator.num_processes
    share = -(-len(rows) // processes)
    padded = np.concatenate([rows, np.repeat(rows[-1:], share * processes - len(rows))])
    first = accelerator.process_index * share
    batch = padded[first : first + share]
    logits = predict_logits(model, images, preprocessing, rows=batch)
    gathered = accelerator.gather(logits)[: len(rows)]
    return torch.softmax(gathered.double(), dim=1).cpu().numpy()
