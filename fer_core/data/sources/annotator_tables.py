"""Tables that each hold the labels of one annotator: `annotations/alice.csv`, `.../bob.csv`."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import PurePosixPath

import pandas as pd

from fer_core.data.sources.box_columns import BoxColumns, box_columns
from fer_core.data.sources.class_names import emotion_of
from fer_core.data.sources.split_names import split_in
from fer_core.data.sources.tables import (
    VOTES,
    AnnotationTable,
    names_annotator,
    plain,
    vote_of,
    with_votes_of_rows,
)
from fer_core.errors import listed

_NO_NAMES = frozenset({
    "after", "age", "agreed", "all", "annotation", "annotations", "arousal", "auto", "automatic",
    "backup", "bak", "baseline", "basic", "before", "binary", "class", "classes", "clean",
    "cleaned", "coarse", "combined", "complete", "compound", "consensus", "copy", "correct",
    "corrected", "data", "dataset", "draft", "emotion", "emotions", "expression", "expressions",
    "face", "faces", "fer", "ferplus", "file", "files", "final", "fine", "first", "fixed", "full",
    "gender", "gold", "golden", "ground", "gt", "hard", "human", "image", "images", "info",
    "joined", "label", "labels", "list", "machine", "main", "majority", "manual", "merged",
    "meta", "metadata", "model", "new", "newest", "noisy", "old", "orig", "original", "output",
    "part", "pictures", "pred", "predicted", "prediction", "predictions", "preds", "pseudo",
    "race", "raw", "result", "results", "review", "reviewed", "revised", "sample", "second",
    "sex", "soft", "subset", "table", "temp", "third", "tmp", "true", "truth", "update",
    "updated", "valence", "ver", "version", "weak"
})  # fmt: skip
"""Words that tell versions, parts and kinds of labels apart, and no annotators."""

_OF_MODELS = frozenset({"model", "output", "prediction", "pred", "result"})
"""Words in the names of folders whose tables are of models, also in the plural."""

_LEAST_SHARED = 0.5
_LEAST_EQUAL = 1 / 3
"""Least shares of common pictures, and of equal labels among them, if only names of persons tell
that tables are of annotators. Labels of seven classes are equal by chance for about a fifth."""


def with_votes_of_tables(
    tables: Sequence[tuple[AnnotationTable, str | None]],
) -> list[AnnotationTable]:
    """Returns the tables, those of several annotators joined to one whose labels are votes.

    They must be in one folder, with the same columns of images, labels and boxes, and list mostly
    the same pictures. Their names must contain `annotator`, `rater` or a similar word, or differ by
    words alone that may be persons. Lists of splits and versions such as `labels_old.csv` are kept
    apart.

    Args:
        tables: The tables, and the column of labels of each, if it is known.
    """
    groups: dict[object, list[AnnotationTable]] = {}
    for table, label in tables:
        if label is not None and table.header and not _has_votes(table):
            columns = (table.image, label, _boxes(table))
            groups.setdefault((table.folder, columns), []).append(table)
    joined: dict[str, AnnotationTable | None] = {}
    labels = {table.name: label for table, label in tables}
    for group in groups.values():
        first, *others = _named_after_annotators(group) or group
        label = str(labels[first.name])
        if others and _are_of_annotators([first, *others], label):
            joined |= dict.fromkeys(other.name for other in others)
            joined[first.name] = _joined([first, *others], label)
    read = [joined.get(table.name, table) for table, _ in tables]
    return [with_votes_of_rows(table, labels[table.name]) for table in read if table is not None]


def _named_after_annotators(tables: Sequence[AnnotationTable]) -> list[AnnotationTable]:
    return [table for table in tables if names_annotator(_stem(table))]


def _stem(table: AnnotationTable) -> str:
    return PurePosixPath(table.name).name.partition(".")[0]


def _boxes(table: AnnotationTable) -> BoxColumns | None:
    return box_columns(table.rows, {plain(name): name for name in table.rows.columns})


def _has_votes(table: AnnotationTable) -> bool:
    return any(str(name).startswith(VOTES) for name in table.rows.columns)


def _joined(tables: Sequence[AnnotationTable], label: str) -> AnnotationTable:
    """Returns one table with the votes of all; it has the name of the first."""
    named = [table.rows.assign(annotator=table.name) for table in tables]
    rows = pd.concat(named, ignore_index=True)
    voted = with_votes_of_rows(replace(tables[0], rows=rows), label)
    names = [table.name for table in tables]
    note = (
        f"{listed(names, 4)} are read as the labels of {len(names)} annotators. To use those of "
        "one, move the other tables away."
    )
    return replace(
        voted,
        rows=voted.rows.fillna(""),
        bad_lines=sum(table.bad_lines for table in tables),
        notes=(note,),
    )


def _are_of_annotators(tables: Sequence[AnnotationTable], label: str) -> bool:
    folder, stems = tables[0].folder, [_stem(table) for table in tables]
    certain = names_annotator(PurePosixPath(folder).name, whole=True) or all(
        map(names_annotator, stems)
    )
    if any(map(split_in, stems)) or not _differ_by_annotators(stems, numbers=certain):
        return False
    boxes = _boxes(tables[0])
    face = [tables[0].image, *(boxes.names if boxes else ())]
    votes = [
        table.rows.assign(vote=table.rows[label].map(vote_of))[[*face, "vote"]] for table in tables
    ]
    pairs = [_compared(*pair) for pair in combinations(votes, 2)]
    if certain:
        return any(shared > 0 for shared, _ in pairs)
    if any(word.rstrip("s") in _OF_MODELS for word in re.findall(r"[a-z]+", folder.lower())):
        return False
    return all(shared >= _LEAST_SHARED and equal >= _LEAST_EQUAL for shared, equal in pairs)


def _differ_by_annotators(stems: Sequence[str], *, numbers: bool) -> bool:
    """Whether the words that differ between names may be persons, or numbers of annotators."""
    words = [re.findall(r"[^\W\d_]+|\d+", stem.lower()) for stem in stems]
    shared = set.intersection(*map(set, words))
    own = [[word for word in of_stem if word not in shared] for of_stem in words]
    return all(own) and all(
        word not in _NO_NAMES
        and emotion_of(word) is None
        and (numbers or (len(word) > 1 and not word.isdecimal()))
        for of_stem in own
        for word in of_stem
    )


def _compared(first: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float]:
    """Returns the share of common pictures, of the shorter table, and that of equal labels.

    Args:
        first: Columns of pictures, boxes of faces if there are any, and votes.
        other: The same columns.
    """
    image, *corners, _ = first.columns
    pictures, others = set(first[image]), set(other[image])
    shared = len(pictures & others) / min(len(pictures), len(others))
    pairs = first.merge(other, on=[image, *corners])
    pairs = pairs if len(pairs) else first.merge(other, on=image)  # other boxes for the same face
    pairs = pairs[(pairs["vote_x"] != "") & (pairs["vote_y"] != "")]
    return shared, float((pairs["vote_x"] == pairs["vote_y"]).mean()) if len(pairs) else 0.0
