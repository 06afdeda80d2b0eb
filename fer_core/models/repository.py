"""Files of Hugging Face repositories, from the hub or its local cache, and of folders like them.

`HF_HOME` names the cache, `HF_HUB_OFFLINE=1` forbids the network, `HF_TOKEN` opens private and
gated repositories; huggingface_hub reads them.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fer_core.errors import WeightsError
from fer_core.labels import canonical_name

_MAX_JSON = 5_000_000  # bytes
_MAX_SHARDS = 500
_UNNAMED = re.compile(r"label_?\d+", re.IGNORECASE)

INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"


class MissingFileError(WeightsError):
    """A repository can be read and has no such file."""


@dataclass(frozen=True)
class Repository:
    """A repository of the hub, or a folder with the same files.

    Attributes:
        name: `owner/name`, or the folder.
        revision: Branch, tag or commit; None for the default branch.
        folder: The folder; None for the hub.
    """

    name: str
    revision: str | None = None
    folder: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `owner/name`, `owner/name@revision` or the path of a folder.

        Raises:
            WeightsError: If it is neither.
        """
        if (folder := Path(text).expanduser()).is_dir():
            return cls(folder.resolve().name, folder=folder)
        name, _, revision = text.partition("@")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise WeightsError(f"{text!r} is neither a folder nor a repository (owner/name).")
        return cls(name, revision or None)

    def file(self, filename: str) -> Path:
        """Returns the local path of a file, downloading it if necessary.

        Raises:
            WeightsError: If there is no such file, repository or revision, or the hub cannot be
                reached and the cache has no copy.
        """
        if self.folder is None:
            return self._download(filename)
        path = self.folder / filename
        if not path.is_file():
            raise MissingFileError(f"There is no {filename} in {self.folder}.")
        return path

    def _download(self, filename: str) -> Path:
        from huggingface_hub import errors, hf_hub_download

        where = f"{self.name} on the hub"
        try:
            return Path(hf_hub_download(self.name, filename, revision=self.revision))
        except errors.LocalEntryNotFoundError as error:  # also an EntryNotFoundError
            raise self._unreachable(filename, error) from error
        except errors.RevisionNotFoundError as error:
            raise WeightsError(f"{where} has no revision {self.revision!r}.") from error
        except errors.EntryNotFoundError as error:
            raise MissingFileError(f"{where} has no {filename}.") from error
        except errors.RepositoryNotFoundError as error:  # also for gated and private ones
            raise WeightsError(
                f"{where} does not exist, or is private or gated. For those set HF_TOKEN to an "
                "access token of an account that may read it."
            ) from error
        except Exception as error:  # the client raises many exception types
            raise self._unreachable(filename, error) from error

    def _unreachable(self, filename: str, error: Exception) -> WeightsError:
        return WeightsError(
            f"{filename} of {self.name} cannot be downloaded from the hub "
            f"({type(error).__name__}), and the cache (HF_HOME) has no copy. Download the "
            "repository elsewhere and give its folder."
        )

    def json(self, filename: str) -> dict[str, Any]:
        """Reads a JSON file of the repository.

        Raises:
            WeightsError: If it is missing, too large or not a JSON object.
        """
        path = self.file(filename)
        if path.stat().st_size > _MAX_JSON:
            raise WeightsError(f"{filename} of {self.name} is larger than {_MAX_JSON:,} bytes.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise WeightsError(f"{filename} of {self.name} is not valid JSON: {error}.") from error
        if not isinstance(content, dict):
            raise WeightsError(f"{filename} of {self.name} is not a JSON object.")
        return content

    def weight_files(self) -> list[Path]:
        """Returns the safetensors files of the weights, downloading them if necessary.

        Raises:
            WeightsError: If there are none; pickled weights are never loaded.
        """
        try:
            return [self.file(WEIGHTS)]
        except MissingFileError as missing:
            try:
                shards = set(self.json(INDEX).get("weight_map", {}).values())
            except MissingFileError:
                raise WeightsError(
                    f"{missing} Only safetensors are loaded from repositories, because pickled "
                    "weights (.bin) can run code. Convert them with transformers: save_pretrained "
                    "writes safetensors."
                ) from missing
        if not 0 < len(shards) <= _MAX_SHARDS or not all(
            re.fullmatch(r"[\w.-]+\.safetensors", str(shard)) for shard in shards
        ):
            raise WeightsError(f"{INDEX} of {self.name} does not list safetensors files.")
        return [self.file(shard) for shard in sorted(shards)]

    def labels(self) -> tuple[str, ...]:
        """Returns the classes that `config.json` names, in the order of the logits.

        Names are canonical (`Happiness` gives `happy`). Empty if there is no such file, or it has
        only placeholders such as `LABEL_0`.
        """
        try:
            config = self.json("config.json")
        except MissingFileError:
            return ()
        return labels_of(config)


def labels_of(config: dict[str, Any]) -> tuple[str, ...]:
    """Returns the classes of a `config.json` of transformers or timm; see `Repository.labels`."""
    names: object = config.get("label_names")
    by_index = config.get("id2label")
    if isinstance(by_index, dict):
        try:
            names = [by_index[key] for key in sorted(by_index, key=int)]
        except ValueError:
            return ()
    if not isinstance(names, list) or any(_UNNAMED.fullmatch(str(name)) for name in names):
        return ()
    return tuple(canonical_name(str(name)) for name in names)


def commit_of(path: Path) -> str | None:
    """Returns the commit of a file in the hub's cache; None for any other file."""
    return path.parent.name if path.parent.parent.name == "snapshots" else None
