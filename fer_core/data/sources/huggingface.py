"""Hugging Face datasets with an image and a label column: parquet files, a saved folder, the hub.

Parquet files are read without further packages. A folder of `save_to_disk` and the hub need the
`datasets` package: `pip install ferscope[hf]`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
import yaml

from fer_core.data.imaging import open_picture
from fer_core.data.sources.base import Origin, Sample, Skipped, Split
from fer_core.data.sources.files import COLOUR_SAMPLE, is_coloured
from fer_core.data.sources.folder import SPLIT_NAMES
from fer_core.errors import DataError, ImageError
from fer_core.labels import canonical_name

_IMAGE_NAMES = ("image", "img", "picture", "face")
_LABEL_NAMES = ("label", "labels", "emotion", "expression", "class")
_BATCH = 64
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


class _Rows(Protocol):
    """One split of a dataset."""

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def licence(self) -> str: ...

    def __len__(self) -> int: ...

    def read(self, image: str, label: str) -> Iterator[tuple[Any, Any]]:
        """Gives images, and labels by their names where those are known."""
        ...


class HuggingFaceSource:
    """An image classification dataset in the hub's formats.

    A dataset with only one split has none for FERscope, which then splits it; one without a test
    split is tested on its validation split.

    Args:
        place: A parquet file, a folder of them, a folder of `save_to_disk`, or `owner/name` of a
            dataset on the hub, with `@revision` after it if it must not change.
        image: Name of the image column; found by its usual names if not given.
        label: Name of the label column; likewise.

    Raises:
        DataError: If the dataset cannot be read or reached, or a column or the meaning of class
            numbers is missing.
    """

    def __init__(self, place: str, *, image: str | None = None, label: str | None = None) -> None:
        self._place = place
        by_name = _open(place)
        self._parts = _splits(by_name)
        first, *others = (rows for _, rows in self._parts)
        shared = [name for name in first.columns if all(name in rows.columns for rows in others)]
        self._image = _column(shared, image, _IMAGE_NAMES, "image", place)
        self._label = _column(shared, label, _LABEL_NAMES, "label", place)
        self._licence = first.licence

    @property
    def origin(self) -> Origin:
        """Named after the file, folder or dataset; the licence is the dataset card's."""
        stem = Path(self._place.partition("@")[0]).stem if self._place else ""
        return Origin(
            name=re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_") or "huggingface",
            title=stem or "Hugging Face dataset",
            licence=self._licence or "Not known to FERscope: see the dataset's card.",
            reference=f"huggingface.co/datasets/{self._place}" if _is_hub(self._place) else "",
        )

    @cached_property
    def colour(self) -> bool:
        """Whether one of the first 50 readable images of any split is not grey."""
        for _, rows in self._parts:
            for raw, _ in islice(rows.read(self._image, self._label), COLOUR_SAMPLE):
                try:
                    if is_coloured(open_picture(_bytes(raw, self._place))):
                        return True
                except ImageError:
                    continue
        return False

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self._parts)

    def __iter__(self) -> Iterator[Sample | Skipped]:
        """Gives the images in the order of the files, one batch in memory at a time."""
        for split, rows in self._parts:
            for index, (raw, label) in enumerate(rows.read(self._image, self._label)):
                key = f"{split or 'all'}/{index:06d}"
                try:
                    picture = open_picture(_bytes(raw, self._place), key)
                except ImageError as error:
                    yield Skipped(key, str(error))
                    continue
                yield Sample(
                    key=key,
                    image=np.asarray(picture if self.colour else picture.convert("L")),
                    label=self._class(label, key),
                    split=split,
                )

    def _class(self, value: object, key: str) -> str:
        if isinstance(value, str):
            return canonical_name(value)
        raise DataError(
            f"{key} of {self._place}: nothing says what the label {value!r} means. Name the "
            "column that holds class names with the option `label`."
        )


@dataclass(frozen=True)
class _Parquet:
    """Parquet files of one split; only one batch of rows is in memory."""

    files: tuple[Path, ...]
    licence: str

    @cached_property
    def columns(self) -> Sequence[str]:
        first, *others = (_parquet(file).schema_arrow.names for file in self.files)
        return [name for name in first if all(name in names for names in others)]

    def __len__(self) -> int:
        return sum(int(_parquet(file).metadata.num_rows) for file in self.files)

    def read(self, image: str, label: str) -> Iterator[tuple[Any, Any]]:
        for file in self.files:
            opened = _parquet(file)
            names = _class_names(opened.schema_arrow, label)  # each file numbers its own classes
            for batch in opened.iter_batches(batch_size=_BATCH, columns=[image, label]):
                table = batch.to_pydict()
                for raw, value in zip(table[image], table[label], strict=True):
                    yield raw, _named(value, names)


@dataclass(frozen=True)
class _Loaded:
    """One split that the `datasets` package opened."""

    data: Any

    @property
    def columns(self) -> Sequence[str]:
        return list(self.data.column_names)

    @property
    def licence(self) -> str:
        return str(self.data.info.license or "")

    def __len__(self) -> int:
        return len(self.data)

    def read(self, image: str, label: str) -> Iterator[tuple[Any, Any]]:
        import datasets

        raw = self.data.select_columns([image, label])
        raw = raw.cast_column(image, datasets.Image(decode=False))
        names = getattr(self.data.features[label], "names", None)
        for row in raw:
            yield row[image], _named(row[label], names)


def _class_names(schema: Any, column: str) -> Sequence[str] | None:  # noqa: ANN401 (untyped)
    """Reads the names from the features that `datasets` writes into a parquet file's schema."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    feature = json.loads(text).get("info", {}).get("features", {}).get(column, {})
    return feature.get("names") if isinstance(feature, dict) else None


def _named(value: object, names: Sequence[str] | None) -> object:
    """Returns the name of a numbered class where it is known, else the value itself."""
    if names is None or not isinstance(value, int) or not 0 <= value < len(names):
        return value
    return names[value]


def is_saved_dataset(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk` of the `datasets` package."""
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _open(place: str) -> Mapping[str, _Rows]:
    path = Path(place)
    if path.is_file():
        return {"train": _Parquet((path,), "")}
    if path.is_dir():
        if is_saved_dataset(path):
            return _load(lambda datasets: datasets.load_from_disk(str(path)), place)
        return _parquet_splits(path)
    if not _is_hub(place):
        raise DataError(
            f"{place} is neither a file, nor a folder, nor owner/name of a Hugging Face dataset."
        )
    name, _, revision = place.partition("@")
    return _load(lambda datasets: datasets.load_dataset(name, revision=revision or None), place)


def _load(call: Any, place: str) -> Mapping[str, _Rows]:  # noqa: ANN401 (an optional package's)
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"Reading {place} needs the package `datasets`. Install it with: "
            "pip install 'ferscope[hf]'. Parquet files can be read without it."
        ) from error
    try:
        loaded = call(datasets)
    except Exception as error:  # the hub's client raises many kinds
        raise DataError(
            f"The Hugging Face dataset {place} cannot be opened ({type(error).__name__}: {error}). "
            "Check its name and the connection, or download its parquet files elsewhere and give "
            "their folder."
        ) from error
    if isinstance(loaded, datasets.DatasetDict):
        return {str(name): _Loaded(part) for name, part in loaded.items()}
    return {"train": _Loaded(loaded)}


def _parquet_splits(folder: Path) -> Mapping[str, _Rows]:
    """Groups `data/train-00000-of-00002.parquet` and `default/train/0000.parquet` by split."""
    by_split: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        words = [re.split(r"[-_.]", file.name)[0], file.parent.name]
        named = next((word for word in words if word.lower() in SPLIT_NAMES), "train")
        by_split.setdefault(named.lower(), []).append(file)
    if not by_split:
        raise DataError(
            f"{folder} holds no parquet file. Give the folder that the dataset was downloaded or "
            "saved to."
        )
    licence = _card_licence(folder / "README.md")
    return {name: _Parquet(tuple(files), licence) for name, files in by_split.items()}


def _card_licence(card: Path) -> str:
    """Returns the licence that the head of a dataset card names, or nothing."""
    if not card.is_file():
        return ""
    parts = card.read_text(encoding="utf-8", errors="replace").split("---", 2)
    try:
        head = yaml.safe_load(parts[1]) if len(parts) == 3 else None
    except yaml.YAMLError:
        return ""
    licence = head.get("license", "") if isinstance(head, dict) else ""
    return ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence)


def _splits(by_name: Mapping[str, _Rows]) -> list[tuple[Split | None, _Rows]]:
    named = {SPLIT_NAMES.get(name.lower()): rows for name, rows in by_name.items()}
    if len(by_name) == 1:
        return [(None, next(iter(by_name.values())))]
    if None in named or len(named) < len(by_name):
        raise DataError(
            f"The splits are {', '.join(by_name)}; FERscope knows train, validation and test. "
            "Give the files of one split."
        )
    if "test" not in named and "validation" in named:
        named["test"] = named.pop("validation")
    return list(named.items())


def _column(
    columns: Sequence[str], given: str | None, usual: Iterable[str], what: str, place: str
) -> str:
    if given is not None and given in columns:
        return given
    found = None if given is not None else next((name for name in usual if name in columns), None)
    if found is None:
        raise DataError(
            f"{place} has no {what} column{f' {given!r}' if given else ''}; its columns are "
            f"{', '.join(columns)}. Name it with the option `{what}`."
        )
    return found


def _bytes(raw: object, place: str) -> bytes:
    """Returns the encoded picture of an image cell: bytes, or `{bytes, path}`."""
    if isinstance(raw, Mapping):
        if isinstance(raw.get("bytes"), bytes):
            return bytes(raw["bytes"])
        if raw.get("path"):
            raise ImageError(
                f"The picture {raw['path']} stands outside of the files of {place}. "
                "Download the dataset with its pictures embedded."
            )
    if isinstance(raw, bytes):
        return raw
    raise ImageError(f"A picture in {place} is empty or of a kind that cannot be read.")


def _parquet(file: Path) -> Any:  # noqa: ANN401 (pyarrow is untyped)
    try:
        return pq.ParquetFile(file)
    except Exception as error:  # pyarrow raises several kinds
        raise DataError(f"{file.name} is no readable parquet file ({error}).") from error


def _is_hub(place: str) -> bool:
    return _HUB_ID.fullmatch(place) is not None and not Path(place).exists()
