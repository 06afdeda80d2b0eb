"""Tensors on disk: safetensors with JSON facts in the header, written atomically."""

import errno
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fer_core.errors import WeightsError
from fer_core.files import atomic_path
from fer_core.models.stored_weights import without_scales


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes tensors and JSON facts to one file, atomically.

    Raises:
        ArtifactError: If the file cannot be written; an existing file stays.
    """
    separate = _separate(tensors)
    with atomic_path(path) as temporary:
        try:
            save_file(separate, temporary, metadata={"facts": json.dumps(facts)})
        except SafetensorError as error:
            raise _as_os_error(error) from error


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns contiguous CPU tensors; those that share memory are copied, as safetensors needs."""
    result: dict[str, Tensor] = {}
    storages: set[int] = set()
    for key, value in tensors.items():
        tensor = value.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in storages or storage.nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        storages.add(tensor.untyped_storage().data_ptr())
        result[key] = tensor
    return result


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads tensors and facts from a file of `save_tensors`; int8 is converted to float32.

    Raises:
        WeightsError: If the file is missing, truncated or not in safetensors format.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weight file {path.name} in {path.parent}.")
    try:
        with safe_open(path, framework="pt") as file:
            facts = _facts(file.metadata())
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, ValueError, OSError) as error:
        raise WeightsError(
            f"{path.name} of {path.parent.name!r} is damaged ({error}). "
            "Restore the file, or train the run again."
        ) from error
    return without_scales(tensors), facts


def read_facts(path: Path) -> dict[str, Any]:
    """Reads the facts of a file of `save_tensors`.

    Raises:
        WeightsError: If the file is missing, truncated or not in safetensors format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _facts(file.metadata())
    except (SafetensorError, ValueError, OSError) as error:
        raise WeightsError(
            f"{path.name} of {path.parent.name!r} cannot be read ({error})."
        ) from error


def _facts(header: Mapping[str, str] | None) -> dict[str, Any]:
    """Returns the facts in a header; files from elsewhere have none, or another value there."""
    facts = json.loads((header or {}).get("facts", "{}"))
    return facts if isinstance(facts, dict) else {}


def load_weights(
    model: nn.Module,
    path: Path,
    names: Collection[str] | None = None,
    labels: Sequence[str] | None = None,
) -> None:
    """Loads a run's `model.safetensors` into its network; float16 and int8 become float32.

    Args:
        model: The network.
        path: The file.
        names: Tensors that the file must contain; all of the network's by default.
        labels: The run's classes, in order; checked if the file lists its own.

    Raises:
        WeightsError: If the file cannot be read or belongs to another network or label set.
    """
    tensors, facts = load_tensors(path)
    file_labels = tuple(facts.get("labels", ()))
    if labels is not None and file_labels and file_labels != tuple(labels):
        raise WeightsError(
            f"{path.name} of {path.parent.name!r} was trained on other classes "
            f"({', '.join(file_labels)}) than its run.json lists ({', '.join(labels)})."
        )
    state = {
        key: value for key, value in model.state_dict().items() if names is None or key in names
    }
    mismatches = [
        key for key in state if key not in tensors or tensors[key].shape != state[key].shape
    ] or sorted(set(tensors) - set(state))
    if mismatches:
        raise WeightsError(
            f"{path.name} of {path.parent.name!r} does not fit the network of its run.json "
            f"(first difference: {mismatches[0]}). It belongs to another architecture or label set."
        )
    model.load_state_dict(
        {key: tensors[key].to(state[key].dtype) for key in state}, strict=names is None
    )


@dataclass(frozen=True)
class CheckpointFolder:
    """A folder of named checkpoints of one training."""

    folder: Path

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Writes or replaces a checkpoint."""
        save_tensors(self.folder / f"{name}.safetensors", tensors, facts)

    def load(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Reads a checkpoint.

        Raises:
            WeightsError: If it is missing or damaged.
        """
        return load_tensors(self.folder / f"{name}.safetensors")

    def facts(self, name: str) -> dict[str, Any]:
        """Reads the facts of a checkpoint without its tensors.

        Raises:
            WeightsError: If it is missing or damaged.
        """
        return read_facts(self.folder / f"{name}.safetensors")

    def clear(self) -> None:
        """Removes all checkpoints."""
        self.keep_only()

    def keep_only(self, *names: str) -> None:
        """Removes all other checkpoints, and temporary files of an interrupted save."""
        for path in self.folder.glob("*.safetensors"):
            if path.stem not in names:
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.safetensors.*.tmp"):
            path.unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Whether there is a checkpoint of that name."""
        return (self.folder / f"{name}.safetensors").is_file()


def _as_os_error(error: SafetensorError) -> OSError:
    """Converts safetensors' error text back to the operating system's error."""
    full = "No space left" in str(error) or "os error 28" in str(error)
    return OSError(errno.ENOSPC if full else errno.EIO, str(error))
