"""Stored labels of a pool as the estimates read them, and where annotators disagree."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.evaluation.few_labels.pool import Floats, Labelled
from fer_core.reviews import PoolLabel

UNCLEAR = ""
"""Label of an image whose class the annotator cannot tell."""

EXPORT_COLUMNS = ("id", "image", "label", "annotators", "agreement", "step", "probability")


class Merge(StrEnum):
    """Rules for images on which annotators disagree; the value is the option's name."""

    MAJORITY = "majority"
    VOTES = "votes"


@dataclass(frozen=True)
class Conflict:
    """An image with different labels.

    Attributes:
        sample_id: The image.
        labels: Label of each annotator; empty for unclear.
    """

    sample_id: str
    labels: Mapping[str, str]

    @property
    def text(self) -> str:
        """The labels in words."""
        return ", ".join(f"{name}: {label or 'unclear'}" for name, label in self.labels.items())


@dataclass(frozen=True)
class Annotations:
    """The labels of a pool.

    Attributes:
        labelled: Labelled images in sampling order.
        steps: Steps at which they were labelled, shape (M,).
        conflicts: Images on which annotators disagree.
        by_annotator: Number of images by annotator.
    """

    labelled: Labelled
    steps: NDArray[np.int64]
    conflicts: tuple[Conflict, ...]
    by_annotator: Mapping[str, int]

    @property
    def next_step(self) -> int:
        """First step without a label: that of a label that was undone, or the one after the last.

        The image of an undone label follows from the labels before it, so it is shown again.
        """
        missing = np.flatnonzero(self.steps != np.arange(len(self.steps)))
        return int(missing[0]) if len(missing) else len(self.steps)


def pool_key(ids: Sequence[str], classes: Sequence[str]) -> str:
    """Returns what identifies the images among which labels are drawn."""
    text = "\n".join((*classes, "", *ids))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def annotations(
    labels: Sequence[PoolLabel],
    rows: Mapping[str, int],
    classes: Sequence[str],
    merge: Merge = Merge.MAJORITY,
) -> Annotations:
    """Merges the annotators' labels by image.

    A majority counts as the image's class. Without one, and for images that most annotators call
    unclear, the image is unclear. With `Merge.VOTES` each label counts as its share.

    Args:
        labels: Stored labels; those of unknown images or classes are left out.
        rows: Positions in the pool by id.
        classes: The classes in their order.
        merge: Rule for images on which annotators disagree.
    """
    known = [x for x in labels if x.sample_id in rows and x.label in (UNCLEAR, *classes)]
    by_image: dict[str, dict[str, str]] = {}
    for item in known:
        by_image.setdefault(item.sample_id, {})[item.annotator] = item.label
    drawn = [x for x in known if x.step is not None and x.probability]
    drawn.sort(key=lambda item: item.step or 0)
    shares = [_share(by_image[item.sample_id], classes, merge) for item in drawn]
    labelled = Labelled(
        np.array([rows[item.sample_id] for item in drawn], dtype=np.int64),
        np.array(shares).reshape(len(drawn), len(classes)),
        np.array([item.probability for item in drawn], dtype=np.float64),
    )
    return Annotations(
        labelled,
        np.array([item.step for item in drawn], dtype=np.int64),
        tuple(
            Conflict(sample, answers)
            for sample, answers in by_image.items()
            if len(set(answers.values())) > 1
        ),
        dict(Counter(item.annotator for item in known)),
    )


def export(labels: Sequence[PoolLabel], classes: Sequence[str]) -> pd.DataFrame:
    """Returns one row per image, which `prepare` reads as a table of labels and a relabel list.

    Returns:
        `EXPORT_COLUMNS`: `image` is the id without its source, such as a file's path; `label` is
        the majority's, empty for unclear; `agreement` is the share of annotators who gave it.
        One column `label_<annotator>` per annotator follows.
    """
    by_image: dict[str, dict[str, str]] = {}
    design: dict[str, PoolLabel] = {}
    for item in labels:
        by_image.setdefault(item.sample_id, {})[item.annotator] = item.label
        if item.step is not None:
            design[item.sample_id] = item
    annotators = sorted({item.annotator for item in labels})
    rows = []
    for sample, answers in by_image.items():
        label = _majority(answers, classes)
        first = design.get(sample)
        agreement = sum(value == label for value in answers.values()) / len(answers)
        rows.append(
            (sample, sample.partition("/")[2] or sample, label, len(answers), round(agreement, 3),
             first and first.step, first and first.probability,
             *(answers.get(name, "not labelled") or "unclear" for name in annotators))
        )  # fmt: skip
    columns = [*EXPORT_COLUMNS, *(f"label_{name}" for name in annotators)]
    return pd.DataFrame(rows, columns=columns)


def _share(answers: Mapping[str, str], classes: Sequence[str], merge: Merge) -> Floats:
    counts = np.array([sum(label == name for label in answers.values()) for name in classes])
    if merge is Merge.VOTES and counts.any():
        return np.asarray(counts / counts.sum())
    label = _majority(answers, classes)
    return np.array([float(name == label) for name in classes])


def _majority(answers: Mapping[str, str], classes: Sequence[str]) -> str:
    """Returns the label that more annotators gave than any other; else unclear."""
    (first, most), *others = Counter(answers.values()).most_common(2)
    tie = bool(others) and others[0][1] == most
    return first if first in classes and not tie else UNCLEAR
