"""Finds the classifier, the CAM layer and the tokens of any network by running it once.

The network runs on the `meta` device, which computes shapes only: no memory and no arithmetic.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.errors import RecipeError
from fer_core.models.fused_attention import FusedAttentionMode
from fer_core.models.registry import Family, Layout

_MIN_SIDE = 6
"""Positions per side below which a CAM of the last stage is too coarse to localise."""


_BATCH = 2

_MAX_PREFIX = 16
"""Most tokens that are not patches: class token and registers."""


_CHAINS = (nn.Sequential, nn.ModuleList)

_INVERTS_LAYER_CAM = ("ConvNeXt", "ConvNext", "MaxxVit", "MaxVit")
"""Networks of timm, torchvision and transformers whose negative activations carry evidence."""

_LINEAR_BLOCKS = (
    "InvertedResidual", "GhostBottleneck", "MobileNetV2InvertedResidual", "EfficientNetBlock",
)  # fmt: skip
"""Blocks that end without an activation, so that their outputs have either sign."""

_UNORDERED = ("Hiera",)
"""Networks of timm and transformers whose tokens are not in the order of the image's rows."""


@dataclass(frozen=True)
class Probe:
    """Facts that a forward pass shows about a network.

    Attributes:
        head: Path of the layer that computes the logits: linear, or a convolution of 1 x 1. If
            the logits are the mean of several, as of distilled networks, the first.
        cam_layer: Path of the module that CAM methods read; empty if there is none.
        layout: Shape of that module's output: (N, C, h, w), (N, h, w, C) or (N, T, C).
        prefix_tokens: Tokens before the patch tokens.
        grid: Side of the patch grid of a network of tokens; None for others.
        family: `vit` if every attention block attends from all tokens to all tokens, which
            attention methods require; `other` with other attention or tokens; else `cnn`.
        lora_targets: Suffixes of the paths of linear layers that LoRA adapts; empty for none.
        inverts_layer_cam: As in `ModelSpec`.
        inverts_ablation_cam: As in `ModelSpec`.
        more_heads: As in `ModelSpec`.
    """

    head: str
    cam_layer: str
    layout: Layout
    prefix_tokens: int
    grid: int | None
    family: Family
    lora_targets: tuple[str, ...]
    inverts_layer_cam: bool = False
    inverts_ablation_cam: bool = False
    more_heads: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Call:
    """One call of a module that returned a tensor."""

    path: str
    shape: tuple[int, ...]
    depth: int


def probe(model: nn.Module, size: int, classes: int) -> Probe:
    """Runs a network on one image and finds its parts.

    Args:
        model: Built on the `meta` device, in evaluation mode.
        size: Input side in pixels.
        classes: Number of classes.

    Raises:
        RecipeError: If the network does not map images of that size to logits through a linear
            layer or a convolution of 1 x 1.
    """
    calls, attention = _run(model, size, classes)
    heads = _heads(model, calls, classes)
    return replace(_parts(model, calls, attention, heads[0]), more_heads=heads[1:])


def _parts(
    model: nn.Module, calls: list[_Call], attention: Sequence[tuple[int, int]], head: str
) -> Probe:
    """Returns the parts of a network whose first classifier is known."""
    if isinstance(model.get_submodule(head), nn.Conv2d):  # its output is no map of features
        calls = calls[: [call.path for call in calls].index(head)]
    targets = _lora_targets(model)
    tokens = _tokens(model, calls)
    if tokens is not None:
        layer, prefix, grid = tokens
        count = prefix + grid * grid
        everywhere = {(count, count)} == set(attention)
        blocks: Family = "vit" if everywhere else "other"
        return Probe(
            head, layer, "tokens", prefix, grid, blocks, targets, inverts_ablation_cam=True
        )
    attends = any("Attention" in type(module).__name__ for module in model.modules())
    layer, layout = _map_layer(calls)
    if _has(model, _UNORDERED):
        layer = ""
    family: Family = "other" if attends else "cnn"
    inverts = _has(model, _INVERTS_LAYER_CAM)
    signed = layout == "tokens" or _has(model, _LINEAR_BLOCKS)
    return Probe(head, layer, layout, 0, None, family, targets, inverts, signed)


def _has(model: nn.Module, prefixes: tuple[str, ...]) -> bool:
    """Whether a module's class has a name with one of the prefixes."""
    return any(type(module).__name__.startswith(prefixes) for module in model.modules())


def supports_size(model: nn.Module, size: int) -> bool:
    """Whether a network on the `meta` device, built for another size, takes images of a size."""
    try:
        with torch.no_grad():
            model(torch.empty(_BATCH, 3, size, size, device="meta"))
    except (RuntimeError, ValueError, AssertionError, TypeError):
        return False
    return True


def _run(model: nn.Module, size: int, classes: int) -> tuple[list[_Call], list[tuple[int, int]]]:
    """Returns the calls, and the numbers of queries and keys of each fused attention."""
    calls, lengths = list[_Call](), list[tuple[int, int]]()

    def attend(query: Tensor, key: Tensor, *args: Any, **options: Any) -> Tensor:  # noqa: ANN401
        lengths.append((query.shape[-2], key.shape[-2]))
        return F.scaled_dot_product_attention(query, key, *args, **options)

    images = torch.empty(_BATCH, 3, size, size, device="meta")
    try:
        with torch.no_grad(), FusedAttentionMode(attend), _recorded(model, calls):
            logits = model(images)
    except Exception as error:  # libraries raise many exception types for a wrong size
        raise RecipeError(f"The network does not take images of {size} px: {error}") from error
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (_BATCH, classes):
        raise RecipeError("The network does not return one row of logits for each image.")
    return calls, lengths


@contextmanager
def _recorded(model: nn.Module, calls: list[_Call]) -> Iterator[None]:
    """Records each module's tensor output, in the order in which modules return."""

    def hook_of(path: str) -> Callable[..., None]:
        def note(module: nn.Module, _inputs: object, output: object) -> None:
            if not isinstance(output, Tensor) or isinstance(module, nn.AdaptiveAvgPool2d):
                return
            if output.ndim > 1 and len(output) == _BATCH:
                calls.append(_Call(path, tuple(output.shape), path.count(".")))

        return note

    handles = [
        module.register_forward_hook(hook_of(path))
        for path, module in model.named_modules()
        if path
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _heads(model: nn.Module, calls: Sequence[_Call], classes: int) -> tuple[str, ...]:
    """Returns the layers that compute logits, in the order of their calls."""
    found = [call.path for call in calls if _gives(model.get_submodule(call.path), classes)]
    linear = [path for path in found if isinstance(model.get_submodule(path), nn.Linear)]
    if not found:
        raise RecipeError(
            f"No linear layer and no convolution of 1 x 1 computes its {classes} logits."
        )
    heads = tuple(dict.fromkeys(linear or found))
    for path in heads:
        if model.get_submodule(path).bias is None:
            raise RecipeError(f"The classifier {path} has no bias, which is not supported.")
    return heads


def _gives(layer: nn.Module, classes: int) -> bool:
    """Whether a layer computes one value per class from features."""
    if isinstance(layer, nn.Conv2d):
        return layer.out_channels == classes and layer.kernel_size == (1, 1)
    return isinstance(layer, nn.Linear) and layer.out_features == classes


def _tokens(model: nn.Module, calls: Sequence[_Call]) -> tuple[str, int, int] | None:
    """Returns the CAM layer, prefix tokens and grid side of a network of equal token blocks.

    The layer is the one before the last block: after the last attention block patch tokens no
    longer reach a classifier that reads the class token.
    """
    chains: dict[str, list[_Call]] = {}
    for call in calls:
        parent = call.path.rpartition(".")[0]
        if len(call.shape) == 3 and isinstance(model.get_submodule(parent), _CHAINS):
            chains.setdefault(parent, []).append(call)
    equal = [chain for chain in chains.values() if len({call.shape for call in chain}) == 1]
    longest = max(equal, key=len, default=[])
    spatial = [call for call in calls if _side_of(call.shape)[0] > 1 or len(call.shape) == 3]
    if len(longest) < 2 or len(spatial[-1].shape) != 3:
        return None
    count = longest[-1].shape[1]
    if abs(spatial[-1].shape[1] - count) > _MAX_PREFIX:
        return None  # its stages have grids of several sizes
    side = _patch_grid(calls, count) or math.isqrt(count)
    return longest[-2].path, count - side * side, side


def _patch_grid(calls: Sequence[_Call], tokens: int) -> int | None:
    """Returns the side of the patch embedding's convolution that gives these tokens."""
    sides = [
        call.shape[-1]
        for call in calls
        if len(call.shape) == 4
        and call.shape[-1] == call.shape[-2]
        and 0 <= tokens - call.shape[-1] ** 2 < tokens
    ]
    return max(sides, default=None)


def _map_layer(calls: Sequence[_Call]) -> tuple[str, Layout]:
    """Returns the layer for CAM methods of a network of stages, and its layout.

    That is the end of the last stage, or of the stage before it if the last one has fewer than
    6 x 6 positions.
    """
    candidates: list[tuple[_Call, Layout, int]] = []
    for call in calls:
        side, layout = _side_of(call.shape)
        if side > 1:
            candidates.append((call, layout, side))
    if not candidates:
        return "", "maps"
    last = candidates[-1][2]
    coarser = [side for _, _, side in candidates if side > last]
    side = last if last >= _MIN_SIDE or not coarser else min(coarser)
    stage = [item for item in candidates if item[2] == side]
    least = min(call.depth for call, _, _ in stage)
    call, layout, _ = [item for item in stage if item[0].depth == least][-1]
    return call.path, layout


def _side_of(shape: tuple[int, ...]) -> tuple[int, Layout]:
    """Returns the side of a spatial output and its layout; 0 for any other output."""
    if len(shape) == 4 and shape[2] == shape[3]:
        return shape[2], "maps"
    if len(shape) == 4 and shape[1] == shape[2]:
        return shape[1], "channels_last"
    if len(shape) == 3 and shape[2] > 1 and math.isqrt(shape[1]) ** 2 == shape[1]:
        return math.isqrt(shape[1]), "tokens"
    return 0, "maps"


_ATTENTION_LAYERS = (
    ("attn.qkv", "attn.proj"),
    ("q_proj", "k_proj", "v_proj", "o_proj"),
    ("q_proj", "k_proj", "v_proj", "out_proj"),
    ("query", "key", "value"),
)


def _lora_targets(model: nn.Module) -> tuple[str, ...]:
    linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    for targets in _ATTENTION_LAYERS:
        if all(any(path.endswith(f".{target}") for path in linear) for target in targets):
            return targets
    return ()
