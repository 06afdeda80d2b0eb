"""Fitting state dicts of training scripts to a network: prefixes, channels, and what is left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_core.errors import WeightsError

PREFIXES = ("module.", "model.", "backbone.", "net.", "network.", "_orig_mod.")
"""Prefixes that wrappers and training scripts add to the names of tensors."""

_NAMED = 6
"""Tensors that a message names; there may be hundreds."""


@dataclass(frozen=True)
class FittedState:
    """A state dict with the names and shapes of a network.

    Attributes:
        tensors: One tensor for each of the network's.
        unused: Names of tensors that the network does not have.
        notes: Sentences on what was converted or left out.
    """

    tensors: Mapping[str, Tensor]
    unused: tuple[str, ...]
    notes: tuple[str, ...]


def fit_state(tensors: Mapping[str, Tensor], model: nn.Module, source: str) -> FittedState:
    """Fits a state dict to a network.

    Args:
        tensors: As a training script saved them.
        model: The network.
        source: The file, for messages.

    Raises:
        WeightsError: If a tensor of the network is missing or has another shape; names them.
    """
    target = model.state_dict()
    named = {_own_name(name, target): tensor for name, tensor in tensors.items()}
    if len(named) < len(tensors):
        raise WeightsError(
            f"{source} has two tensors of one name after removing the prefixes "
            f"{', '.join(PREFIXES)}. Save the state dict of one network."
        )
    notes = []
    fitted = {}
    for name, target_tensor in target.items():
        tensor = named.get(name)
        if tensor is None and name.endswith("num_batches_tracked"):
            tensor = target_tensor
        if tensor is not None and _is_grey_stem(tensor, target_tensor):
            tensor = tensor.expand(-1, 3, -1, -1) / 3
            notes.append(f"{name} reads one channel; it was converted to read the mean of three.")
        if tensor is not None and tensor.shape == target_tensor.shape:
            fitted[name] = tensor.to(target_tensor.dtype)
    _require_all(fitted, named, target, source)
    unused = tuple(sorted(set(named) - set(target)))
    if unused:
        notes.append(f"Tensors that the network does not have were left out: {shown(unused)}.")
    return FittedState(fitted, unused, tuple(notes))


def without_common_prefix(
    tensors: Mapping[str, Tensor], names: Iterable[str]
) -> Mapping[str, Tensor]:
    """Removes a wrapper's prefix from all names, unless fewer of the network's then remain.

    Args:
        tensors: Of a foreign file; the names may be those of a former version of the library.
        names: Of the network.
    """
    target_names, best = set(names), tensors
    while best:
        prefix = next((item for item in PREFIXES if all(key.startswith(item) for key in best)), "")
        shorter = {key.removeprefix(prefix): value for key, value in best.items()}
        if not prefix or len(target_names & set(shorter)) < len(target_names & set(best)):
            break
        best = shorter
    return best


def shown(names: Iterable[str]) -> str:
    """Returns names for a message; of many, the first and how many more there are."""
    listed = list(names)
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _own_name(name: str, target: Mapping[str, Tensor]) -> str:
    """Returns a tensor's name without the prefixes of wrappers, if the network has it."""
    plain = name
    while plain not in target:
        prefix = next((prefix for prefix in PREFIXES if plain.startswith(prefix)), None)
        if prefix is None:
            return name
        plain = plain.removeprefix(prefix)
    return plain


def _is_grey_stem(tensor: Tensor, wanted: Tensor) -> bool:
    """Whether a convolution reads one channel where the network reads three."""
    grey_shape = torch.Size((wanted.shape[0], 1, *wanted.shape[2:])) if wanted.ndim == 4 else None
    return wanted.ndim == 4 and wanted.shape[1] == 3 and tensor.shape == grey_shape


def _require_all(
    fitted: Mapping[str, Tensor],
    named: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    source: str,
) -> None:
    missing = [name for name in target if name not in fitted and name not in named]
    differing = [
        f"{name} {tuple(named[name].shape)} for {tuple(target[name].shape)}"
        for name in target
        if name not in fitted and name in named
    ]
    if not missing and not differing:
        return
    parts = []
    if missing:
        parts.append(f"missing: {shown(missing)}")
    if differing:
        parts.append(f"other shape: {shown(differing)}")
    if unused := [name for name in named if name not in target]:
        parts.append(f"not in the network: {shown(unused)}")
    raise WeightsError(
        f"{source} does not fit the architecture and its {len(target)} tensors ({'; '.join(parts)})"
        ". Check --architecture, --image-size and the number of --labels."
    )
