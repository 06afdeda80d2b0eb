"""Grids of recipe values: every combination is trained as a run with its own name and tags."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import yaml

from fer_core.errors import RecipeError

_LIMIT = 60
"""Most combinations of a grid."""


@dataclass(frozen=True)
class Variant:
    """One combination of a grid's values.

    Attributes:
        name: Part of the run's name after the recipe's, such as `class_weights_none`; empty for
            the recipe as it is.
        overrides: `section.key=value` strings.
        tags: `key=value` strings with the last part of each key.
    """

    name: str = ""
    overrides: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def parse_grid(texts: Sequence[str]) -> list[Variant]:
    """Returns all combinations of a grid's values; one empty variant without a grid.

    Args:
        texts: `section.key=value,value`, as in `loss.class_weights=none,balanced`. Values are
            YAML; a list is one value: `augment.zoom=[0.7, 1.4],[1, 1]`.

    Raises:
        RecipeError: If a text cannot be parsed, a key or value is given twice, or there are too
            many combinations.
    """
    axes: dict[str, list[str]] = {}
    for text in texts:
        key, values = _axis(text)
        if key in axes:
            raise RecipeError(f"The grid has {key} twice. Write all its values in one --grid.")
        axes[key] = values
    shown = _shown_keys(list(axes))
    variants = [
        Variant(
            "-".join(f"{shown[key]}_{_plain(value)}" for key, value in zip(axes, row, strict=True)),
            tuple(f"{key}={value}" for key, value in zip(axes, row, strict=True)),
            tuple(f"{shown[key]}={value}" for key, value in zip(axes, row, strict=True)),
        )
        for row in product(*axes.values())
    ]
    if len(variants) > _LIMIT:
        raise RecipeError(
            f"The grid has {len(variants)} combinations; the limit is {_LIMIT}. Use fewer values "
            "or keys."
        )
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        raise RecipeError("Two combinations of the grid would get one name. Use other values.")
    return variants


def _axis(text: str) -> tuple[str, list[str]]:
    """Parses one key with its values."""
    key, separator, listed = text.partition("=")
    try:
        values = yaml.safe_load(f"[{listed}]") if separator and key else None
    except yaml.YAMLError as error:
        raise RecipeError(f"Cannot parse the values of {text!r} as YAML: {error}.") from error
    if not isinstance(values, list) or not values:
        raise RecipeError(f"Cannot parse {text!r}; write it as section.key=value,value.")
    texts = [_yaml(value) for value in values]
    if len(set(texts)) < len(texts):
        raise RecipeError(f"{text!r} has a value twice. Write each value once.")
    return key, texts


def _yaml(value: object) -> str:
    """Returns a value as YAML on one line."""
    dumped: str = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return dumped.removesuffix("...\n").strip()


def _shown_keys(keys: Sequence[str]) -> dict[str, str]:
    """Returns the last part of each key, or the whole key where two would be the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)
    }


def _plain(value: str) -> str:
    """Returns a value in the form for a run's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", value).strip("_") or "empty"
