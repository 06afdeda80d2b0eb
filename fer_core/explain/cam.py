"""Class activation maps of CNNs and ViTs, by the library grad-cam."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from fer_core.models import ModelSpec


class _SignedGradCam(GradCAM):  # type: ignore[misc]
    """Grad-CAM that keeps sign and scale: the library clips and scales each map on its own.

    The gradient is asked for at the input, so that frozen weights gather none.
    """

    def __init__(self, model: nn.Module, layer: nn.Module, reshape: Any) -> None:  # noqa: ANN401
        BaseCAM.__init__(self, model, [layer], reshape, compute_input_gradient=True)

    def compute_cam_per_layer(
        self,
        input_tensor: Tensor,
        targets: list[Any],
        eigen_smooth: bool,
    ) -> list[NDArray[np.float32]]:
        return [
            self.get_cam_image(input_tensor, layer, targets, activation.numpy(), gradient.numpy())
            for layer, activation, gradient in zip(
                self.target_layers,
                self.activations_and_grads.activations,
                self.activations_and_grads.gradients,
                strict=True,
            )
        ]

    def aggregate_multi_layers(
        self, cam_per_target_layer: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = np.mean(cam_per_target_layer, axis=0)
        return mean


def grad_cam(
    model: nn.Module, spec: ModelSpec, inputs: Tensor, classes: NDArray[np.int64]
) -> tuple[Tensor, NDArray[np.float32]]:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) at the layer that the spec names.

    Not safe to call on one model from two threads at once: hooks and gradients are the model's.

    Args:
        model: In evaluation mode; left without hooks, whatever happens.
        spec: Names the layer; for a ViT, also the prefix tokens.
        inputs: Network input, shape (N, 3, S, S).
        classes: The class to explain for each input, shape (N,); -1 for the predicted one.

    Returns:
        Logits, shape (N, K), and maps, float32, shape (N, h, w), signed and unscaled: positive
        values speak for the class.
    """
    reshape = _token_grid(spec.prefix_tokens) if spec.family == "vit" else None
    layer = model.get_submodule(spec.cam_layer)
    cam = _SignedGradCam(model, layer, reshape)
    try:
        with torch.enable_grad():
            targets = (
                None
                if (classes < 0).all()
                else [ClassifierOutputTarget(int(index)) for index in classes]
            )
            maps = cam(inputs, targets)
        logits = cam.outputs.detach()
    finally:
        cam.activations_and_grads.release()
    return logits, np.asarray(maps, dtype=np.float32)


def _token_grid(prefix: int) -> Any:  # noqa: ANN401 (the library takes any callable)
    """Returns a function from tokens (N, prefix + side * side, D) to a map (N, D, side, side)."""

    def to_grid(tokens: Tensor) -> Tensor:
        patches = tokens[:, prefix:]
        side = math.isqrt(patches.shape[1])
        return patches.reshape(len(tokens), side, side, -1).permute(0, 3, 1, 2)

    return to_grid
