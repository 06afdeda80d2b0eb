"""Feature maps: the layers of a network, their activations, embeddings, and a ViT's patches.

Layers are discovered by running the network once and inspecting the outputs, so a new architecture
needs no configuration.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core.errors import FerscopeError
from fer_core.explain.saliency import ExplainError, LogitsFunction, Target
from fer_core.models import ModelSpec
from fer_core.models.tokens import to_map


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a spatial feature map.

    Attributes:
        path: Module path in the network.
        kind: Class name of the module.
        channels: Number of channels.
        side: Height and width of the feature map.
    """

    path: str
    kind: str
    channels: int
    side: int


class RankBy(StrEnum):
    """Order in which channels are shown."""

    ACTIVATION = "activation"
    RELEVANCE = "gradient x activation"


@dataclass(frozen=True)
class FeatureMaps:
    """Feature maps of one layer for one image.

    Attributes:
        layer: The layer.
        values: float32, shape (C, side, side).
        relevance: Gradient x activation of each channel, summed over positions, signed, shape
            (C,).
        target: Target whose gradient is used.
    """

    layer: Layer
    values: NDArray[np.float32]
    relevance: NDArray[np.float32]
    target: Target

    def top(self, count: int, by: RankBy) -> NDArray[np.int64]:
        """Returns the indices of the strongest channels, strongest first."""
        strength = (
            self.relevance if by is RankBy.RELEVANCE else np.abs(self.values).mean(axis=(1, 2))
        )
        return np.argsort(-strength, kind="stable")[:count].astype(np.int64)


def layers(model: nn.Module, spec: ModelSpec, inputs: Tensor) -> list[Layer]:
    """Returns the layers of a network from input to output.

    Blocks count as one layer. In plain sequences of convolutions, norms and activations, each
    convolution with its norm and activation counts as one layer.

    Args:
        model: A network in evaluation mode.
        spec: Architecture of the network.
        inputs: At least one input, shape (N, 3, S, S).
    """
    shapes: dict[nn.Module, tuple[int, int]] = {}

    def note(module: nn.Module, _: object, output: object) -> None:
        grid = _grid_of(output, spec)
        if grid is not None and grid.shape[-1] > 1:
            shapes[module] = (grid.shape[1], grid.shape[-1])

    with _hooked(model.modules(), note), torch.no_grad():
        model(inputs[:1])
    names = {module: name for name, module in model.named_modules()}
    return [
        Layer(names[module], type(module).__name__, *shapes[module])
        for module in _groups(_candidates(model, shapes))
        if module in shapes
    ]


def feature_maps(
    model: nn.Module,
    spec: ModelSpec,
    inputs: Tensor,
    layer: Layer,
    target: Target | None = None,
) -> FeatureMaps:
    """Returns a layer's feature maps of one input and the relevance of its channels.

    Args:
        model: Network in evaluation mode; hooks are always removed.
        spec: Architecture of the network.
        inputs: Normalised input, shape (1, 3, S, S).
        layer: One of `layers`.
        target: Target of the relevance; the predicted class by default.
    """
    outputs: list[Tensor] = []

    def keep(module: nn.Module, _: object, output: Any) -> None:  # noqa: ANN401 (a hook's protocol)
        outputs.append(output[0] if isinstance(output, tuple) else output)

    with _hooked([model.get_submodule(layer.path)], keep), torch.enable_grad():
        # the input needs a gradient, because frozen weights would cut the graph
        logits = model(inputs.detach().requires_grad_(True))
        resolved = target or Target(int(logits[0].argmax()))
        (gradient,) = torch.autograd.grad(resolved.score(logits[0]), outputs[0])
    values = _grid_of(outputs[0].detach(), spec)
    gradients = _grid_of(gradient, spec)
    if values is None or gradients is None:
        raise ExplainError(
            f"The output of {layer.path} is not a spatial feature map. Pass another layer."
        )
    relevance = (values * gradients).sum(dim=(2, 3))[0]
    return FeatureMaps(
        layer, values[0].float().cpu().numpy(), relevance.float().cpu().numpy(), resolved
    )


def penultimate(
    model: LogitsFunction, spec: ModelSpec, inputs: Tensor, batch_size: int = 64
) -> NDArray[np.float32]:
    """Returns the embedding that the classifier receives, shape (N, D).

    Args:
        model: Network in evaluation mode; hooks are always removed.
        spec: Architecture, which names the classifier module.
        inputs: Shape (N, 3, S, S).
        batch_size: Batch size.
    """
    if not isinstance(model, nn.Module):
        raise ExplainError(
            "This model has no accessible network, so its features cannot be read. Use a run whose "
            "kind is network."
        )
    outputs: list[Tensor] = []
    head = model.get_submodule(spec.head)
    handle = head.register_forward_pre_hook(lambda _, inputs: outputs.append(inputs[0].detach()))
    try:
        with torch.no_grad():
            for start in range(0, len(inputs), batch_size):
                model(inputs[start : start + batch_size])
    finally:
        handle.remove()
    outputs = [values.mean(dim=(2, 3)) if values.ndim == 4 else values for values in outputs]
    features: NDArray[np.float32] = torch.cat(outputs).flatten(1).float().cpu().numpy()
    return features


def patches(image: NDArray[np.uint8], patch: int) -> NDArray[np.uint8]:
    """Splits an image into patches as a ViT does; shape (rows, columns, patch, patch, ...).

    Args:
        image: Image at the input size, shape (S, S) or (S, S, 3); `patch` must divide S.
        patch: Side of a patch in pixels.
    """
    side = image.shape[0] // patch
    cut = image.reshape(side, patch, side, patch, *image.shape[2:])
    return np.swapaxes(cut, 1, 2)


def _grid_of(output: object, spec: ModelSpec) -> Tensor | None:
    """Returns an output as maps (N, C, h, w) if it is a square map or a token sequence."""
    if isinstance(output, tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    if output.ndim != 4 and not (output.ndim == 3 and spec.layout == "tokens"):
        return None
    try:
        return to_map(output, spec)
    except FerscopeError:
        return None


_CHAINS = (nn.Sequential, nn.ModuleList)


def _candidates(root: nn.Module, shapes: dict[nn.Module, tuple[int, int]]) -> Iterator[nn.Module]:
    """Yields blocks and plain layers in order, descending into wrappers and one container."""
    for child in root.children():
        if isinstance(child, _CHAINS):
            yield from child.children()
        elif child in shapes or not any(part in shapes for part in child.modules()):
            yield child
        else:
            yield from _candidates(child, shapes)


def _groups(modules: Iterator[nn.Module]) -> Iterator[nn.Module]:
    """Yields blocks, and for each plain convolution the last of its norm and activation."""
    last: nn.Module | None = None
    for module in modules:
        plain = not any(next(child.parameters(), None) is not None for child in module.children())
        if not plain:
            if last is not None:
                yield last
            last = None
            yield module
        elif isinstance(module, nn.Conv2d):
            if last is not None:
                yield last
            last = module
        elif last is not None and (isinstance(module, _NORMS) or _activates(module)):
            last = module
    if last is not None:
        yield last


_NORMS = (nn.BatchNorm2d, nn.GroupNorm)


def _activates(module: nn.Module) -> bool:
    """Whether a plain layer is an activation function."""
    return type(module).__module__ == "torch.nn.modules.activation"


@contextmanager
def _hooked(modules: Any, hook: Any) -> Iterator[None]:  # noqa: ANN401 (torch's hook protocol)
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def project(
    features: NDArray[np.float32], seed: int = 0, components: int = 30
) -> NDArray[np.float32]:
    """Projects features to 2-D with PCA followed by t-SNE.

    Distances between distant clusters are not meaningful (van der Maaten and Hinton 2008). With
    too few points for t-SNE, only PCA is used.

    Args:
        features: Features, shape (N, D) with N at least 3.
        seed: Random seed of t-SNE.
        components: Number of principal components.

    Returns:
        Shape (N, 2).
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    finite = np.nan_to_num(features)
    count = min(components, *finite.shape)
    reduced = PCA(count, random_state=seed).fit_transform(finite)
    if len(finite) < 40:
        plane = reduced[:, :2]
    else:
        plane = TSNE(
            perplexity=min(30.0, len(finite) / 4), random_state=seed, n_jobs=1
        ).fit_transform(reduced)
    return np.asarray(plane, dtype=np.float32)


def order_by_depth(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Returns an early, a middle and a deep layer by the keys `early`, `middle` and `deep`."""
    positions = {"early": 0, "middle": (len(layers) - 1) // 2, "deep": len(layers) - 1}
    return {depth: layers[position] for depth, position in positions.items()}
