"""Hugging Face datasets with an image and a label column: parquet files, a saved folder, the hub.

Parquet files and the Arrow files of `save_to_disk` need no further packages. The hub needs the
`datasets` package: `pip install ferscope[hf]`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fer_core.data.imaging import open_picture
from fer_core.data.sources.base import (
    NO_MAJORITY,
    FileStat,
    Origin,
    Sample,
    SampleEntry,
    Skipped,
    Split,
)
from fer_core.data.sources.class_folders import several
from fer_core.data.sources.class_names import ClassNames, with_voted_codes
from fer_core.data.sources.files import COLOUR_SAMPLE, cut, is_coloured
from fer_core.data.sources.hub_cards import HubCard, read_card
from fer_core.data.sources.json_tables import OBJECTS
from fer_core.data.sources.object_rows import FaceRows, Rows, with_faces
from fer_core.data.sources.parquet_files import (
    class_names,
    content_of,
    data_files,
    named,
    names_by_key,
    object_class_names,
    open_parquet,
    with_named_objects,
)
from fer_core.data.sources.pixels import parse_pixels
from fer_core.data.sources.split_names import require_known, split_in, split_of
from fer_core.data.sources.tables import (
    MAJORITY_NOTE,
    NO_LABEL,
    VOTES,
    Columns,
    extra_columns,
    extras_of,
    group_column,
    group_notes,
    is_unlabelled,
    label_column,
    named_column,
    split_column,
    text_of,
    usual_columns,
    votes_of,
    with_label_of_columns,
    with_split_of_flags,
)
from fer_core.data.sources.tree import FileTree, file_stat, file_tree, is_archive, open_tree
from fer_core.errors import DataError, ImageError

_IMAGE_NAMES = ("image", "img", "picture", "face", "imgbytes", "imagebytes", "bytes", "pixels")
_BOXES_NOTE = (
    "Each box of `objects` is a face: left, top, width, height. Pictures are cropped to squares "
    "around the boxes."
)
_BATCH = 64
_NO_CARD = HubCard()
_COLOUR_RUNS = 5
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


class HuggingFaceSource:
    """An image classification dataset in the hub's formats.

    Splits come from their names (`public_test` is validation) or from a column; a dataset with one
    part and no such column has no splits. Rows without a label are skipped. Columns of persons or
    recordings are groups; the others become slices.

    Args:
        location: A parquet or Arrow file, a folder or archive of them, as of `save_to_disk`, or
            `owner/name` of a dataset on the hub, optionally with `@revision`.
        names: Interpretation of class names.
        columns: Columns named by the user.

    Attributes:
        left_out: Number of images that are left out unread, by reason.
        notes: Assumptions of the reader.

    Raises:
        DataError: If the dataset cannot be read or reached, a split's name is unknown, or a column
            or the meaning of class numbers is missing.
    """

    maps_names = True

    def __init__(
        self,
        location: str | FileTree,
        names: ClassNames | None = None,
        columns: Columns | None = None,
    ) -> None:
        self._place = location if isinstance(location, str) else location.shown
        columns = columns or Columns()
        by_name = with_faces(_open(location))
        self._parts = list(by_name.values())
        shared = [
            name
            for name in self._parts[0].columns
            if all(name in rows.columns for rows in self._parts)
        ]
        self._image = _image_column(shared, columns.image, self._place)
        self._facts = _read_facts(self._parts, [c for c in shared if c != self._image], columns)
        self._splits = self._named_splits(list(by_name), columns)
        counts = Counter(str(label) for label in self._facts.labels if label is not None)
        voted = {name for votes in self._facts.votes for name in votes}
        reading = (names or ClassNames()).read(with_voted_codes(counts, voted), self._place)
        self._meanings = reading.labels
        self._votes = [reading.named_votes(votes) for votes in self._facts.votes]
        self.left_out = Counter(reading.left_out(counts))
        self._places = {
            row: place
            for rows, first in zip(self._parts, self._starts.tolist(), strict=True)
            if isinstance(rows, FaceRows)
            for row, place in enumerate(rows.places, first)
        }
        boxes = [_BOXES_NOTE] if self._places else []
        self.notes = [*self._facts.notes, *reading.notes, *boxes]
        self._licence = self._parts[0].licence

    @property
    def origin(self) -> Origin:
        """Named after the file, folder or dataset; the licence comes from the dataset card."""
        stem = Path(self._place.partition("@")[0]).stem if self._place else ""
        return Origin(
            name=re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_") or "huggingface",
            title=stem or "Hugging Face dataset",
            licence=self._licence or "Not known to FERscope: see the dataset's card.",
            reference=f"huggingface.co/datasets/{self._place}" if _is_hub(self._place) else "",
        )

    @cached_property
    def colour(self) -> bool:
        """Whether one of 50 images of any split, in five runs evenly spaced, is not grey."""
        return any(
            self._is_coloured(row)
            for rows in self._parts
            for start in np.linspace(0, len(rows), _COLOUR_RUNS, endpoint=False, dtype=int).tolist()
            for row in islice(rows.read([self._image], "", start), COLOUR_SAMPLE // _COLOUR_RUNS)
        )

    def _is_coloured(self, row: Mapping[str, Any]) -> bool:
        try:
            return is_coloured(_picture(row[self._image], self._place, ""))
        except ImageError:
            return False

    def __len__(self) -> int:
        return sum(1 for _ in self.entries())

    def entries(self) -> Iterator[SampleEntry | Skipped]:
        """Yields the metadata of the images without reading them."""
        for row, label in enumerate(self._facts.labels):
            key = self._key(row)
            if label is None and any(self._votes_of(row).values()):
                yield SampleEntry(key, None, self._splits[row], NO_MAJORITY)
            elif label is None:
                yield Skipped(key, NO_LABEL)
            elif self._meanings[label]:
                group = self._facts.groups[row] or self._picture_group(row)
                yield SampleEntry(key, self._meanings[label], self._splits[row], group=group)

    def __iter__(self) -> Iterator[Sample | Skipped]:
        """Yields the images in the order of the files, one batch in memory at a time."""
        return self.items()

    def items(self, start: int = 0) -> Iterator[Sample | Skipped]:
        """Yields the images from a position on; files and row groups before it are not read."""
        entries = islice(self.entries(), start, None)
        first = next(islice(self._rows(), start, None), len(self._facts.labels))
        for rows, offset in zip(self._parts, self._starts.tolist(), strict=True):
            if first >= offset + len(rows):
                continue
            begin = max(0, first - offset)
            for row, cells in enumerate(rows.read([self._image], "", begin), offset + begin):
                if self._is_item(row):
                    item = next(entries)
                    yield item if isinstance(item, Skipped) else self._sample(item, row, cells)

    def stats(self) -> Iterator[FileStat]:
        """Yields size and modification time of the files, or of their archive."""
        for rows in self._parts:
            yield from rows.stats()

    def _rows(self) -> Iterator[int]:
        """Yields the rows that are not left out."""
        return filter(self._is_item, range(len(self._facts.labels)))

    def _is_item(self, row: int) -> bool:
        label = self._facts.labels[row]
        return label is None or bool(self._meanings[label])

    def _sample(self, entry: SampleEntry, row: int, cells: Mapping[str, Any]) -> Sample | Skipped:
        try:
            picture = _picture(cells[self._image], Path(self._place).name, entry.key)
        except ImageError as error:
            return Skipped(entry.key, str(error))
        if place := self._places.get(row):
            picture = cut(picture, place.box, place.share_box)
        return Sample(
            key=entry.key,
            image=np.asarray(picture if self.colour else picture.convert("L")),
            label=entry.label,
            split=entry.split,
            excluded=entry.excluded,
            votes=self._votes_of(row),
            group=entry.group,
            extras=self._facts.extras[row] if self._facts.extras else {},
        )

    def _votes_of(self, row: int) -> Mapping[str, int]:
        return self._votes[row] if self._votes else {}

    def _key(self, row: int) -> str:
        place = self._places.get(row)
        return self._picture_key(row) + (place.suffix if place else "")

    def _picture_key(self, row: int) -> str:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        place = self._places.get(row)
        picture = row - self._starts[part] if place is None else place.picture
        return f"{self._part_splits[part] or 'all'}/{picture:06d}"

    def _picture_group(self, row: int) -> str | None:
        """Returns the picture as the group of its faces, if it has several."""
        place = self._places.get(row)
        return self._picture_key(row) if place and place.suffix else None

    def _named_splits(self, names: Sequence[str], columns: Columns) -> list[Split | None]:
        """Returns the split of each row, from its column or else its part's name."""
        sizes = [len(rows) for rows in self._parts]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
        self._part_splits: list[Split | None] = [None] * len(names)
        if self._facts.splits is not None and (len(names) == 1 or columns.split_column):
            return list(self._facts.splits)
        if len(names) > 1:
            known = require_known(names, self._place)
            self._part_splits = [known.get(name) for name in names]
            if len(set(known.values())) < len(known):
                raise DataError(
                    f"{self._place} has the splits {', '.join(names)}, and several of them mean "
                    "the same. Give the path of one set of them."
                )
        return [split for split, size in zip(self._part_splits, sizes, strict=True)
                for _ in range(size)]  # fmt: skip


@dataclass(frozen=True)
class _Facts:
    """Values of the rows except the images; one item per row.

    Attributes:
        labels: Class names or numbers as text; None without a label.
        splits: Values of the column of splits; None if there is none.
        groups: Persons or recordings.
        extras: Further values; empty if there are none.
        notes: Sentences for the user.
        votes: Votes by class; empty if there are none.
    """

    labels: Sequence[str | None]
    splits: Sequence[Split | None] | None
    groups: Sequence[str | None]
    extras: Sequence[Mapping[str, float | str]]
    notes: Sequence[str]
    votes: Sequence[Mapping[str, int]]


def _read_facts(parts: Sequence[Rows], names: Sequence[str], columns: Columns) -> _Facts:
    heads = [row for rows in parts for row in islice(rows.read(names, ""), 2000)]
    simple = [name for name in names if not any(_is_nested(row[name]) for row in heads)]
    head = pd.DataFrame([{name: row[name] for name in simple} for row in heads])
    head = head.astype("str") if len(head) else pd.DataFrame(columns=list(simple))
    head = with_label_of_columns(head)
    where = "The dataset"
    label = label_column(head, columns.label, where)
    if label is None:
        nested = [name for name in names if name not in simple]
        lists = f"Write one value instead of the lists of {', '.join(nested)}, or name"
        raise DataError(
            f"{where} has no label column; its columns are {', '.join(names) or 'pictures only'}. "
            f"{lists if nested else 'Name'} it with --label."
        )
    table = _table(parts, simple, label)
    split = split_column(table, columns.split_column, where)
    group = group_column(table, columns.group, where, (label, split))
    extras = extra_columns(table, (label, split))
    values = [str(value) for value in table[split].dropna().unique()] if split else []
    known = require_known(values, where)
    voted = any(str(column).startswith(VOTES) for column in table)
    records = table.to_dict(orient="records") if extras or voted else []
    notes = group_notes(group, columns.group)
    return _Facts(
        labels=[None if is_unlabelled(value) else text_of(value) for value in table[label]],
        splits=[known.get(str(value)) for value in table[split]] if split else None,
        groups=[None if is_unlabelled(value) else text_of(value) for value in table[group]]
        if group
        else [None] * len(table),
        extras=[extras_of(row, extras) for row in records] if extras else [],
        notes=[MAJORITY_NOTE, *notes] if voted else notes,
        votes=[votes_of(row) for row in records] if voted else [],
    )


def _table(parts: Sequence[Rows], columns: Sequence[str], label: str) -> pd.DataFrame:
    rows = [row for part in parts for row in part.read(columns, label)]
    if not rows:
        raise DataError("The dataset has no rows. Get its files again.")
    table = with_split_of_flags(with_label_of_columns(pd.DataFrame(rows, columns=list(columns))))
    if label not in table.columns:  # the head of the table was as expected, the rest is not
        raise DataError(
            "The dataset has a column for each class, and some of their cells are neither 0 and 1 "
            "nor votes. Correct them, or name a column of labels with --label."
        )
    return table


def _is_nested(cell: object) -> bool:
    return isinstance(cell, (list, dict, bytes))


@dataclass(frozen=True)
class _Parquet:
    """Parquet or Arrow files of one split; only one batch of rows is in memory."""

    tree: FileTree
    files: tuple[str, ...]
    card: HubCard = _NO_CARD

    @property
    def licence(self) -> str:
        return self.card.licence

    @cached_property
    def columns(self) -> Sequence[str]:
        first, *others = (self.opened(file).schema_arrow.names for file in self.files)
        return [name for name in first if all(name in names for names in others)]

    def __len__(self) -> int:
        return sum(int(self.opened(file).metadata.num_rows) for file in self.files)

    def read(self, columns: Sequence[str], label: str, start: int = 0) -> Iterator[dict[str, Any]]:
        for file in self.files:
            opened = self.opened(file)
            groups, start = _groups_from(opened.metadata, start)
            # each file has its own class numbers
            names = class_names(opened.schema_arrow, label) or self.card.classes.get(label) or None
            inner = object_class_names(opened.schema_arrow) or self.card.objects
            for batch in opened.iter_batches(_BATCH, groups, list(columns)) if groups else ():
                skip = min(start, len(batch))
                start -= skip
                for row in batch.slice(skip).to_pylist():
                    yield _named(row, label, names, inner)

    def stats(self) -> Iterator[FileStat]:
        return self.tree.stats(self.files)

    def opened(self, file: str) -> Any:  # noqa: ANN401 (pyarrow is untyped)
        """Opens one of the files.

        Raises:
            DataError: If it is neither a parquet nor an Arrow file.
        """
        return open_parquet(self.tree, file)


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

    def read(self, columns: Sequence[str], label: str, start: int = 0) -> Iterator[dict[str, Any]]:
        import datasets

        raw = self.data.select_columns(list(columns))
        raw = raw.select(range(start, len(raw))) if start else raw
        for column, feature in self.data.features.items():
            if column in columns and isinstance(feature, datasets.Image):
                raw = raw.cast_column(column, datasets.Image(decode=False))
        names = getattr(self.data.features.get(label), "names", None)
        inner = names_by_key(self.data.features.to_dict().get(OBJECTS))
        for row in raw:
            yield _named(row, label, names, inner)

    def stats(self) -> Iterator[FileStat]:
        for file in self.data.cache_files:
            yield file_stat(str(file["filename"]), Path(file["filename"]))


def _named(
    row: Mapping[str, Any],
    label: str,
    names: Sequence[str] | None,
    inner: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Returns a row with the names of its label and of its objects in place of their numbers."""
    changed = {label: named(row[label], names)} if label in row else {}
    if OBJECTS in row and label != OBJECTS:
        changed[OBJECTS] = with_named_objects(row[OBJECTS], inner)
    return {**row, **changed}


def _groups_from(metadata: Any, start: int) -> tuple[list[int], int]:  # noqa: ANN401 (untyped)
    """Returns the row groups of a file that hold a row and those after it, and the rows to skip.

    The latter are counted from the first of these groups, or from the next file if there is none.
    """
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if start < rows:
            return list(range(group, metadata.num_row_groups)), start
        start -= rows
    return [], start


def _open(location: str | FileTree) -> Mapping[str, Rows]:
    if isinstance(location, FileTree):
        return _parquet_splits(location)
    path = Path(location)
    if path.is_file() and not is_archive(path):
        return {"train": _Parquet(file_tree(path), (path.name,))}
    if path.exists():
        return _parquet_splits(open_tree(path))
    if not _is_hub(location):
        raise DataError(
            f"{location} is neither a file, nor a folder, nor owner/name of a Hugging Face dataset."
        )
    name, _, revision = location.partition("@")
    return _load(lambda datasets: datasets.load_dataset(name, revision=revision or None), location)


def _load(call: Any, location: str) -> Mapping[str, Rows]:  # noqa: ANN401 (an optional package's)
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"Reading {location} needs the package `datasets`. Install it with: "
            "pip install 'ferscope[hf]'. Parquet and Arrow files can be read without it."
        ) from error
    try:
        loaded = call(datasets)
    except Exception as error:  # the hub's client raises many exception types
        raise DataError(
            f"The Hugging Face dataset {location} cannot be opened ({type(error).__name__}: "
            f"{error}). Check its name and the connection, or download its parquet files elsewhere "
            "and give their folder."
        ) from error
    if isinstance(loaded, datasets.DatasetDict):
        return {str(name): _Loaded(part) for name, part in loaded.items()}
    return {"train": _Loaded(loaded)}


def _parquet_splits(tree: FileTree) -> Mapping[str, Rows]:
    """Groups `data/train-00000-of-00002.parquet` and `default/train/0000.parquet` by split."""
    files = data_files(tree)
    if not files:
        raise DataError(
            f"{tree.shown} holds no parquet or Arrow file. Give the folder that the dataset was "
            "downloaded or saved to."
        )
    # others list picture files, or hold no pictures
    files = [name for name in files if content_of(tree, name) == "pictures"] or files
    card = read_card(tree)
    sets = {_set_of(file): file.rpartition("/")[0] for file in files}
    if len(sets) > 1:
        raise DataError(several(tree, dict.fromkeys(sets.values(), "parquet files")))
    by_split: dict[str, list[str]] = {}
    for file in files:
        by_split.setdefault(_split_name(file), []).append(file)
    if set(by_split) == {""}:  # numbered parts of one table
        return {"train": _Parquet(tree, tuple(files), card)}
    return {
        name or "(unnamed)": _Parquet(tree, tuple(names), card) for name, names in by_split.items()
    }


def _set_of(file: str) -> tuple[str, ...]:
    """Returns the folders of a file that are not splits: those of its configuration."""
    parts = PurePosixPath(file).parts[:-1]
    return tuple(part for part in parts if split_in(part) is None)


def _split_name(file: str) -> str:
    """Returns the split in the name of a file or its folder; empty for a number."""
    path = PurePosixPath(file)
    stem = re.sub(r"[-_.]?\d+(-of-\d+)?(-[0-9a-f]{8,})?$", "", path.stem)
    for name in (stem, path.parent.name):
        if split_of(name) or split_in(name):
            return (name if split_of(name) else str(split_in(name))).lower()
    return "" if stem.lower() in ("", "part", "data", "shard", "file", "default") else stem.lower()


def _image_column(columns: Sequence[str], name: str | None, location: str) -> str:
    if name is not None:
        return named_column(columns, name, "image", location)
    candidates = usual_columns(columns, _IMAGE_NAMES)
    if not candidates:
        raise DataError(
            f"{location} has no image column; its columns are {', '.join(columns)}. Name it with "
            "--image."
        )
    return candidates[0]


def _picture(raw: object, location: str, key: str) -> Image.Image:
    """Opens an image cell: an encoded image, or grey levels as text or list, as in FER2013.

    Raises:
        ImageError: If it is neither, or damaged.
    """
    if isinstance(raw, (str, list)):
        text = raw if isinstance(raw, str) else " ".join(map(str, np.ravel(raw)))
        return Image.fromarray(parse_pixels(text, math.isqrt(len(text.split())))).convert("RGB")
    return open_picture(_bytes(raw, location), key)


def _bytes(raw: object, location: str) -> bytes:
    """Returns the encoded image of an image cell: bytes, or `{bytes, path}`."""
    if isinstance(raw, Mapping):
        if isinstance(raw.get("bytes"), bytes):
            return bytes(raw["bytes"])
        if raw.get("path"):
            raise ImageError(
                f"The picture {raw['path']} stands outside of the files of {location}. "
                "Download the dataset with its pictures embedded."
            )
    if isinstance(raw, bytes):
        return raw
    raise ImageError(f"A picture in {location} is empty or of a kind that cannot be read.")


def _is_hub(location: str) -> bool:
    return _HUB_ID.fullmatch(location) is not None and not Path(location).exists()
