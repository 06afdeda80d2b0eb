"""Lists of class names beside numbered labels, such as `classes.txt`."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from fer_core.data.sources.class_names import CODE_WORDS, code_of, emotion_of
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_STEMS = frozenset(
    {"classes", "class", "classnames", "classlist", "classmap", "classindices", "labels", "label"}
    | {"labelnames", "labellist", "labelmap", "emotions", "emotionnames", "expressions", "names"}
    | {"obj", "synsets", "categories", "idx2label", "idxtoclass", "id2label", "legend", "codebook"}
    | {"codes", "mapping", "labelmapping", "emotionmapping", "emotionlabels", "emotioncodes"}
)
_SUFFIXES = (".txt", ".names", ".csv", ".json")
_MOST_BYTES = 4096


@dataclass(frozen=True)
class ClassList:
    """Class names of a list.

    Attributes:
        file: The list.
        names: Names by number, counted from 0 if the list has no numbers.
        numbered: Whether the list has numbers.
    """

    file: str
    names: Mapping[int, str]
    numbered: bool

    def meanings(self, codes: Iterable[int]) -> Mapping[int, str] | None:
        """Returns the name of each number; None if it is unclear.

        Numbers of a list without numbers are counted from 0 if 0 is among them, and from 1 if the
        last one is.
        """
        used = set(codes)
        if used <= self.names.keys() and (self.numbered or 0 in used):
            return self.names
        if not self.numbered and 0 not in used and max(used, default=0) == len(self.names):
            return {number + 1: name for number, name in self.names.items()}
        return None


def find_class_list(tree: FileTree) -> ClassList | None:
    """Returns the list of class names of a tree; None if there is none, or several that differ."""
    found = [read for name in tree.files if _may_be_list(name) and (read := _read(tree, name))]
    same = [other for other in found if other.names == found[0].names]
    return found[0] if found and len(same) == len(found) else None


def _may_be_list(name: str) -> bool:
    path = PurePosixPath(name)
    stem = re.sub(r"[^a-z0-9]", "", path.stem.lower())
    return stem in _STEMS and path.suffix.lower() in _SUFFIXES


def _read(tree: FileTree, name: str) -> ClassList | None:
    try:
        if tree.size(name) > _MOST_BYTES:
            return None
        text = tree.text(name, _MOST_BYTES)
    except (DataError, OSError):
        return None
    pairs = _json_pairs(text) if name.lower().endswith(".json") else _line_pairs(text)
    if not pairs:
        return None
    numbers = [number for number, _ in pairs if number is not None]
    words = [word for _, word in pairs]
    meanings = [emotion_of(word) or word.strip().lower() for word in words]
    known = sum(emotion_of(word) is not None for word in words)
    if known < 2 or len(set(meanings)) < len(meanings) or not _are_classes(meanings):
        return None
    if not numbers:
        return ClassList(name, dict(enumerate(words)), numbered=False)
    complete = len(set(numbers)) == len(words)
    return ClassList(name, dict(zip(numbers, words, strict=True)), True) if complete else None


def _are_classes(meanings: list[str]) -> bool:
    """Whether at most one name is unknown, such as `other`."""
    return sum(emotion_of(name) is None and name not in CODE_WORDS for name in meanings) <= 1


def _line_pairs(text: str) -> list[tuple[int | None, str]]:
    """Returns number and name of each line, of which one may come first; None without a number."""
    pairs: list[tuple[int | None, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        cells = [cell for cell in re.split(r"[\s,;:=]+", line) if cell]
        codes = [code_of(cell) for cell in cells]
        if len(cells) == 2 and sum(code is not None for code in codes) == 1:
            at = 0 if codes[0] is not None else 1
            pairs.append((codes[at], cells[1 - at]))
        elif len(cells) == 1 and codes[0] is None:
            pairs.append((None, cells[0]))
        elif pairs:  # a header may be the first line
            return []
    return pairs


def _json_pairs(text: str) -> list[tuple[int | None, str]]:
    try:
        content = json.loads(text)
    except ValueError:
        return []
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return [(None, name) for name in content]
    if not isinstance(content, dict):
        return []
    pairs = [(code_of(str(a)), str(b)) for a, b in content.items()]
    if any(number is None for number, _ in pairs):
        pairs = [(code_of(str(b)), str(a)) for a, b in content.items()]
    return [] if any(number is None for number, _ in pairs) else pairs
