"""Import of external predictions: validation and alignment with a benchmark."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.errors import DataError
from fer_core.evaluation.predictions import EVALUATED, PREFIX, Predictions, SplitPredictions
from fer_core.labels import LabelSet, canonical_name

ROUNDING = 5e-3
"""Tolerance for the sum of external probabilities; allows rounding to three decimals."""


def read_external_table(path: Path) -> pd.DataFrame:
    """Reads a csv or parquet file.

    Raises:
        DataError: If it cannot be read or has another extension.
    """
    ending = path.suffix.lower()
    try:
        if ending == ".csv":
            return pd.read_csv(path, dtype={"id": str})
        if ending in (".parquet", ".pq"):
            return pd.read_parquet(path)
    except Exception as error:  # parsers raise many exception types
        raise DataError(f"{path.name} cannot be read: {error}.") from error
    raise DataError(f"{path.name} is not a table. Pass a .csv or .parquet file.")


def external_predictions(
    table: pd.DataFrame, labels: LabelSet, samples: pd.DataFrame, name: str
) -> Predictions:
    """Validates a table of probabilities and aligns it with the benchmark's samples and classes.

    Args:
        table: Column `id` and one column of probabilities per class, named such as `happy` or
            `p_happy` (common synonyms are accepted). Other columns and samples of other splits are
            ignored. Rows and columns may be in any order.
        labels: The benchmark's classes.
        samples: The benchmark's samples, with `id`, `split` and `label`.
        name: File name for error messages.

    Raises:
        DataError: If a class or sample is missing, a class is unknown, an id is duplicated, or the
            probabilities of a row are invalid.
    """
    if "id" not in table.columns:
        raise DataError(f"{name} lacks the column 'id'; it has {', '.join(table.columns[:12])}.")
    columns = _columns(table.columns, labels, name)
    if table["id"].duplicated().any():
        duplicate = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"{name} has the sample {duplicate} twice.")
    by_id = table.set_index("id")[columns]
    splits = {}
    for split in EVALUATED:
        rows = samples[samples["split"] == split]
        selected = by_id.reindex(rows["id"])
        missing = ~rows["id"].isin(by_id.index).to_numpy()
        if missing.any():
            raise DataError(
                f"{name} lacks {int(missing.sum())} of the {len(rows)} samples of {split}, "
                f"such as {rows['id'].iloc[int(np.argmax(missing))]}. Predict every sample of "
                "validation and test; samples.parquet of the benchmark lists them."
            )
        probabilities = _distributions(selected, name)
        truth = pd.Index(list(labels.names)).get_indexer(pd.Index(rows["label"]))
        ids = rows["id"].to_numpy(dtype=object)
        splits[split] = SplitPredictions(labels, ids, truth.astype(np.int64), probabilities)
    return Predictions(splits)


def _columns(names: Collection[str], labels: LabelSet, file_name: str) -> list[str]:
    """Returns the column of each class, in the order of the classes."""
    by_class: dict[str, str] = {}
    unknown = []
    for name in names:
        label = canonical_name(name.removeprefix(PREFIX))
        if label in labels.names:
            if label in by_class:
                raise DataError(
                    f"{file_name} has two columns for {label}: {by_class[label]}, {name}."
                )
            by_class[label] = name
        elif name.startswith(PREFIX):
            unknown.append(name)
    if unknown:
        raise DataError(
            f"{file_name} has classes that the benchmark does not have "
            f"({', '.join(unknown)}); its classes are {', '.join(labels.names)}. Remove them "
            "and renormalise the others to sum to 1."
        )
    if missing := [label for label in labels.names if label not in by_class]:
        raise DataError(
            f"{file_name} has no column for {', '.join(missing)}. Add one column of probabilities "
            "per class."
        )
    return [by_class[label] for label in labels.names]


def _distributions(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    try:
        values = table.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} has values that are not numbers: {error}.") from error
    sums = values.sum(axis=1)
    bad = ~((np.abs(sums - 1) <= ROUNDING) & (values >= 0).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{name}: the probabilities of {table.index[row]} are invalid (they sum to "
            f"{sums[row]:.3f}). Pass probabilities, not logits or percentages."
        )
    scaled: NDArray[np.float64] = values / sums[:, None]
    return scaled
