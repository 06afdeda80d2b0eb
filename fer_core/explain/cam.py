"""Class activation maps of CNNs and ViTs, by the library grad-cam, kept signed and unscaled.

The library clips and scales every map on its own; here each map keeps its sign and size, so
that maps of several inputs and models can be compared.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.explain.saliency import Question, Target
from fer_core.models.tokens import to_grid

_BATCH = 32

_MAX_SIDE = 56
"""Of the maps that Eigen-CAM decomposes; larger ones are averaged down first."""


class _Pick:
    """The explained number of one output, as the library asks for it."""

    def __init__(self, target: Target | None) -> None:
        self.target = target

    def __call__(self, logits: Tensor) -> Tensor:
        target = self.target or Target(int(logits.detach().argmax()))
        return target.score(logits)


class _Signed(BaseCAM):  # type: ignore[misc]
    """Keeps sign and scale.

    The gradient is asked for at the input, so that frozen weights gather none.
    """

    def __init__(self, model: nn.Module, layer: nn.Module, reshape: Any) -> None:  # noqa: ANN401
        BaseCAM.__init__(
            self,
            model,
            [layer],
            reshape,
            compute_input_gradient=self.gradients,
            uses_gradients=self.gradients,
        )

    gradients = True

    def compute_cam_per_layer(
        self, input_tensor: Tensor, targets: list[Any], eigen_smooth: bool
    ) -> list[NDArray[np.float32]]:
        seen = self.activations_and_grads
        activation = seen.activations[0].numpy()
        gradient = seen.gradients[0].numpy() if self.gradients else None
        layer = self.target_layers[0]
        return [
            self.get_cam_image(input_tensor, layer, targets, activation, gradient, eigen_smooth)
        ]

    def aggregate_multi_layers(
        self, cam_per_target_layer: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        return cam_per_target_layer[0]


class _GradCam(_Signed, GradCAM):  # type: ignore[misc]
    pass


class _GradCamPlusPlus(_Signed, GradCAMPlusPlus):  # type: ignore[misc]
    pass


class _HiResCam(_Signed, HiResCAM):  # type: ignore[misc]
    pass


class _LayerCam(_Signed, LayerCAM):  # type: ignore[misc]
    pass


class _EigenCam(_Signed, EigenCAM):  # type: ignore[misc]
    """The first principal component of the activations, turned so that strong places are positive.

    A principal component has no sign of its own: the library's map is as often inverted as not.
    """

    gradients = False

    def get_cam_image(self, *args: Any, **options: Any) -> NDArray[np.float32]:  # noqa: ANN401
        # the library decomposes a matrix of places by places: gigabytes for early layers
        step = -(-args[3].shape[-1] // _MAX_SIDE)
        activations = F.avg_pool2d(torch.from_numpy(args[3]), step).numpy()
        maps: NDArray[np.float32] = super().get_cam_image(
            *args[:3], activations, *args[4:], **options
        )
        energy = np.square(activations).sum(axis=1)
        energy = energy - energy.mean(axis=(1, 2), keepdims=True)
        along = (maps * energy).sum(axis=(1, 2), keepdims=True)
        return np.where(along < 0, -maps, maps)


class _AblationCam(_Signed):
    """Weighs each channel by how far the explained number falls without it.

    The paper divides the fall by the number itself; that changes only the map's scale, and its
    sign where the number is negative, so it is left out. The library's own version exchanges
    modules of the model, which is not undone if a forward pass fails.
    """

    gradients = False

    def get_cam_weights(
        self,
        input_tensor: Tensor,
        target_layer: nn.Module,
        targets: list[_Pick],
        activations: NDArray[np.float32],
        _grads: None,
    ) -> NDArray[np.float32]:
        self.activations_and_grads.release()
        # The explained class stays that of the whole network.
        fixed = [
            pick.target or Target(int(own.argmax()))
            for pick, own in zip(targets, self.outputs, strict=True)
        ]
        rows = [
            self._falls(one, target_layer, target, target.score(own), activations.shape[1])
            for one, target, own in zip(input_tensor, fixed, self.outputs, strict=True)
        ]
        return np.stack(rows)

    def _falls(
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
                kept = torch.ones(len(left_out), channels, device=output.device)
                kept[torch.arange(len(left_out)), torch.tensor(left_out)] = 0
                return output * (kept[:, None] if output.ndim == 3 else kept[:, :, None, None])

            handle = layer.register_forward_hook(ablate)
            try:
                logits = self.model(image.expand(len(left_out), -1, -1, -1))
            finally:
                handle.remove()
            scores.append(target.score(logits))
        falls: NDArray[np.float32] = (whole - torch.cat(scores)).cpu().numpy()
        return falls


def _method(kind: type[_Signed]) -> Callable[[Question], tuple[Tensor, Tensor]]:
    def explained(question: Question) -> tuple[Tensor, Tensor]:
        """Returns logits (N, K) and signed maps (N, h, w) on the layer's grid."""
        model, spec = question.network, question.spec
        layer = model.get_submodule(question.detail.module or spec.cam_layer)
        prefix = spec.prefix_tokens

        def reshape(output: Tensor) -> Tensor:
            return output if output.ndim == 4 else to_grid(output, prefix)

        cam = kind(model, layer, reshape)
        picks = [_Pick(target) for target in question.targets]
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
