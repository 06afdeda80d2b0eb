"""What a training script saved beside the weights: classes, and options of its network."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fer_core.labels import names_in_order
from fer_core.models.external.base import plain_options

_SECTIONS = (
    "hyper_parameters", "hparams", "args", "opt", "config", "cfg", "meta", "dataset_meta", "model",
    "data", "model_kwargs", "model_args", "timm_kwargs",
)  # fmt: skip
"""Keys of options, in Lightning, timm, MMPretrain and scripts; one may be within another."""

_LABELS = (
    "class_to_idx", "idx_to_class", "label2id", "id2label", "classes", "CLASSES", "class_names",
    "label_names", "label_map", "labels", "emotions",
)  # fmt: skip

_NETWORK = (
    "global_pool", "act_layer", "norm_layer", "class_token", "reg_tokens", "no_embed_class",
    "fc_norm", "pre_norm", "init_values", "qk_norm", "output_stride",
)  # fmt: skip
"""Arguments of timm's networks that change predictions, some without changing a tensor."""


@dataclass(frozen=True)
class ScriptOptions:
    """Classes in output order, arguments of timm's network, and input side in pixels."""

    labels: tuple[str, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    image_size: int | None = None


def script_options(content: object) -> ScriptOptions:
    """Reads the options in the content of a checkpoint."""
    sections = list(_sections(content, 4))
    values = {key: value for section in reversed(sections) for key, value in section.items()}
    found = (names_in_order(part[key]) for part in sections for key in _LABELS if key in part)
    network = {key: values[key] for key in _NETWORK if values.get(key) is not None}
    if isinstance(values.get("gp"), str):  # of timm's train.py
        network.setdefault("global_pool", values["gp"])
    sizes = (values.get(key) for key in ("img_size", "image_size"))
    return ScriptOptions(
        next(filter(None, found), ()),
        network if plain_options(network) else {},
        next((size for size in sizes if type(size) is int and 16 <= size <= 1024), None),
    )


def _sections(content: object, levels: int) -> Iterator[Mapping[Any, Any]]:
    """Yields a mapping and the sections of options within it, outer ones first."""
    values = vars(content) if isinstance(content, argparse.Namespace) else content
    if isinstance(values, Mapping) and levels:
        yield values
        for key in _SECTIONS:
            yield from _sections(values.get(key), levels - 1)
