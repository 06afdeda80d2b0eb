"""Anybody's predictions, checked and brought to a benchmark's samples."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.errors import DataError
from fer_core.evaluation.predictions import EVALUATED, PREFIX, Predictions, SplitPredictions
from fer_core.labels import LabelSet, canonical_name

ROUNDING = 5e-3
"""How far probabilities from outside may sum to other than 1: three decimals will do."""


def read_external_table(path: Path) -> pd.DataFrame:
    """Reads a csv or parquet file.

    Raises:
        DataError: If it cannot be read or has another ending.
    """
    ending = path.suffix.lower()
    try:
        if ending == ".csv":
            return pd.read_csv(path, dtype={"id": str})
        if ending in (".parquet", ".pq"):
            return pd.read_parquet(path)
    except Exception as error:  # the parsers raise many kinds
        raise DataError(f"{path.name} cannot be read: {error}.") from error
    raise DataError(f"{path.name} is no table; give a .csv or .parquet file.")


def external_predictions(
    table: pd.DataFrame, labels: LabelSet, samples: pd.DataFrame, name: str
) -> Predictions:
    """Checks a table of probabilities and brings it to the benchmark's samples and class order.

    Args:
        table: A column `id`, and one column of probabilities a class, named `happy` or `p_happy`
            (any usual writing of an emotion). Other columns are ignored; so are samples of other
            splits. The order of rows and columns does not matter.
        labels: The benchmark's classes.
        samples: The benchmark's samples, with `id`, `split` and `label`.
        name: The file's name, for messages.

    Raises:
        DataError: If a class or sample is missing, a class is unknown, an id stands twice, or a
            row is not a distribution.
    """
    if "id" not in table.columns:
        raise DataError(f"{name} lacks the column 'id'; it has {', '.join(table.columns[:12])}.")
    columns = _columns(table.columns, labels, name)
    if table["id"].duplicated().any():
        twice = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"{name} holds the sample {twice} twice.")
    given = table.set_index("id")[columns]
    splits = {}
    for split in EVALUATED:
        wanted = samples[samples["split"] == split]
        found = given.reindex(wanted["id"])
        missing = ~wanted["id"].isin(given.index).to_numpy()
        if missing.any():
            raise DataError(
                f"{name} lacks {int(missing.sum())} of the {len(wanted)} samples of {split}, "
                f"{wanted['id'].iloc[int(np.argmax(missing))]} for one. Predict every sample of "
                "validation and test; samples.parquet of the benchmark lists them."
            )
        probabilities = _distributions(found, name)
        truth = pd.Index(list(labels.names)).get_indexer(pd.Index(wanted["label"]))
        ids = wanted["id"].to_numpy(dtype=object)
        splits[split] = SplitPredictions(labels, ids, truth.astype(np.int64), probabilities)
    return Predictions(splits)


def _columns(names: Collection[str], labels: LabelSet, where: str) -> list[str]:
    """Returns the column of each class, in the order of the classes."""
    by_class: dict[str, str] = {}
    unknown = []
    for name in names:
        label = canonical_name(name.removeprefix(PREFIX))
        if label in labels.names:
            if label in by_class:
                raise DataError(f"{where} has two columns for {label}: {by_class[label]}, {name}.")
            by_class[label] = name
        elif name.startswith(PREFIX):
            unknown.append(name)
    if unknown:
        raise DataError(
            f"{where} has probabilities of classes that the benchmark does not know "
            f"({', '.join(unknown)}); its classes are {', '.join(labels.names)}. Leave them out "
            "and make the others sum to 1."
        )
    if missing := [label for label in labels.names if label not in by_class]:
        raise DataError(
            f"{where} has no column for {', '.join(missing)}. Give one column of probabilities a "
            "class."
        )
    return [by_class[label] for label in labels.names]


def _distributions(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    try:
        values = table.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} holds something else than numbers: {error}.") from error
    sums = values.sum(axis=1)
    bad = ~((np.abs(sums - 1) <= ROUNDING) & (values >= 0).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{name}: the probabilities of {table.index[row]} are no distribution (they sum to "
            f"{sums[row]:.3f}). Give probabilities, not logits or percentages."
        )
    scaled: NDArray[np.float64] = values / sums[:, None]
    return scaled
