"""Class activation maps of CNNs and ViTs with the grad-cam library, signed and unscaled.

The library clips and rescales every map. Here maps keep sign and scale, so that maps of several
inputs and models can be compared.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.explain.saliency import Question, Target
from fer_core.models import ModelSpec
from fer_core.models.tokens import channel_axis, to_map

_BATCH = 32

_MAX_SIDE = 56
"""Largest side of the activations that Eigen-CAM decomposes; larger ones are average-pooled."""


class _LibraryTarget:
    """A `Target` in the interface of the grad-cam library."""

    def __init__(self, target: Target | None) -> None:
        self.target = target

    def __call__(self, logits: Tensor) -> Tensor:
        target = self.target or Target(int(logits.detach().argmax()))
        return target.score(logits)


class _SignedCam(BaseCAM):  # type: ignore[misc]
    """Base class that keeps sign and scale of the maps.

    The input requires a gradient, so that networks with frozen weights work.
    """

    def __init__(self, model: nn.Module, layer: nn.Module, spec: ModelSpec) -> None:
        self.spec = spec
        BaseCAM.__init__(
            self,
            model,
            [layer],
            partial(to_map, spec=spec),
            compute_input_gradient=self.gradients,
            uses_gradients=self.gradients,
        )

    gradients = True

    def compute_cam_per_layer(
        self, input_tensor: Tensor, targets: list[Any], eigen_smooth: bool
    ) -> list[NDArray[np.float32]]:
        hooks = self.activations_and_grads
        activation = hooks.activations[0].numpy()
        gradient = hooks.gradients[0].numpy() if self.gradients else None
        layer = self.target_layers[0]
        return [
            self.get_cam_image(input_tensor, layer, targets, activation, gradient, eigen_smooth)
        ]

    def aggregate_multi_layers(
        self, cam_per_target_layer: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        return cam_per_target_layer[0]


class _GradCam(_SignedCam, GradCAM):  # type: ignore[misc]
    pass


class _GradCamPlusPlus(_SignedCam, GradCAMPlusPlus):  # type: ignore[misc]
    pass


class _HiResCam(_SignedCam, HiResCAM):  # type: ignore[misc]
    pass


class _LayerCam(_SignedCam, LayerCAM):  # type: ignore[misc]
    pass


class _EigenCam(_SignedCam, EigenCAM):  # type: ignore[misc]
    """First principal component of the activations, positive where activations are strong.

    The sign of a principal component is arbitrary, so the library's map may be inverted.
    """

    gradients = False

    def get_cam_image(self, *args: Any, **options: Any) -> NDArray[np.float32]:  # noqa: ANN401
        # the library decomposes a (positions, positions) matrix: gigabytes for early layers
        step = -(-args[3].shape[-1] // _MAX_SIDE)
        activations = F.avg_pool2d(torch.from_numpy(args[3]), step).numpy()
        maps: NDArray[np.float32] = super().get_cam_image(
            *args[:3], activations, *args[4:], **options
        )
        energy = np.square(activations).sum(axis=1)
        energy = energy - energy.mean(axis=(1, 2), keepdims=True)
        correlation = (maps * energy).sum(axis=(1, 2), keepdims=True)
        return np.where(correlation < 0, -maps, maps)


class _AblationCam(_SignedCam):
    """Weights each channel by the drop of the target when the channel is ablated.

    The paper divides the drop by the target, which changes only the scale of the map (and its sign
    for a negative target), so this is omitted. The library's implementation replaces modules of
    the model and does not restore them if a forward pass fails.
    """

    gradients = False

    def get_cam_weights(
        self,
        input_tensor: Tensor,
        target_layer: nn.Module,
        targets: list[_LibraryTarget],
        activations: NDArray[np.float32],
        _grads: None,
    ) -> NDArray[np.float32]:
        self.activations_and_grads.release()
        # The target is the class that the intact network predicts.
        fixed = [
            pick.target or Target(int(logits.argmax()))
            for pick, logits in zip(targets, self.outputs, strict=True)
        ]
        rows = [
            self._drops(image, target_layer, target, target.score(logits), activations.shape[1])
            for image, target, logits in zip(input_tensor, fixed, self.outputs, strict=True)
        ]
        return np.stack(rows)

    def _drops(
        self, image: Tensor, layer: nn.Module, target: Target, whole: Tensor, channels: int
    ) -> NDArray[np.float32]:
        scores = []
        for start in range(0, channels, _BATCH):
            left_out = range(start, min(start + _BATCH, channels))

            def ablate(
                module: nn.Module,
                inputs: object,
                output: Tensor,
                left_out: range = left_out,
            ) -> Tensor:
                mask = torch.ones(len(left_out), channels, device=output.device)
                mask[torch.arange(len(left_out)), torch.tensor(left_out)] = 0
                shape = [len(left_out), *(1,) * (output.ndim - 1)]
                shape[channel_axis(output, self.spec)] = channels
                return output * mask.view(shape)

            handle = layer.register_forward_hook(ablate)
            try:
                logits = self.model(image.expand(len(left_out), -1, -1, -1))
            finally:
                handle.remove()
            scores.append(target.score(logits))
        falls: NDArray[np.float32] = (whole - torch.cat(scores)).cpu().numpy()
        return falls


def _method(kind: type[_SignedCam]) -> Callable[[Question], tuple[Tensor, Tensor]]:
    def explained(question: Question) -> tuple[Tensor, Tensor]:
        """Returns logits (N, K) and signed maps (N, h, w) on the layer's grid."""
        model, spec = question.network, question.spec
        layer = model.get_submodule(question.detail.module or spec.cam_layer)
        cam = kind(model, layer, spec)
        picks = [_LibraryTarget(target) for target in question.targets]
        try:
            with torch.set_grad_enabled(kind.gradients):
                maps = cam(question.inputs, picks)
            logits = cam.outputs.detach()
        finally:
            cam.activations_and_grads.release()
        return logits, torch.from_numpy(np.asarray(maps, dtype=np.float32))

    return explained


grad_cam = _method(_GradCam)
grad_cam_plus_plus = _method(_GradCamPlusPlus)
hires_cam = _method(_HiResCam)
layer_cam = _method(_LayerCam)
eigen_cam = _method(_EigenCam)
ablation_cam = _method(_AblationCam)
