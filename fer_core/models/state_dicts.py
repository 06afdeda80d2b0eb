"""Fitting state dicts of training scripts to a network: prefixes, channels, and what is left."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_core.errors import WeightsError, listed
from fer_core.luma import LUMA

PREFIXES = ("module.", "model.", "backbone.", "net.", "network.", "_orig_mod.")
"""Prefixes that wrappers and training scripts add to the names of tensors."""

_AVERAGE = re.compile(r"(^|[._])(ema|swa|avg|averaged?)[._]")
"""Prefix of a moving average of the weights."""

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
        tensors: State dict that a training script saved.
        model: The network.
        source: The file, for messages.

    Raises:
        WeightsError: If a tensor of the network is missing or has another shape, or if the file has
            further weights within the network's modules; names them.
    """
    target = model.state_dict()
    own, copies = _own_prefix(tensors, target, source)
    if copies:
        tensors = {
            name: tensor
            for name, tensor in tensors.items()
            if name.startswith(own) or not name.startswith(copies)
        }
    prefixes = _prefixes(own)
    named = {_own_name(name, target, prefixes): tensor for name, tensor in tensors.items()}
    if len(named) < len(tensors):
        raise WeightsError(
            f"{source} has two tensors of one name after removing the prefixes "
            f"{', '.join(prefixes)}. Save the state dict of one network."
        )
    named, notes = _with_classifier(named, target)
    if copies:
        notes.append(f"The moving average under {own!r} of {source} was read, not the other copy.")
    fitted = {}
    for name, target_tensor in target.items():
        tensor = named.get(name)
        if tensor is None and name.endswith("num_batches_tracked"):
            tensor = target_tensor
        if tensor is not None and _is_grey_stem(tensor, target_tensor):
            tensor = tensor * tensor.new_tensor(LUMA).view(1, 3, 1, 1)
            notes.append(f"{name} reads one channel; it was converted to read the luma of three.")
        if tensor is not None and tensor.shape == target_tensor.shape:
            fitted[name] = tensor.to(target_tensor.dtype)
    _require_all(fitted, named, target, source)
    unused = tuple(sorted(set(named) - set(target)))
    _require_complete(model, named, unused, source)
    if unused:
        notes.append(f"Tensors that the network does not have were left out: {shown(unused)}.")
    return FittedState(fitted, unused, tuple(notes))


def without_common_prefix(
    tensors: Mapping[str, Tensor], names: Iterable[str]
) -> Mapping[str, Tensor]:
    """Removes a wrapper's prefix from all names, unless fewer of the network's then remain.

    Args:
        tensors: Tensors of another file; names may be those of a former version of the library.
        names: Names of the network's tensors.
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
    """Returns the names of tensors or files for a message; of many, the first ones."""
    return listed(names, _NAMED)


def _own_prefix(
    tensors: Mapping[str, Tensor], target: Mapping[str, Tensor], source: str
) -> tuple[str, tuple[str, ...]]:
    """Returns the prefix of the network in a file, and those of other copies of the network.

    It is the prefix under which a file has most of the network's tensors; of two copies, that of
    the moving average, as in timm. Empty where the names have none.

    Raises:
        WeightsError: If a file has several networks that fit.
    """
    counts = Counter(
        name[: len(name) - len(own)]
        for name in tensors
        for own in _suffixes(name)
        if own in target and not own.endswith("num_batches_tracked")
    )
    most = max(counts.values(), default=0)
    best = [prefix for prefix, count in counts.items() if count == most and 2 * most > len(target)]
    averages = [prefix for prefix in best if _AVERAGE.search(prefix.lower())]
    if len(best) == 2 and len(averages) == 1:
        return averages[0], tuple(prefix for prefix in best if prefix not in averages)
    if len(best) > 1 and "" not in best:
        raise WeightsError(
            f"{source} has {len(best)} networks that fit ({', '.join(sorted(best))}). Import one "
            f"by its prefix, such as --weights-key {min(best).removesuffix('.')}, or save it alone."
        )
    return ("" if "" in best or not best else best[0]), ()


def _prefixes(prefix: str) -> tuple[str, ...]:
    """Returns the prefixes that may be removed, longest first: `PREFIXES`, and a file's own."""
    ancestors = (f"{path}." for path in _ancestors(prefix))
    return tuple(sorted({*PREFIXES, *ancestors}, key=len, reverse=True))


def _suffixes(name: str) -> list[str]:
    """Returns a tensor's name without its first parts, for each number of parts."""
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _own_name(name: str, target: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> str:
    """Returns a tensor's name without the prefixes of wrappers, if the network has it."""
    plain = name
    while plain not in target:
        prefix = next((prefix for prefix in prefixes if plain.startswith(prefix)), None)
        if prefix is None:
            return name
        plain = plain.removeprefix(prefix)
    return plain


def _with_classifier(
    named: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Returns the tensors with the classifier under the network's name, and what was renamed.

    Training scripts replace the classifier by `Sequential(Dropout, Linear)`, or add one to a
    backbone. It is recognised if it is all that is missing and the only layer that is left over.
    """
    missing = {name for name in target if name not in named}
    missing = {name for name in missing if not name.endswith("num_batches_tracked")}
    over = [name for name in named if name not in target]
    weight = next((name for name in missing if name.endswith(".weight")), None)
    found = next((name for name in over if name.endswith(".weight")), None)
    if weight is None or found is None or target[weight].ndim != 2:
        return dict(named), []
    layer, other = weight.removesuffix(".weight"), found.removesuffix(".weight")
    pair = {f"{layer}.weight": f"{other}.weight", f"{layer}.bias": f"{other}.bias"}
    fits = set(pair) == missing and set(pair.values()) == set(over)
    if not fits or any(named[own].shape != target[name].shape for name, own in pair.items()):
        return dict(named), []
    renamed = {name: tensor for name, tensor in named.items() if name in target}
    renamed |= {name: named[own] for name, own in pair.items()}
    return renamed, [f"Its classifier {other} was read as {layer}."]


def _is_grey_stem(tensor: Tensor, wanted: Tensor) -> bool:
    """Whether a convolution reads one channel where the network reads three."""
    grey_shape = torch.Size((wanted.shape[0], 1, *wanted.shape[2:])) if wanted.ndim == 4 else None
    return wanted.ndim == 4 and wanted.shape[1] == 3 and tensor.shape == grey_shape


def _require_complete(
    model: nn.Module, named: Mapping[str, Tensor], unused: Iterable[str], source: str
) -> None:
    """Refuses weights within the network's modules, such as those of attention in its blocks.

    Without them its features would be others. Counters and index tables are no weights.
    """
    modules = {name for name, _ in model.named_modules() if name}
    within = [
        name
        for name in unused
        if named[name].is_floating_point()
        and named[name].numel() > 1
        and modules & set(_ancestors(name))
    ]
    if within:
        raise WeightsError(
            f"{source} has weights within modules of the network that the architecture does not "
            f"have ({shown(within)}): its network is a variant, or has adapters. Name its own "
            "--architecture, merge the adapters, or export the model as ONNX (torch.onnx.export)."
        )


def _ancestors(name: str) -> list[str]:
    """Returns the paths of the modules around a tensor."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


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
    unused = [name for name in named if name not in target]
    parts = []
    if missing:
        parts.append(f"missing: {shown(missing)}")
    if differing:
        parts.append(f"other shape: {shown(differing)}")
    if unused:
        parts.append(f"not in the network: {shown(unused)}")
    raise WeightsError(
        f"{source} does not fit the architecture and its {len(target)} tensors "
        f"({'; '.join(parts)}). {_remedy(fitted, named, target)}"
    )


def _remedy(
    fitted: Mapping[str, Tensor], named: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> str:
    """Returns what to do about a state dict that does not fit."""
    missing = [name for name in target if name not in named]
    if not missing and (classes := _classes_of(fitted, named, target)):
        return f"Its classifier has {classes[0]:,} outputs for {classes[1]:,} --labels."
    if len(missing) + len(fitted) == len(target) and _is_layer(missing, target):
        if set(named) <= set(target):
            return (
                "A backbone without a trained classifier cannot be imported; train it from these "
                "weights with model.init."
            )
        return (
            "A classifier that is not one linear layer can be imported as ONNX (torch.onnx.export)."
        )
    return (
        "Check --architecture, --model-arg and --image-size. A network that differs from the "
        "architecture can be imported as ONNX (torch.onnx.export)."
    )


def _is_layer(names: list[str], target: Mapping[str, Tensor]) -> bool:
    """Whether tensors are the weight and, if it has one, the bias of one linear layer."""
    layer = names[0].rpartition(".")[0]
    weight = target.get(f"{layer}.weight")
    own = {name for name in (f"{layer}.weight", f"{layer}.bias") if name in target}
    return weight is not None and weight.ndim == 2 and set(names) == own


def _classes_of(
    fitted: Mapping[str, Tensor], named: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> tuple[int, int] | None:
    """Returns the outputs of a file's classifier and of the network's, if only they differ."""
    differing = [name for name in target if name not in fitted]
    layers = {name.rpartition(".")[0] for name in differing}
    pairs = {(named[name].shape[:1], target[name].shape[:1]) for name in differing}
    rest = all(named[name].shape[1:] == target[name].shape[1:] for name in differing)
    if len(layers) != 1 or len(pairs) != 1 or not rest:
        return None
    own, wanted = pairs.pop()
    return own[0], wanted[0]
