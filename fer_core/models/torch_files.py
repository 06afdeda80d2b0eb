"""State dicts in files of torch, such as `.pth`, read without running code from them."""

import argparse
import pathlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_core.errors import WeightsError

_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema")
"""Keys of a moving average of the weights. Where a file has one, it is read, as timm does
(`timm.models.load_checkpoint`): it is what such trainings validate."""

_KEYS = (
    *_AVERAGED, "state_dict", "model_state_dict", "model", "net", "network", "weights", "params",
    "module",
)  # fmt: skip
"""Keys under which training scripts save a state dict, in the order in which they are tried."""

_MOST_LEVELS = 4

_multiarray: Any = getattr(np, "_core").multiarray  # noqa: B009 (not in the stubs)
_PLAIN_TYPES: list[Any] = [
    argparse.Namespace,
    pathlib.PosixPath,
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefdg"},
    *(
        (function, f"{module}.{function.__name__}")
        for function in (_multiarray.scalar, _multiarray._reconstruct)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    ),
]
"""Types that checkpoints hold beside tensors: options of the training, and numbers of numpy.
Restoring them runs no code from the file."""


@dataclass(frozen=True)
class TorchFile:
    """A state dict as a file of torch holds it.

    Attributes:
        tensors: Tensors by name.
        notes: Sentences on what else the file has that could have been meant.
    """

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def read_torch_file(file: Path) -> TorchFile:
    """Reads the state dict of a `.pth`, `.pt` or `.bin` file without running code from it.

    Raises:
        WeightsError: If the file is damaged, needs code to be opened, or has no state dict.
    """
    content = _load(file)
    notes: list[str] = []
    for _ in range(_MOST_LEVELS):
        if _is_state(content):
            return TorchFile(content, tuple(notes))
        if not isinstance(content, Mapping):
            break
        if _is_mixed(content):
            others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
            notes.append(f"{file.name} also has {', '.join(others)}, which are no tensors.")
            kept = {key: value for key, value in content.items() if isinstance(value, Tensor)}
            return TorchFile(kept, tuple(notes))
        found = [key for key in _ordered(content) if isinstance(content[key], Mapping)]
        if not found:
            break
        states = [key for key in found if _is_state(content[key])]
        picked = (states or found)[0]
        if others := [key for key in states if key != picked]:
            notes.append(
                f"The weights under {picked!r} of {file.name} were read; those under "
                f"{', '.join(map(repr, others))} were not."
            )
        content = content[picked]
    raise WeightsError(
        f"{file.name} is not a state dict: tensors by name, at the top level or under "
        f"'state_dict' or 'model'.{_seen(content)}"
    )


def _load(file: Path) -> Any:  # noqa: ANN401 (whatever the file holds)
    try:
        with torch.serialization.safe_globals(_PLAIN_TYPES):
            # weights_only keeps pickle from running code
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{file.name} is a pickle that needs code to be opened, such as a whole model, and is "
            "refused, because it could run anything. Save its state dict instead: "
            "torch.save(model.state_dict(), path)."
        ) from error
    except Exception as error:  # torch raises many exception types for damaged files
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{file.name} is a TorchScript archive, which holds code. Save the state dict "
                "instead, torch.save(model.state_dict(), path), or export the model as ONNX."
            ) from error
        raise WeightsError(
            f"{file.name} cannot be read as weights ({type(error).__name__}): it is damaged, or no "
            "file of torch."
        ) from error


def _is_state(content: object) -> bool:
    """Whether all values are tensors."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(key, str) for key in content)
        and all(isinstance(value, Tensor) for value in content.values())
    )


def _is_mixed(content: Mapping[Any, Any]) -> bool:
    """Whether a network's tensors are beside other values, such as the epoch."""
    named = [key for key, value in content.items() if isinstance(value, Tensor)]
    return sum("." in str(key) for key in named) > 1


def _ordered(content: Mapping[Any, Any]) -> list[Any]:
    """Returns the keys of a checkpoint, those of `_KEYS` first; optimizers are left out."""
    known = [key for key in _KEYS if key in content]
    others = [key for key in content if key not in _KEYS and "optim" not in str(key).lower()]
    return [*known, *(key for key in others if _is_state(content[key]))]


def _seen(content: object) -> str:
    """Returns a sentence on what a file has instead."""
    if not isinstance(content, Mapping) or not content:
        return ""
    return f" It has {', '.join(str(key) for key in list(content)[:8])}."
