"""The classifier of initial weights: kept where its classes fit by name, or a new one."""

from typing import Literal

import torch
from torch import Tensor

from fer_core.errors import WeightsError
from fer_core.models.registry import ModelSpec
from fer_core.models.state_dicts import shown
from fer_core.models.weight_sources import WeightSource


def classifier_rows(
    read: WeightSource,
    spec: ModelSpec,
    head: Literal["auto", "keep", "replace"],
    labels: tuple[str, ...],
) -> tuple[dict[str, Tensor], str]:
    """Returns the rows of the source's classifier for some classes, and what was done.

    Raises:
        WeightsError: If it must be kept but lacks classes.
    """
    prefix = f"{spec.head}."
    classifier = {key: value for key, value in read.tensors.items() if spec.is_head(key)}
    rows = len(classifier[f"{prefix}weight"]) if f"{prefix}weight" in classifier else 0
    known = read.labels if len(read.labels) == rows else ()
    if head == "keep":
        _require_classes(read.source, rows, known, labels)
    if head == "replace" or not rows or not known or (head == "auto" and set(known) != set(labels)):
        return {}, _new_classifier_note(rows, known, labels)
    order = torch.tensor([known.index(name) for name in labels])
    others = [name for name in known if name not in labels]
    note = f"the classifier is kept, without {', '.join(others)}" if others else (
        "the classifier is kept"
    )  # fmt: skip
    return {key: value[order] for key, value in classifier.items()}, note


def _require_classes(
    source: str, rows: int, known: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    if not rows:
        raise WeightsError(f"{source} has no classifier to keep. Set model.head=replace.")
    if not known:
        raise WeightsError(
            f"The classes of {source} are unknown, so its classifier cannot be kept. Name them in "
            "id2label of a config.json beside the weights, or set model.head=replace."
        )
    if len(set(known)) < len(known):
        raise WeightsError(f"The classes of {source} are not distinct: {', '.join(known)}.")
    if missing := [name for name in labels if name not in known]:
        raise WeightsError(
            f"The classifier of {source} lacks {', '.join(missing)}; it has {shown(known)}. "
            "Set model.head=replace."
        )


def _new_classifier_note(rows: int, known: tuple[str, ...], labels: tuple[str, ...]) -> str:
    new = f"a new classifier for {len(labels)} classes"
    if not rows:
        return f"{new}; the source has none"
    which = f" ({shown(known)})" if known else ""
    return f"{new}; that of the source for {rows:,} classes{which} is not used"
