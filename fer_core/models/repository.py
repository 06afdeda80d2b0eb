"""Files of Hugging Face repositories, from the hub or its local cache, and of folders like them.

`HF_HOME` names the cache, `HF_HUB_OFFLINE=1` forbids the network, `HF_TOKEN` opens private and
gated repositories; huggingface_hub reads them.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from fer_core.errors import WeightsError
from fer_core.labels import canonical_name
from fer_core.models.file_contents import require_content

_MAX_JSON = 5_000_000  # bytes
_MAX_SHARDS = 500
_UNNAMED = re.compile(r"label_?\d+", re.IGNORECASE)

_NESTED_PROCESSOR = "processor_config.json"  # with those of texts, such as CLIP's
_NEVER_NORMALISES = "MobileViT"  # its image processor writes no `do_normalize`

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")

HUB = "hub:"
"""Prefix of a repository on the hub, where a folder could be meant."""

CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"
ADAPTER = "adapter_config.json"
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

        With the prefix `hub:` it never is a folder.

        Raises:
            WeightsError: If it is neither.
        """
        if (folder := Path(text).expanduser()).is_dir():
            return cls(folder.resolve().name, folder=folder)
        name, _, revision = text.removeprefix(HUB).partition("@")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise WeightsError(f"{text!r} is neither a folder nor a repository (owner/name).")
        return cls(name, revision or None)

    @property
    def source(self) -> str:
        """The folder's name, or `hub owner/name@revision`."""
        if self.folder is not None:
            return self.name
        return f"hub {self.name}@{self.revision}" if self.revision else f"hub {self.name}"

    def files(self, *names: str) -> list[Path]:
        """Returns the local paths of files, downloading them if necessary.

        Raises:
            MissingFileError: If there is no such file.
            WeightsError: If there is no such repository or revision, or the hub cannot be reached
                and the cache has no copy, or a file only stands for another.
        """
        folder = self.folder or self._download(names)
        for name in names:
            if not (folder / name).is_file():
                raise MissingFileError(f"{self.name} has no {name}.")
            require_content(folder / name)
        return [folder / name for name in names]

    def pinned(self) -> Self:
        """Returns the repository at the commit that its revision names now.

        Files that are read one after the other then belong together.

        Raises:
            WeightsError: As `files`.
        """
        if self.folder is not None:
            return self
        return replace(self, revision=self._download(()).name)

    def _download(self, names: Iterable[str]) -> Path:
        """Returns the folder of the commit in the hub's cache, with those files that exist."""
        from huggingface_hub import errors, snapshot_download

        where = f"{self.name}@{self.revision}" if self.revision else self.name
        try:
            return Path(
                snapshot_download(
                    self.name,
                    revision=self.revision,
                    allow_patterns=list(names),
                    endpoint=os.environ.get("HF_ENDPOINT"),
                )
            )
        except errors.RevisionNotFoundError as error:
            raise WeightsError(
                f"{self.name} on the hub has no revision {self.revision!r}."
            ) from error
        except errors.GatedRepoError as error:
            raise WeightsError(
                f"{self.name} needs its owner's permission. Accept its terms on the hub and set "
                "HF_TOKEN to an access token of your account."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise WeightsError(
                f"There is no repository {self.name} on the hub, or it is private. Check the name, "
                "or set HF_TOKEN to an access token of an account that may read it."
            ) from error
        except Exception as error:  # the client raises many exception types
            raise WeightsError(
                f"{where} cannot be downloaded from the hub ({type(error).__name__}), and the "
                f"cache (HF_HOME) has no copy. {_remedy()}"
            ) from error

    def json(self, filename: str) -> dict[str, Any]:
        """Reads a JSON file of the repository.

        Raises:
            WeightsError: If it is missing, too large or not a JSON object.
        """
        (path,) = self.files(filename)
        if path.stat().st_size > _MAX_JSON:
            raise WeightsError(f"{filename} of {self.name} is larger than {_MAX_JSON:,} bytes.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise WeightsError(f"{filename} of {self.name} is not valid JSON: {error}.") from error
        if not isinstance(content, dict):
            raise WeightsError(f"{filename} of {self.name} is not a JSON object.")
        return content

    def processor(self) -> dict[str, Any]:
        """Reads the image processor of transformers; empty if the repository has none.

        Raises:
            WeightsError: As `json`.
        """
        try:
            content = self.json(PROCESSOR)
        except MissingFileError:
            try:
                content = self.json(_NESTED_PROCESSOR).get("image_processor") or {}
            except MissingFileError:
                return {}
        kind = content.get("image_processor_type") or content.get("feature_extractor_type")
        if str(kind).startswith(_NEVER_NORMALISES):
            return {"do_normalize": False, **content}
        return dict(content)

    def weight_files(self) -> list[Path]:
        """Returns the safetensors files of the weights, downloading them if necessary.

        Raises:
            WeightsError: If there are none; pickled weights are never loaded.
        """
        try:
            return self.files(WEIGHTS)
        except MissingFileError as error:
            missing = error
        try:
            shards = set(self.json(INDEX).get("weight_map", {}).values())
        except MissingFileError:
            raise WeightsError(
                f"{missing}{self._pickles()} Only safetensors are loaded from repositories; "
                "pickled weights are refused, because opening them can run any code. Convert them "
                "on a machine that you trust: save_pretrained of transformers writes safetensors."
            ) from missing
        if not 0 < len(shards) <= _MAX_SHARDS or not all(
            re.fullmatch(r"[\w.-]+\.safetensors", str(shard)) for shard in shards
        ):
            raise WeightsError(f"{INDEX} of {self.name} does not list safetensors files.")
        return self.files(*sorted(shards))

    def _pickles(self) -> str:
        """Returns a sentence on the pickled weights; empty if there are none, or it is unknown."""
        names = sorted(name for name in self.listed() if name.endswith(_PICKLES))
        return f" It has {', '.join(names)}." if names else ""

    def listed(self) -> list[str]:
        """Returns the paths of a repository's files; empty if they cannot be had."""
        if self.folder is not None:
            found = (*self.folder.glob("*"), *self.folder.glob(f"*/{CONFIG}"))
            return sorted(path.relative_to(self.folder).as_posix() for path in found)
        from huggingface_hub import HfApi

        try:
            api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
            return list(api.list_repo_files(self.name, revision=self.revision))
        except Exception:  # the list only completes a message
            return []

    def labels(self) -> tuple[str, ...]:
        """Returns the classes that `config.json` names, in the order of the logits.

        Names are canonical (`Happiness` gives `happy`). Empty if there is no such file, or it has
        only placeholders such as `LABEL_0`.
        """
        try:
            names = output_names(self.json(CONFIG))
        except MissingFileError:
            return ()
        if any(_UNNAMED.fullmatch(name) for name in names):
            return ()
        return tuple(map(canonical_name, names))


def _remedy() -> str:
    """Returns what to do where the hub cannot be reached."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids the network: unset it, or give a folder with its files."
    return "Download the repository elsewhere and give its folder."


def output_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the class of each output in a `config.json` of timm or transformers.

    Names are as written. Empty if there are none, or an output is left out.
    """
    names, by_index = config.get("label_names"), config.get("id2label")
    if isinstance(by_index, Mapping) and not names:
        names = [by_index.get(str(index)) for index in range(len(by_index))]
    if not isinstance(names, list) or None in names:
        names = []
    if all(_UNNAMED.fullmatch(str(name)) for name in names):
        names = names_by_index(config.get("label2id")) or names
    return tuple(map(str, names))


def names_by_index(label2id: object) -> list[str]:
    """Returns the names in `label2id` in the order of the outputs; empty if one has none."""
    if not isinstance(label2id, Mapping):
        return []
    by_index = {str(index): str(name) for name, index in label2id.items()}
    names = [by_index.get(str(index), "") for index in range(len(label2id))]
    return names if all(names) else []
