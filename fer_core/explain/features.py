"""What a network's layers hold: an outline of its layers, their maps, a ViT's patches.

Layers are found by running the network once and looking at what comes out, so that nothing has
to be written down for a new architecture.
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
from fer_core.models.tokens import to_grid


@dataclass(frozen=True)
class Layer:
    """A layer whose output is a map over the picture.

    Attributes:
        path: Module path in the network.
        kind: Its class's name.
        channels: Maps it gives.
        side: Their height and width.
    """

    path: str
    kind: str
    channels: int
    side: int


class RankBy(StrEnum):
    """Which channels are shown first."""

    ACTIVATION = "activation"
    PULL = "pull on the class"


@dataclass(frozen=True)
class FeatureMaps:
    """One layer's maps of one picture.

    Attributes:
        layer: The layer.
        values: float32, shape (C, side, side).
        pull: How much each channel moves the target's score, signed, shape (C,): the sum over
            places of activation times gradient.
        target: What it pulls on.
    """

    layer: Layer
    values: NDArray[np.float32]
    pull: NDArray[np.float32]
    target: Target

    def top(self, count: int, by: RankBy) -> NDArray[np.int64]:
        """Returns the numbers of the strongest channels, strongest first."""
        strength = self.pull if by is RankBy.PULL else np.abs(self.values).mean(axis=(1, 2))
        return np.argsort(-strength, kind="stable")[:count].astype(np.int64)


def layers(model: nn.Module, spec: ModelSpec, inputs: Tensor) -> list[Layer]:
    """Returns the layers of a network from input to output.

    Blocks are not looked into; a row of plain convolutions, norms and activations counts as one
    layer a convolution, read after its activation.

    Args:
        model: In evaluation mode.
        spec: Its architecture.
        inputs: One input or more, shape (N, 3, S, S).
    """
    shapes: dict[nn.Module, tuple[int, int]] = {}

    def note(module: nn.Module, _: object, output: object) -> None:
        grid = _grid_of(output, spec.prefix_tokens)
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
    """Runs a network on one input and returns a layer's maps and their pull on a target.

    Args:
        model: In evaluation mode; left without hooks, whatever happens.
        spec: Its architecture.
        inputs: Shape (1, 3, S, S).
        layer: One of `layers`.
        target: The predicted class by default.
    """
    kept: list[Tensor] = []

    def keep(module: nn.Module, _: object, output: Any) -> None:  # noqa: ANN401 (a hook's protocol)
        kept.append(output[0] if isinstance(output, tuple) else output)

    with _hooked([model.get_submodule(layer.path)], keep), torch.enable_grad():
        # a gradient asked for at the input: frozen weights would cut the graph
        logits = model(inputs.detach().requires_grad_(True))
        asked = target or Target(int(logits[0].argmax()))
        (gradient,) = torch.autograd.grad(asked.score(logits[0]), kept[0])
    values = _grid_of(kept[0].detach(), spec.prefix_tokens)
    pulls = _grid_of(gradient, spec.prefix_tokens)
    if values is None or pulls is None:
        raise ExplainError(f"{layer.path} gives no map over the picture.")
    pull = (values * pulls).sum(dim=(2, 3))[0]
    return FeatureMaps(layer, values[0].float().cpu().numpy(), pull.float().cpu().numpy(), asked)


def penultimate(
    model: LogitsFunction, spec: ModelSpec, inputs: Tensor, batch_size: int = 64
) -> NDArray[np.float32]:
    """Returns what the classifier reads of each input, shape (N, D).

    Args:
        model: A network in evaluation mode; left without hooks, whatever happens.
        spec: Its architecture, which names the classifier.
        inputs: Shape (N, 3, S, S).
        batch_size: Inputs a step.
    """
    if not isinstance(model, nn.Module):
        raise ExplainError("Only a network has features; of this model only answers are known.")
    kept: list[Tensor] = []
    head = model.get_submodule(spec.head)
    handle = head.register_forward_pre_hook(lambda _, given: kept.append(given[0].detach()))
    try:
        with torch.no_grad():
            for start in range(0, len(inputs), batch_size):
                model(inputs[start : start + batch_size])
    finally:
        handle.remove()
    features: NDArray[np.float32] = torch.cat(kept).flatten(1).float().cpu().numpy()
    return features


def patches(image: NDArray[np.uint8], patch: int) -> NDArray[np.uint8]:
    """Cuts a picture as a ViT does; shape (rows, columns, patch, patch, ...).

    Args:
        image: The picture at the network's input size, (S, S) or (S, S, 3); `patch` divides S.
        patch: Side of a patch in pixels.
    """
    side = image.shape[0] // patch
    cut = image.reshape(side, patch, side, patch, *image.shape[2:])
    return np.swapaxes(cut, 1, 2)


def _grid_of(output: object, prefix: int) -> Tensor | None:
    """Returns an output as maps (N, C, h, w) if it is a square map or a row of tokens."""
    if isinstance(output, tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    if output.ndim == 4 and output.shape[-1] == output.shape[-2]:
        return output
    if output.ndim == 3 and prefix:
        try:
            return to_grid(output, prefix)
        except FerscopeError:
            return None
    return None


_CHAINS = (nn.Sequential, nn.ModuleList)


def _candidates(root: nn.Module, shapes: dict[nn.Module, tuple[int, int]]) -> Iterator[nn.Module]:
    """Goes through wrappers and one chain deep: blocks and plain layers, in order."""
    for child in root.children():
        if isinstance(child, _CHAINS):
            yield from child.children()
        elif child in shapes or not any(part in shapes for part in child.modules()):
            yield child
        else:
            yield from _candidates(child, shapes)


def _groups(modules: Iterator[nn.Module]) -> Iterator[nn.Module]:
    """Joins each plain convolution with the norm and activation behind it; keeps blocks."""
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
    """Lays features out on a plane so that neighbours stay neighbours: PCA, then t-SNE.

    Distances between far groups mean nothing (van der Maaten and Hinton 2008). Too few points
    for t-SNE are projected by PCA alone.

    Args:
        features: Shape (N, D), N at least 3.
        seed: Of t-SNE.
        components: Of the PCA.

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
    """Returns an early, a middle and a deep layer by those words."""
    positions = {"early": 0, "middle": (len(layers) - 1) // 2, "deep": len(layers) - 1}
    return {depth: layers[position] for depth, position in positions.items()}
