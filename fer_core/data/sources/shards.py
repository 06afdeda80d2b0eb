"""Pictures with their label in a file of the same name: `key.jpg` and `key.cls`, `.json` or `.txt`.

WebDataset has them so, in tar files (shards) of a folder, compressed or not.
"""

import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pandas as pd

from fer_core.data.sources.class_names import code_of, emotion_of
from fer_core.data.sources.files import is_image
from fer_core.data.sources.json_tables import rows_of
from fer_core.data.sources.tables import (
    LABEL_COLUMNS,
    MOST_VALUES,
    AnnotationTable,
    usual_columns,
    with_label_of_columns,
)
from fer_core.data.sources.tree import TARS, FileTree, Store, first_members, open_tree

_KINDS = (".cls", ".json", ".txt")


@dataclass(frozen=True)
class _Shards:
    """Files in several stores: the store of each, and its name there."""

    places: Mapping[str, tuple[Store, str]]

    def size(self, name: str) -> int:
        store, inner = self.places[name]
        return store.size(inner)

    def read(self, name: str) -> bytes:
        store, inner = self.places[name]
        return store.read(inner)

    def open(self, name: str) -> IO[bytes]:
        store, inner = self.places[name]
        return store.open(inner)


def with_shards(tree: FileTree) -> FileTree:
    """Returns a folder with the files of its WebDataset shards; a folder without stays as it is.

    Raises:
        DataError: If a shard is damaged or exceeds a limit.
    """
    tars = [name for name in tree.files if name.lower().endswith(TARS)]
    root = tree.root
    if root is None or not tars or not all(_is_shard(root / name) for name in tars):
        return tree
    places = {name: (tree.store, name) for name in tree.files if name not in tars}
    skipped = [*tree.skipped]
    for tar in tars:
        shard = open_tree(root / tar)
        folder = next(tar[: -len(suffix)] for suffix in TARS if tar.lower().endswith(suffix))
        places |= {f"{folder}/{name}": (shard.store, name) for name in shard.files}
        skipped += [replace(item, key=f"{folder}/{item.key}") for item in shard.skipped]
    return replace(
        tree,
        store=_Shards(places),
        files=tuple(sorted(places)),
        folders=tuple(sorted({posixpath.dirname(name) for name in places} - {""})),
        skipped=tuple(skipped),
        root=None,
        archives=tuple(root / name for name in tree.files),
    )


def _is_shard(path: Path) -> bool:
    """Whether the first files of a tar are pictures with labels of the same name."""
    return bool(_beside(first_members(path, 20)))


def _beside(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Returns the files with labels by kind, by picture.

    A key ends at the last dot (`img_0.5.jpg`), or at the first as in WebDataset (`1.face.jpg`).
    """
    beside: dict[str, dict[str, str]] = {}
    pictures = {}
    for name in names:
        key, kind = posixpath.splitext(name)
        if kind.lower() in _KINDS:
            beside.setdefault(key, {})[kind.lower()] = name
        elif is_image(name):
            folder, file = posixpath.split(name)
            pictures[name] = (key, posixpath.join(folder, file.split(".")[0]))
    found = {
        name: beside.get(whole) or beside.get(short, {})
        for name, (whole, short) in pictures.items()
    }
    return {name: files for name, files in found.items() if files}


def beside_table(tree: FileTree) -> AnnotationTable | None:
    """Returns the pictures with files of the same name; None if these hold no labels.

    `.txt` is the label if nothing else is and it holds names or numbers of classes, no captions.
    """
    rows: list[dict[str, str]] = []
    problems: dict[str, str] = {}
    captions: list[str] = []
    kind = ""
    for picture, files in _beside(tree.files).items():
        kind = min(files)
        texts = {kind: tree.text(name).strip() for kind, name in files.items()}
        own = {"file": f"/{picture}"} | ({"class": texts[".cls"]} if ".cls" in texts else {})
        try:
            record = json.loads(texts.get(".json", "{}"))
        except ValueError as error:
            record, problems[f"/{picture}"] = {}, f"{files['.json']} is damaged ({error})."
        for row in rows_of(record if isinstance(record, dict) else {}):
            rows.append(row | own)
            captions.append(texts.get(".txt", ""))
    table = pd.DataFrame(rows, dtype="str").fillna("")
    if not usual_columns(map(str, table), LABEL_COLUMNS) and _are_classes({*captions} - {""}):
        table["label"] = captions
    if len(table.columns) < 2:
        return None
    table = with_label_of_columns(table)
    return AnnotationTable(f"*{kind}", table, "file", header=True, problems=problems)


def _are_classes(names: set[str]) -> bool:
    codes = bool(names) and all(code_of(name) is not None for name in names)
    return codes or (len(names) <= MOST_VALUES and any(map(emotion_of, names)))
