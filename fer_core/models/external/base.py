"""Interface of a library of architectures, and names of its architectures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fer_core.config import ModelConfig, Rgb
from fer_core.luma import LUMA
from fer_core.models.registry import Adapt


class LogitsOnly(nn.Module):
    """Wraps a transformers classifier to take three channels and return only logits.

    A classifier of one channel receives their luma.
    """

    _luma: Tensor

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.model = classifier
        self._grey = getattr(classifier.config, "num_channels", 3) == 1
        weights = torch.tensor(LUMA).view(1, 3, 1, 1)
        self.register_buffer("_luma", weights, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Maps (N, 3, S, S) to logits (N, K)."""
        inputs = (images * self._luma).sum(dim=1, keepdim=True) if self._grey else images
        logits: Tensor = self.model(pixel_values=inputs).logits
        return logits


@dataclass(frozen=True)
class Facts:
    """Facts that a library states about an architecture.

    Attributes:
        title: Display name.
        licence: Licence of the code, and of the weights if known.
        reference: Source that documents the architecture.
        pretrained: Source of its pretrained weights, `hub:<repository>` or `url:<address>`; None
            if there are none.
        mean_pooled: Whether a ViT's classifier reads the mean of the patches.
        adapt: Converts a state dict of the library or of a former version.
    """

    title: str
    licence: str
    reference: str
    pretrained: str | None
    mean_pooled: bool
    adapt: Adapt


class Library(Protocol):
    """A library that builds networks by name."""

    def resolved(self, config: ModelConfig) -> ModelConfig:
        """Returns the configuration with `hub_config`, `mean` and `std` filled in.

        From it the network can be built without a hub.

        Raises:
            RecipeError: If there is no such architecture, or its options are not allowed.
        """
        ...

    def build(self, config: ModelConfig, classes: int) -> nn.Module:
        """Builds the network of a resolved configuration with random weights.

        Raises:
            RecipeError: If the library refuses the options.
        """
        ...

    def default_size(self, architecture: str) -> int | None:
        """Returns the input side that an architecture was designed for; None if unknown."""
        ...

    def facts(self, config: ModelConfig, model: nn.Module) -> Facts:
        """Returns what the library states about a resolved configuration and its network."""
        ...


def as_rgb(values: Any) -> Rgb:  # noqa: ANN401 (of a foreign configuration)
    """Converts a mean or a standard deviation of one or three channels.

    Raises:
        ValueError: If it has another number of values.
    """
    numbers = [float(value) for value in values]
    if len(numbers) == 1:
        numbers *= 3
    red, green, blue = numbers
    return red, green, blue


def similar_names(name: str, names: Iterable[str]) -> str:
    """Returns a sentence with the names that are spelled much like a name; empty without any."""
    matches = get_close_matches(name, names, n=4, cutoff=0.75)
    return f" Similar names: {', '.join(matches)}." if matches else ""


def plain_options(options: Mapping[str, Any]) -> bool:
    """Whether all values are plain: numbers, texts, None, and lists or mappings of these."""
    return all(_plain(value) for value in options.values())


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)
