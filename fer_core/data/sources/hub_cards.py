"""Cards of Hugging Face datasets: licence and class names in the header of `README.md`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from fer_core.data.sources.json_tables import OBJECTS
from fer_core.data.sources.tree import FileTree

_NESTED = ("sequence", "list", "struct")
"""Keys under which a dataset card has the types of nested features."""


@dataclass(frozen=True)
class HubCard:
    """Facts of the header of a dataset card.

    Attributes:
        licence: Name of the licence; empty if unknown.
        classes: Class names by column, in the order of their numbers.
        objects: Class names by key of the column `objects`.
    """

    licence: str = ""
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    objects: Mapping[str, Sequence[str]] = field(default_factory=dict)


def read_card(tree: FileTree) -> HubCard:
    """Reads the header of a dataset card; an empty or damaged one has no facts."""
    if "README.md" not in tree.names:
        return HubCard()
    parts = re.split(r"^---[ \t]*$", tree.text("README.md"), maxsplit=2, flags=re.MULTILINE)
    try:
        head = yaml.safe_load(parts[1]) if len(parts) == 3 else None
    except (yaml.YAMLError, ValueError):  # an impossible date is a ValueError
        return HubCard()
    if not isinstance(head, dict):
        return HubCard()
    licence = head.get("license") or ""
    text = ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence)
    configs = head.get("dataset_info")
    infos = configs if isinstance(configs, list) else [configs]
    features = [_with_names(info.get("features")) for info in infos if isinstance(info, dict)]
    objects = [_inner_features(item) for item in features]
    return HubCard(text, _common_names(features), _common_names(objects))


def _with_names(features: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(features, list):
        return []
    return [item for item in features if isinstance(item, dict) and "name" in item]


def _inner_features(features: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Returns the features of the keys of `objects`, a list of objects or an object of lists."""
    found = [item for item in features if item["name"] == OBJECTS]
    return [key for item in found for kind in _NESTED for key in _with_names(item.get(kind))]


def _common_names(configs: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Sequence[str]]:
    """Returns the class names by column; a column that differs between configurations has none."""
    read: dict[str, list[Sequence[str]]] = {}
    for features in configs:
        for feature in features:
            read.setdefault(str(feature["name"]), []).append(_feature_names(feature))
    return {column: first for column, (first, *more) in read.items() if more == [first] * len(more)}


def _feature_names(feature: Mapping[str, Any]) -> Sequence[str]:
    """Returns the class names of a feature, in the order of their numbers; empty without any."""
    try:
        kind = next(feature[name] for name in ("dtype", *_NESTED) if name in feature)
        names = kind["class_label"]["names"]
        pairs = enumerate(names) if isinstance(names, list) else names.items()
        numbered = {int(number): str(name) for number, name in pairs}
        return [numbered[number] for number in range(len(numbered))]
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
        return []  # another type, or not as `datasets` writes it
