"""State dicts in files of torch, such as `.pth`, read without running code from them."""

import argparse
import pathlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_core.errors import WeightsError
from fer_core.models.file_contents import require_content
from fer_core.models.script_options import ScriptOptions, script_options

_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema")
"""Keys of a moving average of the weights. Where a file has one, it is read, as timm does
(`timm.models.load_checkpoint`): it is what such trainings validate."""

_KEYS = (
    *_AVERAGED, "state_dict", "model_state_dict", "model", "net", "network", "weights", "params",
    "module",
)  # fmt: skip
"""Keys under which training scripts save a state dict, in the order in which they are tried."""

_MOST_LEVELS = 4
_SHOWN = 4  # classes that a message names


class _Unread(list[Any]):
    """Stands in for an object that is no tensor: nothing of it is kept, and no code of it runs."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, _: object) -> None:
        """Drops the attributes of the object."""


def _plain_dict(*_: object) -> dict[Any, Any]:
    return {}


_multiarray: Any = getattr(np, "_core").multiarray  # noqa: B009 (not in the stubs)
_PLAIN_TYPES: list[Any] = [
    argparse.Namespace,
    pathlib.PosixPath,
    np.ndarray,
    np.dtype,
    (_plain_dict, "collections.defaultdict"),
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
        options: What the training script saved beside it.
    """

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()
    options: ScriptOptions = field(default_factory=ScriptOptions)


def read_torch_file(file: Path, key: str | None = None) -> TorchFile:
    """Reads the state dict of a `.pth`, `.pt` or `.bin` file without running code from it.

    Objects of other classes beside the state dict, such as options or callbacks, are not restored.

    Args:
        file: The file.
        key: Key of the state dict, or prefix of its tensors, in a file with several.

    Raises:
        WeightsError: If the file is damaged, needs code to be opened, or has no state dict, or
            needs `key`.
    """
    require_content(file)
    content, classes = _load(file)
    part = content if key is None else under_key(content, key, file.name)
    read = _state(part, file.name, _MOST_LEVELS)
    if read is not None:
        return replace(read, options=script_options(content))
    if classes:
        raise _refusal(file, classes)
    raise WeightsError(
        f"{file.name} is not a state dict: tensors by name, at the top level or under "
        f"'state_dict' or 'model'.{_seen(content)}"
    )


def under_key(content: object, key: str, name: str) -> Mapping[str, Any]:
    """Returns what a file has under a key, or under the prefix of tensors, at any level.

    Raises:
        WeightsError: If there is nothing.
    """
    found = _under(content, key, _MOST_LEVELS)
    if not found:
        raise WeightsError(f"{name} has no weights under {key!r} (--weights-key).{_seen(content)}")
    return found


def _under(content: object, key: str, levels: int) -> Mapping[str, Any]:
    if not isinstance(content, Mapping) or not levels:
        return {}
    if isinstance(content.get(key), Mapping):
        return dict(content[key])
    start = f"{key.removesuffix('.')}."
    named = {name: value for name, value in content.items() if str(name).startswith(start)}
    if named:
        return {name.removeprefix(start): value for name, value in named.items()}
    parts = (_under(value, key, levels - 1) for value in content.values())
    return next(filter(None, parts), {})


def _state(content: object, name: str, levels: int) -> TorchFile | None:
    """Returns the state dict in a value of a checkpoint; None if it has none."""
    if not isinstance(content, Mapping) or not levels:
        return None
    content = {key: _as_tensor(value) for key, value in content.items()}
    if _is_state(content):
        return TorchFile(content)
    if _is_mixed(content):
        others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
        kept = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        return TorchFile(kept, (f"{name} also has {', '.join(others)}, which are no tensors.",))
    found = {key: _state(content[key], name, levels - 1) for key in _ordered(content)}
    states = {key: state for key, state in found.items() if state is not None}
    notes = [
        f"The average under {key!r} of {name} has no tensors by name, and was not read."
        for key in _AVERAGED
        if key not in states
        and isinstance(content.get(key), Mapping | _Unread)
        and content[key] != {}
    ]
    if not states:
        return None
    if parts := _backbone_and_layer(states):
        backbone, layer = parts
        tensors = {f"{layer}.{own}": value for own, value in states[layer].tensors.items()}
        note = f"The weights under {backbone!r} and the layer under {layer!r} of {name} were read."
        return TorchFile({**states[backbone].tensors, **tensors}, (*notes, note))
    picked, *others = states
    rivals = [key for key in others if _is_rival(states[key].tensors, states[picked].tensors)]
    if rivals and picked not in _KEYS:
        raise WeightsError(
            f"{name} has the weights of several networks: {', '.join([picked, *rivals])}. Import "
            f"one of them by its key, such as --weights-key {picked}, or save its state dict alone."
        )
    if others:
        notes.append(
            f"The weights under {picked!r} of {name} were read; those under "
            f"{', '.join(map(repr, others))} were not."
        )
    return TorchFile(states[picked].tensors, (*notes, *states[picked].notes))


def _backbone_and_layer(states: Mapping[Any, TorchFile]) -> tuple[Any, Any] | None:
    """Returns the keys of a backbone and of one linear layer; None if a file has anything else."""
    layers = [key for key, state in states.items() if _is_linear(state.tensors)]
    others = [key for key in states if key not in layers]
    return (others[0], layers[0]) if len(layers) == len(others) == 1 else None


def _is_linear(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the weight and, if it has one, the bias of one linear layer."""
    layers = {key.rpartition(".")[0] for key in tensors}
    parts = {key.rpartition(".")[2]: tensor for key, tensor in tensors.items()}
    weight = parts.get("weight")
    return (
        len(layers) == 1
        and set(parts) <= {"weight", "bias"}
        and weight is not None
        and weight.ndim == 2
    )


def _as_tensor(value: Any) -> Any:  # noqa: ANN401 (whatever the file holds)
    """Returns numbers of numpy as a tensor, and anything else as it is."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        return value
    readable = value.dtype.isnative and value.dtype.itemsize <= 8
    return torch.from_numpy(value) if readable else value


def _is_rival(tensors: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    """Whether two state dicts have the same shapes, in order, and different values."""
    pairs = list(zip(tensors.values(), others.values(), strict=False))
    same = len(tensors) == len(others) and all(one.shape == other.shape for one, other in pairs)
    return same and not all(torch.equal(one, other) for one, other in pairs)


def _load(file: Path) -> tuple[Any, list[str]]:
    """Returns the content of a file, and the classes of objects in it that were not restored."""
    try:
        return _opened(file, []), []
    except pickle.UnpicklingError as error:
        classes = _classes(file)
        if not classes and "GLOBAL" not in str(error):
            raise _damage(file, error) from error
        try:
            return _opened(file, classes), classes
        except Exception:  # it needs more than the objects that can be left out
            raise _refusal(file, classes) from error
    except Exception as error:  # torch raises many exception types for damaged files
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{file.name} is a TorchScript archive, which holds code. Save the state dict "
                "instead, torch.save(model.state_dict(), path), or export the model as ONNX."
            ) from error
        raise _damage(file, error) from error


def _opened(file: Path, unread: list[str]) -> Any:  # noqa: ANN401 (whatever the file holds)
    """Opens a file with `weights_only`, which keeps pickle from running code."""
    stand_ins: list[Any] = [(_Unread, name) for name in unread]
    allowed = torch.serialization.safe_globals([*_PLAIN_TYPES, *stand_ins])
    with allowed, file.open("rb") as opened:  # of a path, torch would judge the extension
        return torch.load(opened, map_location="cpu", weights_only=True)


def _classes(file: Path) -> list[str]:
    """Returns the classes and functions that a file needs beyond those of `weights_only`."""
    try:
        with torch.serialization.safe_globals(_PLAIN_TYPES):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(file)))
    except Exception:  # files of torch before 1.6 do not tell
        return []


def _damage(file: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{file.name} cannot be read as weights ({type(error).__name__}): it is damaged, or no "
        "file of torch."
    )


def _refusal(file: Path, classes: list[str]) -> WeightsError:
    listed = f" ({', '.join(classes[:_SHOWN])})" if classes else ""
    return WeightsError(
        f"{file.name} is a pickle that needs code to be opened{listed}, such as a whole model, and "
        "is refused, because it could run anything. Save its state dict instead: "
        "torch.save(model.state_dict(), path)."
    )


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
