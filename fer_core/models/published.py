"""Classifiers that were trained elsewhere, as read from files: network, weights, input, classes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from fer_core.config import ModelConfig, Rgb


@dataclass(frozen=True)
class InputOptions:
    """Input and options of a network as the user gives them; None for what its files say.

    Attributes:
        image_size: Input side in pixels.
        mean: Input mean per channel, for values in 0 to 1.
        std: Input standard deviation per channel.
        network: Arguments of the library's constructor, such as `global_pool`.
    """

    image_size: int | None = None
    mean: Rgb | None = None
    std: Rgb | None = None
    network: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedModel:
    """A network that was trained elsewhere.

    Attributes:
        config: Configuration that builds the network again, without its files.
        outputs: Class of each output in its own words, in order.
        tensors: State dict, with the names of the built network.
        source: Origin of the network, with the commit or the file's name.
        notes: Sentences on what was converted, assumed or left out.
    """

    config: ModelConfig
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    source: str
    notes: tuple[str, ...] = ()
