"""Pictures with their label in a file of the same name: `key.jpg` and `key.cls`, `.json` or `.txt`.

WebDataset has them so, in tar files (shards) of a folder.
"""

import json
import posixpath
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
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
from fer_core.data.sources.tree import FileTree, Store, open_tree

_KINDS = (".cls", ".json", ".txt")
_FIRST = 20


@dataclass(frozen=True)
class ShardStore:
    """A folder and its shards, whose files are below the shard's name without `.tar`."""

    folder: Store
    shards: Mapping[str, FileTree]

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes."""
        store, inner = self._at(name)
        return store.size(inner)

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""
        store, inner = self._at(name)
        return store.read(inner)

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""
        store, inner = self._at(name)
        return store.open(inner)

    def _at(self, name: str) -> tuple[Store, str]:
        end = name.find("/")
        while end > 0:
            if (shard := self.shards.get(name[:end])) is not None:
                return shard.store, name[end + 1 :]
            end = name.find("/", end + 1)
        return self.folder, name


def with_shards(tree: FileTree) -> FileTree:
    """Returns a folder with the files of its WebDataset shards; a folder without stays as it is.

    Raises:
        DataError: If a shard is damaged or exceeds a limit.
    """
    tars = [name for name in tree.files if name.lower().endswith(".tar")]
    root = tree.root
    if root is None or not tars or not all(_is_shard(root / name) for name in tars):
        return tree
    shards = {name[:-4]: open_tree(root / name) for name in tars}
    loose = [name for name in tree.files if name not in tars]
    inner = [f"{start}/{name}" for start, shard in shards.items() for name in shard.files]
    skipped = [
        replace(item, key=f"{start}/{item.key}")
        for start, shard in shards.items()
        for item in shard.skipped
    ]
    return replace(
        tree,
        store=ShardStore(tree.store, shards),
        files=tuple(sorted([*loose, *inner])),
        folders=tuple(sorted({posixpath.dirname(name) for name in inner} | {*tree.folders})),
        skipped=(*tree.skipped, *skipped),
        root=None,
        archives=tuple(root / name for name in tree.files),
    )


def _is_shard(path: Path) -> bool:
    """Whether the first files of a tar are pictures with labels of the same name."""
    with suppress(OSError, tarfile.TarError), tarfile.open(path, "r:") as archive:
        names = [info.name for info in islice(archive, _FIRST) if info.isfile()]
        return any(_beside(names))
    return False


def _beside(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Returns the files with labels by kind, by picture; those of equal keys are of no picture.

    A key ends at the first dot of a name (`a.face.jpg`, `a.cls`), or else at the last one.
    """
    by_key: dict[tuple[str, str], list[str]] = {}
    pictures = []
    for name in names:
        kind = posixpath.splitext(name)[1].lower()
        if kind in _KINDS:
            for key in _keys(name):
                by_key.setdefault((key, kind), []).append(name)
        elif is_image(name):
            pictures.append(name)
    found: dict[str, dict[str, str]] = {}
    for name in pictures if by_key else []:
        for kind in _KINDS:
            files = [by_key.get((key, kind), []) for key in _keys(name)]
            if single := next((of[0] for of in files if len(of) == 1), None):
                found.setdefault(name, {})[kind] = single
    return found


def _keys(name: str) -> Iterable[str]:
    folder, file = posixpath.split(name)
    last = posixpath.splitext(name)[0]
    return dict.fromkeys((last, posixpath.join(folder, file.partition(".")[0])))


def beside_table(tree: FileTree) -> AnnotationTable | None:
    """Returns the pictures with labels in files of the same name; None if these hold no labels.

    `.cls` is the column `class`, the fields of `.json` are columns, and `.txt` is the label if
    all of them are class names or numbers, and no captions.
    """
    rows: list[dict[str, str]] = []
    problems: dict[str, str] = {}
    captions: list[str] = []
    kind = _KINDS[0]
    for picture, files in _beside(tree.files).items():
        kind = next(iter(files))
        texts = {kind: tree.text(name).strip() for kind, name in files.items()}
        own = {"file": f"/{picture}"} | ({"class": texts[".cls"]} if ".cls" in texts else {})
        try:
            record = json.loads(texts.get(".json", "{}"))
        except ValueError as error:
            record, problems[f"/{picture}"] = {}, f"{files['.json']} is damaged ({error})."
        for row in rows_of(record if isinstance(record, dict) else {}):
            taken = {f"json_{name}" if name in own else name: cell for name, cell in row.items()}
            rows.append(taken | own)
            captions.append(texts.get(".txt", ""))
    table = pd.DataFrame(rows, dtype="str").fillna("")
    if rows and _are_classes(set(captions)) and not usual_columns(table.columns, LABEL_COLUMNS):
        table["label"] = captions
    if len(table.columns) < 2:
        return None
    table = with_label_of_columns(table)
    return AnnotationTable(f"*{kind}", table, "file", header=True, problems=problems)


def _are_classes(names: set[str]) -> bool:
    """Whether texts are names or numbers of classes; an empty one is a missing label."""
    names = names - {""}
    codes = bool(names) and all(code_of(name) is not None for name in names)
    return codes or (len(names) <= MOST_VALUES and any(map(emotion_of, names)))
