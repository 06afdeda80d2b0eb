"""Relabel lists: corrected labels, exported by the Data quality page and read by `prepare`.

Corrections of training images are always applied. Corrections of validation and test images change
the evaluation, so they make another benchmark and are refused unless one is requested.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.csv_text import exported_text
from fer_core.data.cleaning import was_cleaned_away
from fer_core.errors import DataError
from fer_core.records import Corrections

COLUMNS = ("id", "label")
HELD_OUT = ("validation", "test")
"""Splits on which runs are evaluated."""

SET_ASIDE = "set aside by the relabel list"


def read_relabels(path: Path) -> "pd.Series[str]":
    """Reads a relabel csv, as `csv_text` writes it: `id` and `label`; more columns are ignored.

    Returns:
        Labels by id; an empty one excludes the sample.

    Raises:
        DataError: If the file cannot be read, lacks a column, or names a sample twice.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except Exception as error:  # pandas raises several kinds
        raise DataError(f"The relabel list {path} cannot be read as csv: {error}.") from error
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise DataError(
            f"The relabel list {path.name} lacks the columns {', '.join(missing)}. Export it again "
            "from the page Data quality."
        )
    ids, labels = (exported_text(table[name]) for name in COLUMNS)
    labels = labels.str.strip().str.lower()
    twice = ids.duplicated()
    if twice.any():
        raise DataError(
            f"The relabel list {path.name} has the id {ids[twice].iloc[0]} twice. Keep one row per "
            "id."
        )
    return pd.Series(labels.to_numpy(), index=ids)


def relabel(samples: pd.DataFrame, labels: "pd.Series[str]") -> int:
    """Corrects labels; the earlier ones stay in the column `given_label`.

    An unlabelled sample is included once it has a label, unless its image was excluded because it
    is flat or shows no face.

    Returns:
        Number of changed samples.

    Raises:
        DataError: If a sample is unknown, or a label is not a class of the dataset.
    """
    rows = pd.Index(samples["id"]).get_indexer(labels.index)
    if (rows < 0).any():
        raise DataError(
            f"The relabel list has the id {labels.index[int(np.argmax(rows < 0))]}, which is not a "
            "sample of this set. Use a list that was exported from the same benchmark."
        )
    known = set(samples["label"].dropna())
    if unknown := sorted(set(labels) - known - {""}):
        raise DataError(
            f"The relabel list has the unknown label {unknown[0]!r}. Use one of the classes "
            f"{', '.join(sorted(known))}."
        )
    samples["given_label"] = samples["label"]
    new, reasons = samples["label"].copy(), samples["excluded"].copy()
    new.iloc[rows] = labels.where(labels != "", None).to_numpy()
    kept = ["" if not was_cleaned_away(reason) else reason for reason in reasons.iloc[rows]]
    reasons.iloc[rows] = np.where(labels.to_numpy() == "", SET_ASIDE, kept)
    changed = (new.fillna("") != samples["label"].fillna("")) | (reasons != samples["excluded"])
    samples["label"], samples["excluded"] = new, reasons
    return int(changed.sum())


def scored_changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Lists the validation and test images that corrections change.

    Args:
        before: Columns `id`, `split` and `label`, without the corrections.
        after: These samples with the corrections, in the same order.

    Returns:
        Columns `id`, `split` (before, or after for an image that was added) and `label` (the
        corrected one, empty for an image that was removed).
    """
    held_before, held_after = before["split"].isin(HELD_OUT), after["split"].isin(HELD_OUT)
    same_label = before["label"].fillna("") == after["label"].fillna("")
    changed = (held_before | held_after) & ((before["split"] != after["split"]) | ~same_label)
    return pd.DataFrame(
        {
            "id": before["id"][changed],
            "split": before["split"].where(held_before, after["split"])[changed],
            "label": after["label"].fillna("").where(held_after, "")[changed],
        }
    ).reset_index(drop=True)


def refuse_scored_changes(changes: pd.DataFrame) -> None:
    """Refuses corrections of validation and test images.

    Args:
        changes: Table from `scored_changes`.

    Raises:
        DataError: If there is any.
    """
    if changes.empty:
        return
    counts = changes["split"].value_counts()
    number = " and ".join(f"{counts[name]:,} {name}" for name in HELD_OUT[::-1] if name in counts)
    raise DataError(
        f"The relabel list changes {number} images, such as {changes['id'].iloc[0]}. Runs are "
        "scored on these images, so changing them makes another benchmark. Take these rows out of "
        "the list, or pass --new-benchmark and a new --name."
    )


def correction_record(
    changes: pd.DataFrame, labels: "pd.Series[str]", base_split_hash: str
) -> Corrections | None:
    """Returns what `benchmark.json` records of corrections; None if no scored image changed.

    Args:
        changes: Table from `scored_changes`.
        labels: The relabel list.
        base_split_hash: Split hash of the samples without the corrections.
    """
    if changes.empty:
        return None
    return Corrections(
        base_split_hash=base_split_hash,
        listed=len(labels),
        counts=dict(sorted(Counter(changes["split"].tolist()).items())),
        labels=dict(zip(changes["id"], changes["label"], strict=True)),
    )
